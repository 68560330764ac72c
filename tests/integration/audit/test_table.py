"""The device that adds records to a table, on a real PostgreSQL: what nobody may do to the table, and what becomes of the chain."""

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
from psycopg import errors

from tests.unit.vault.audit.world import Page, body, now
from vault.audit.chain import GENESIS, Chain, parse_line
from vault.audit.devices.postgres import TableSink
from vault.audit.verify import verify
from vault.errors import AuditFailed
from vault.host import AUDIT_LOCK, HostPage
from vault.storage import migration
from vault.storage.audit_rows import AuditRows, make_partitions, owns_records
from vault.storage.embedded import Embedded
from vault.storage.migration import MigrationError

Connection = psycopg.Connection[Any]


@pytest.fixture
def device() -> str:
    """Return the name of a device that no other test has."""
    return f"{os.urandom(4).hex()}/"


@pytest.fixture
def application(server: Embedded) -> Iterator[Connection]:
    """Return a connection of the application's role."""
    with psycopg.connect(server.application_dsn, autocommit=True) as connection:
        yield connection


def make_chain(server: Embedded, device: str, page: Page) -> Chain:
    """Return the chain of one worker."""
    return page.chain(TableSink(AuditRows(server.application_dsn), device, now))


def list_logs(connection: Connection, device: str) -> list[str]:
    """Return the logs of a device, oldest first."""
    rows = connection.execute("SELECT log FROM vault.audit_log WHERE device = %s ORDER BY begun_at", (device,)).fetchall()
    return [row[0] for row in rows]


def list_lines(connection: Connection, log: str) -> list[bytes]:
    """Return the lines of a log."""
    return [row[0] for row in connection.execute("SELECT line FROM vault.audit_record WHERE log = %s ORDER BY seq", (log,)).fetchall()]


def check_log(connection: Connection, log: str, folder: Path) -> int:
    """Verify a log as the file that it would be; return how many records it has."""
    copy = folder / log
    copy.write_bytes(b"".join(line + b"\n" for line in list_lines(connection, log)))
    report = verify([copy])
    assert report.ok, report
    return report.records


# -- what nobody may do ----------------------------------------------------------------------------------------------------------

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


# -- the chain -------------------------------------------------------------------------------------------------------------------


def test_records_are_those_of_a_file(server: Embedded, application: Connection, device: str, tmp_path: Path) -> None:
    """Two workers write one chain, whose lines verify as a file's; its first record says whose log it is."""
    page = Page()
    chains = [make_chain(server, device, page) for _ in range(2)]
    for index in range(6):
        chains[index % 2].append(body(index))
    (log,) = list_logs(application, device)
    assert check_log(application, log, tmp_path) == 7
    first = orjson.loads(list_lines(application, log)[0])
    assert (first["type"], first["device"], first["host"]) == ("begin", device, socket.gethostname())
    assert "before" not in first


def test_next_start_names_the_log_before(server: Embedded, application: Connection, device: str, tmp_path: Path) -> None:
    """Each start has a log of its own, and a tail that is cut off is told by the log after it. Two hosts have two logs."""
    first, second = make_chain(server, device, Page()), make_chain(server, device, Page())
    first.append(body(0))
    second.append(body(1))
    first.append(body(2))
    make_chain(server, device, Page()).append(body(3))
    logs = list_logs(application, device)
    assert [check_log(application, log, tmp_path) for log in logs] == [3, 2, 2]
    for before, log, count in ((logs[0], logs[1], 2), (logs[1], logs[2], 2)):
        named = orjson.loads(list_lines(application, log)[0])["before"]
        assert named == {"log": before, "seq": count, "hash": orjson.loads(list_lines(application, before)[count - 1])["hash"]}


def test_damaged_log_before_does_not_stop_a_start(server: Embedded, owner: Connection, device: str) -> None:
    """A last record that somebody has changed is named as damaged, and the server goes on."""
    owner.execute("INSERT INTO vault.audit_log VALUES (%s, %s, %s, now())", ("f" * 32, socket.gethostname(), device))
    owner.execute("INSERT INTO vault.audit_record VALUES (%s, 1, now(), 'nonsense')", ("f" * 32,))
    make_chain(server, device, Page()).append(body(0))
    assert orjson.loads(list_lines(owner, list_logs(owner, device)[1])[0])["before"]["damaged"] is True


def test_record_that_its_writer_did_not_note_is_taken_over(server: Embedded, application: Connection, device: str, tmp_path: Path) -> None:
    """A process killed after its commit and before its note leaves a record that the chain goes on from."""
    page = Page()
    chain = make_chain(server, device, page)
    chain.append(body(0))
    before = bytes(page.areas[0])
    chain.append(body(1))
    page.areas[0][:] = before
    with pytest.raises(AuditFailed):  # the table tells that this number is taken: nothing is added twice
        chain.append(body(2))
    chain.append(body(3))
    (log,) = list_logs(application, device)
    assert check_log(application, log, tmp_path) == 4
    ids = [orjson.loads(line).get("request", {}).get("id") for line in list_lines(application, log)]
    assert ids == [None, "id-0", "id-1", "id-3"]


def test_rows_that_vanished_are_named_by_a_new_log(server: Embedded, owner: Connection, device: str) -> None:
    """The table went back, as by a restored backup: one request is refused, and the next log names the record that is gone."""
    chain = make_chain(server, device, Page())
    for index in range(3):
        chain.append(body(index))
    (log,) = list_logs(owner, device)
    lost = parse_line(list_lines(owner, log)[-1])[1]
    partition = owner.execute("SELECT tableoid::regclass::text FROM vault.audit_record WHERE log = %s LIMIT 1", (log,)).fetchone()
    assert partition is not None
    owner.execute(f"ALTER TABLE {partition[0]} DISABLE TRIGGER ALL")
    owner.execute(f"DELETE FROM {partition[0]} WHERE log = '{log}' AND seq > 2")  # noqa: S608 - names of the catalogue
    owner.execute(f"ALTER TABLE {partition[0]} ENABLE TRIGGER ALL")
    with pytest.raises(AuditFailed):
        chain.append(body(3))
    chain.append(body(4))
    (_, after) = list_logs(owner, device)
    assert orjson.loads(list_lines(owner, after)[0])["before"] == {"log": log, "seq": 4, "hash": lost["hash"]}


def test_missing_partition_is_made(server: Embedded, owner: Connection, device: str) -> None:
    """Where nobody made the month's partition ahead, the first record does."""
    for row in owner.execute("SELECT relname FROM pg_class WHERE relispartition AND relkind = 'r'").fetchall():
        owner.execute(f"ALTER TABLE vault.audit_record DETACH PARTITION vault.{row[0]}")
        owner.execute(f"DROP TABLE vault.{row[0]}")
    chain = make_chain(server, device, Page())
    chain.append(body(0))
    assert len(list_lines(owner, list_logs(owner, device)[0])) == 2


def test_killed_writers_leave_no_gap(server: Embedded, application: Connection, device: str, tmp_path: Path) -> None:
    """Two processes write while one after the other is killed: every acknowledged record is there, once, in one chain."""
    page = HostPage()
    told: set[int] = set()
    for turn in range(6):
        reading, writing = os.pipe()
        pids = [_fork_writer(page, server.application_dsn, device, writing, 10_000 * (turn + 1) + 1_000 * number) for number in range(2)]
        os.close(writing)
        time.sleep(0.5)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        with os.fdopen(reading, "rb") as source:
            told |= {int(line) for line in source.read().split(b"\n")[:-1] if line}
    logs = list_logs(application, device)
    written = [orjson.loads(line).get("request", {}).get("id") for log in logs for line in list_lines(application, log)]
    assert sum(check_log(application, log, tmp_path) for log in logs) == len(written)
    assert len(told) > 20
    assert {f"id-{number}" for number in told} <= set(written)
    ids = [name for name in written if name]
    assert len(ids) == len(set(ids))
    assert len(logs) == 1


def _fork_writer(page: HostPage, dsn: str, device: str, told: int, first: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        chain = Chain(TableSink(AuditRows(dsn), device, now), page.audit_area(0), lambda: page.place_lock(AUDIT_LOCK), now)
        for number in range(first, first + 1_000):
            try:
                chain.append(body(number))
                os.write(told, b"%d\n" % number)
            except AuditFailed:
                continue
        time.sleep(30)
    finally:
        os._exit(0)


# -- when the database hangs -----------------------------------------------------------------------------------------------------


def test_locked_table_refuses_all_within_five_seconds(server: Embedded, device: str) -> None:
    """Eight threads of two workers and a table that somebody has locked: none waits for the waits of the others; free again, it goes on."""
    page = Page()
    chains = [make_chain(server, device, page) for _ in range(2)]
    for chain in chains:
        chain.append(body(0))
    waits: list[float] = []

    def write(chain: Chain) -> None:
        begun = time.monotonic()
        with pytest.raises(AuditFailed):
            chain.append(body(1))
        waits.append(time.monotonic() - begun)

    with psycopg.connect(server.dsn) as blocker:
        blocker.execute("LOCK TABLE vault.audit_record IN ACCESS EXCLUSIVE MODE")
        threads = [threading.Thread(target=write, args=(chains[index % 2],)) for index in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert len(waits) == 8
        assert max(waits) < 5
        write(chains[0])
        assert waits[-1] < 1  # known to hang: refused at once
        blocker.rollback()
    deadline = time.monotonic() + 10
    while True:
        try:
            chains[1].append(body(2))
            break
        except AuditFailed:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_black_hole_counts_as_hanging(device: str) -> None:
    """A host that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = TableSink(AuditRows(f"postgresql://x@127.0.0.1:{silent.getsockname()[1]}/x"), device, now)
        begun = time.monotonic()
        with pytest.raises(AuditFailed) as refused:
            Page().chain(sink).append(body(0))
        assert isinstance(refused.value.__cause__, TimeoutError)
        assert time.monotonic() - begun < 5


def test_nobody_there_is_refused_at_once(device: str) -> None:
    """A database that is down does not hang, and is asked again by the next record."""
    sink = TableSink(AuditRows("postgresql://x@127.0.0.1:1/x"), device, now)
    chain = Page().chain(sink)
    for _ in range(2):
        with pytest.raises(AuditFailed) as refused:
            chain.append(body(0))
        assert not isinstance(refused.value.__cause__, TimeoutError)


def test_first_record_begins_at_genesis(server: Embedded, application: Connection, device: str) -> None:
    """A log in the table begins as one in a file does."""
    make_chain(server, device, Page()).append(body(0))
    first = orjson.loads(list_lines(application, list_logs(application, device)[0])[0])
    assert (first["seq"], first["prev"]) == (1, GENESIS)
