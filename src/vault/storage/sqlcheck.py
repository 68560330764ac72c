"""Compares every statement's declaration with what PostgreSQL says of it.

Run as `python -m vault.storage.sqlcheck`: it prepares each statement against the migrated schema of a throw-away PostgreSQL, compares
parameter types, column names, column types and nullability, prints all mismatches, and exits 1 if there is one.
"""

import sys
import tempfile
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import psycopg
from psycopg import pq

from vault.storage import audit_statement, change_statement, evidence_statement, migration, statement
from vault.storage.embedded import Embedded

_PYTHON: dict[Any, frozenset[str]] = {
    bytes: frozenset({"bytea"}),
    str: frozenset({"text", "void"}),
    int: frozenset({"bigint", "integer", "smallint"}),
    float: frozenset({"double precision"}),
    bool: frozenset({"boolean"}),
}


STATEMENTS = (*statement.ALL, *change_statement.ALL, *audit_statement.ALL, *evidence_statement.ALL)


def check(dsn: str, statements: tuple[statement.Statement[Any], ...] = STATEMENTS) -> tuple[str, ...]:
    """Return what does not match, one sentence each."""
    with psycopg.connect(dsn, cursor_factory=psycopg.RawCursor) as connection:
        return tuple(fault for item in statements for fault in _check(connection, item))


def _check(connection: psycopg.Connection[Any], item: statement.Statement[Any]) -> Iterator[str]:
    text = " ".join(item.sql.split())
    prepared = connection.pgconn.prepare(b"checked", item.sql.encode())
    if prepared.status != pq.ExecStatus.COMMAND_OK:
        yield f"{text}: {prepared.error_message.decode(errors='replace').strip()}"
        connection.rollback()
        return
    described = connection.pgconn.describe_prepared(b"checked")
    connection.execute("DEALLOCATE checked")
    found = tuple(_type_name(connection, described.param_type(index)) for index in range(described.nparams))
    if found != item.parameters:
        yield f"{text}: parameters are {found}, declared {item.parameters}"
    declared = get_type_hints(item.row)
    columns = [(described.fname(index) or b"").decode() for index in range(described.nfields)]
    if columns != list(declared):
        yield f"{text}: columns are {columns}, declared {list(declared)}"
        return
    for index, (name, hint) in enumerate(declared.items()):
        yield from _check_column(connection, described, index, hint, f"{text}: {name}")


def _check_column(connection: psycopg.Connection[Any], described: Any, index: int, hint: Any, place: str) -> Iterator[str]:
    optional = get_origin(hint) is types.UnionType
    plain = next(part for part in get_args(hint) if part is not type(None)) if optional else hint
    found = _type_name(connection, described.ftype(index))
    if found not in _PYTHON[plain]:
        yield f"{place} is {found}, declared {hint}"
    if _is_nullable(connection, described.ftable(index), described.ftablecol(index)) and not optional:
        yield f"{place} may be null, declared {hint}"


def _type_name(connection: psycopg.Connection[Any], oid: int) -> str:
    row = connection.execute(statement.TYPE_NAME.sql, (oid,)).fetchone()
    return str(row[0]) if row else ""


def _is_nullable(connection: psycopg.Connection[Any], table: int, column: int) -> bool:
    """Return whether a column of a table may be null; an expression (table 0) is taken at its word."""
    row = connection.execute(statement.NULLABLE.sql, (table, column)).fetchone()
    return bool(row and row[0])


def main() -> int:
    """Check all statements over a fresh database."""
    with tempfile.TemporaryDirectory() as folder:
        embedded = Embedded(Path(folder) / "sqlcheck", throw_away=True)
        try:
            dsn = embedded.start()
            migration.migrate(dsn)
            faults = check(dsn)
        finally:
            embedded.stop()
    for fault in faults:
        print(fault, file=sys.stderr)  # noqa: T201 - a command line tool
    print(f"{len(STATEMENTS)} statements checked, {len(faults)} faults")  # noqa: T201 - a command line tool
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
