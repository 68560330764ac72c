"""What nobody may do to the audit table, and what rights the service needs."""

from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from tests.integration.audit.table import Connection, check_log, list_logs
from tests.unit.vault.audit.world import Page, body, now
from vault.audit.devices.postgres import TableSink
from vault.storage import migration
from vault.storage.audit_rows import AuditRows, make_partitions, owns_records
from vault.storage.embedded import Embedded
from vault.storage.migration import MigrationError

PARTITION = "(SELECT min(relname) FROM pg_class WHERE relispartition)"
FORBIDDEN = [
    "UPDATE vault.{table} SET log = log",
    "UPDATE vault.{table} SET log = log WHERE false",
    "DELETE FROM vault.{table}",
    "DELETE FROM vault.{table} WHERE false",
    "TRUNCATE vault.{table}",
    "TRUNCATE vault.{table} CASCADE",
    "DROP TABLE vault.{table}",
    "DROP TABLE vault.{table} CASCADE",
    "ALTER TABLE vault.{table} DISABLE TRIGGER audit_append_only",
    "ALTER TABLE vault.{table} DISABLE TRIGGER ALL",
    "DROP TRIGGER audit_append_only ON vault.{table}",
    "ALTER TABLE vault.{table} RENAME TO gone",
    "ALTER TABLE vault.{table} OWNER TO vault_application",
    "CREATE RULE x AS ON INSERT TO vault.{table} DO INSTEAD NOTHING",
    "CREATE TRIGGER x BEFORE INSERT ON vault.{table} FOR EACH ROW EXECUTE FUNCTION vault.audit_refuse()",
    "ALTER TABLE vault.audit_record DETACH PARTITION vault.{table}",
    "DROP FUNCTION vault.audit_refuse CASCADE",
    "CREATE OR REPLACE FUNCTION vault.audit_refuse() RETURNS trigger LANGUAGE sql AS 'SELECT NULL'",
    "SET session_replication_role = replica",
    "SET ROLE vault",
    "DROP SCHEMA vault CASCADE",
    "CREATE TABLE vault.mine ()",
    "GRANT UPDATE ON vault.{table} TO vault_application",
    "INSERT INTO vault.{table} SELECT * FROM vault.{table} ON CONFLICT DO UPDATE SET log = 'x'",
    "MERGE INTO vault.{table} AS t USING vault.audit_log AS s ON t.log = s.log WHEN MATCHED THEN DELETE",
]


def find_table(connection: Connection, kind: str) -> str:
    """Return the name of the table or of one of its partitions."""
    if kind != "partition":
        return kind
    row = connection.execute("SELECT min(relname::text) FROM pg_class WHERE relispartition AND relkind = 'r'").fetchone()
    assert row is not None
    return str(row[0])


@pytest.mark.parametrize("kind", ["audit_record", "audit_log", "partition"])
@pytest.mark.parametrize("statement", FORBIDDEN)
def test_application_role_alters_nothing(server: Embedded, application: Connection, owner: Connection, kind: str, statement: str) -> None:
    """UPDATE, DELETE, TRUNCATE, DROP and whatever takes the triggers away fail for the role of the service, on partitions, too."""
    table = find_table(owner, kind)
    if "DETACH" in statement and kind != "partition":
        table = find_table(owner, "partition")
    if "ON CONFLICT" in statement:
        statement = statement.replace("DO UPDATE", "(log) DO UPDATE" if kind == "audit_log" else "(log, seq, at) DO UPDATE")
    if "GRANT" in statement:  # only a warning where nothing is given: so look at what came of it
        with psycopg.connect(server.application_dsn, autocommit=True) as connection:
            try:
                connection.execute(statement.format(table=table).encode())
            except errors.InsufficientPrivilege:
                return
        row = owner.execute("SELECT has_table_privilege('vault_application', %s, 'UPDATE')", (f"vault.{table}",)).fetchone()
        assert row == (False,)
        return
    with pytest.raises(errors.InsufficientPrivilege):
        application.execute(statement.format(table=table).encode())


@pytest.mark.parametrize("kind", ["audit_record", "audit_log", "partition"])
@pytest.mark.parametrize("statement", [text for text in FORBIDDEN if text.startswith(("UPDATE", "DELETE", "TRUNCATE", "MERGE"))])
def test_triggers_refuse_the_owner_too(owner: Connection, kind: str, statement: str) -> None:
    """Even a superuser changes no row by mistake."""
    with pytest.raises(errors.InsufficientPrivilege, match="only added"):
        owner.execute(statement.format(table=find_table(owner, kind)).encode())


def test_application_role_makes_partitions(owner: Connection, server: Embedded, application: Connection) -> None:
    """The one thing that it does as the owner; done twice, it makes nothing, and what it makes is closed as well."""
    owner.execute("ALTER TABLE vault.audit_record DETACH PARTITION vault." + _last_partition(owner))
    name = _last_partition(owner, attached=False)
    owner.execute(f"DROP TABLE vault.{name}")
    assert application.execute("SELECT vault.audit_make_partitions()").fetchone() == (1,)
    make_partitions(server.application_dsn)
    assert _last_partition(owner) == name
    with pytest.raises(errors.InsufficientPrivilege, match="only added"):
        owner.execute(f"TRUNCATE vault.{name}")
    for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"):
        found = owner.execute("SELECT has_table_privilege('vault_application', %s, %s)", (f"vault.{name}", right)).fetchone()
        assert found == (False,)


def _last_partition(connection: Connection, *, attached: bool = True) -> str:
    row = connection.execute(
        "SELECT max(relname::text) FROM pg_class WHERE relkind = 'r' AND relispartition = %s AND relname LIKE 'audit_record_%%'",
        (attached,),
    ).fetchone()
    assert row is not None
    return str(row[0])


def test_owner_is_told_from_the_application(server: Embedded) -> None:
    """A server that connects as the owner warns; one with a lesser role has nothing to warn of."""
    assert owns_records(server.dsn)
    assert not owns_records(server.application_dsn)


def test_lesser_role_migrates_nothing_and_says_who_must(server: Embedded, owner: Connection) -> None:
    """Up to date it is silent, in an empty database it names the command."""
    assert migration.migrate(server.application_dsn) == ()
    owner.execute("CREATE DATABASE empty")
    with pytest.raises(MigrationError, match="operator migrate"):
        migration.migrate(server.application_dsn.replace("dbname=postgres", "dbname=empty"))
    for role in ("nobody-there", "vault"):
        with pytest.raises(MigrationError, match="rights cannot be given"):
            migration.migrate(server.dsn, application_role=role)


def test_plain_roles_are_enough(server: Embedded, owner: Connection, device: str, tmp_path: Path) -> None:
    """Neither the owner nor the application is a superuser: the command gives the rights, also of tables that come later, and twice."""
    owner.execute("CREATE ROLE plain_owner LOGIN PASSWORD 'o'")
    owner.execute("CREATE ROLE plain_application LOGIN PASSWORD 'a'")
    owner.execute("CREATE DATABASE plain OWNER plain_owner")
    make = psycopg.conninfo.make_conninfo
    as_owner = make(server.dsn, user="plain_owner", password="o", passfile="/dev/null", dbname="plain")
    as_application = make(server.dsn, user="plain_application", password="a", passfile="/dev/null", dbname="plain")
    with pytest.raises(MigrationError, match="operator migrate"):
        migration.migrate(as_application)
    assert migration.migrate(as_owner)
    with pytest.raises(MigrationError, match="operator migrate"):
        migration.migrate(as_application)
    for _ in range(2):
        assert migration.migrate(as_owner, application_role="plain_application") == ()
    assert migration.migrate(as_application) == ()
    assert owns_records(as_owner)
    assert not owns_records(as_application)
    make_partitions(as_application)
    chain = Page().chain(TableSink(AuditRows(as_application, sync=False), device, now))
    chain.append(body(0))
    with psycopg.connect(as_application, autocommit=True) as connection:
        (log,) = list_logs(connection, device)
        assert check_log(connection, log, tmp_path) == 2
        connection.execute("INSERT INTO vault.entry VALUES ('a/', 'b', '', 1)")
        connection.execute("DELETE FROM vault.entry")
        for statement in (
            "DELETE FROM vault.audit_record",
            "DELETE FROM vault.migration",
            "TRUNCATE vault.entry",
            "CREATE TABLE vault.x()",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())
