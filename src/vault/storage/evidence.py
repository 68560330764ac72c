"""Checkpoints in their table, audit records as they are read back, and the partitions that are old enough to go.

Each use has a connection of its own: all of this is away from the requests, and may take longer than one of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict

from vault.errors import StorageUnavailable
from vault.storage import evidence_statement
from vault.storage.connection import ARGUMENTS, BoundedConnection
from vault.storage.evidence_statement import End, Partition, Record

CLOSING = "closing"  # the chain of the closing records
_READ_ARGUMENTS: dict[str, Any] = {
    "connect_timeout": 5,
    "cursor_factory": psycopg.RawCursor,
    "options": "-c application_name=health-vault-audit -c default_transaction_isolation=repeatable\\ read",
}
_RETENTION_ARGUMENTS = ARGUMENTS | {"options": "-c statement_timeout=300000 -c lock_timeout=3000 -c application_name=health-vault"}
_ROWS_AT_ONCE = 1_000
_NUMBER_MIN = -(2**63)  # rows under numbers that no record can have are read, too: somebody put them there


class Taken(OSError):
    """Another line has the number of this one."""


class CheckpointTable:
    """The table of the checkpoints, as those who write to it see it."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def add(self, log: str, number: int, line: bytes) -> None:
        """Add a line; one that is there already stays. Raises StorageUnavailable, Taken."""
        try:
            with BoundedConnection.connect(self._dsn, **ARGUMENTS) as connection:
                if connection.execute(evidence_statement.ADD_CHECKPOINT.sql, (log, number, line)).fetchone():
                    return
                found = connection.execute(evidence_statement.GET_CHECKPOINT.sql, (log, number), binary=True).fetchone()
        except psycopg.Error as cause:
            raise StorageUnavailable from cause
        if found is None or found[0] != line:
            raise Taken(f"another checkpoint {number} of {log} is in the table")


class Partitions:
    """The partitions of the audit table."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    def list_ended(self, before: float) -> tuple[Partition, ...]:
        """Return the partitions that end before a time, oldest first."""
        with self._connect() as connection:
            rows = connection.execute(evidence_statement.LIST_PARTITIONS.sql).fetchall()
        return tuple(Partition(*row) for row in rows if row[2] <= before)

    def find_ends(self, first: Partition, last: Partition) -> tuple[End, ...] | None:
        """Return how each log ends in these partitions; None where one goes on in a later partition with an earlier record.

        That comes about where the clock of the database was set back at the turn of a month.
        """
        with self._connect() as connection:
            rows = connection.execute(evidence_statement.LIST_ENDS.sql, (first.starts, last.ends), binary=True).fetchall()
            ends = tuple(End(*row) for row in rows)
            for end in ends:
                beyond = connection.execute(evidence_statement.REACHES_BEYOND.sql, (end.log, end.last, last.ends)).fetchone()
                if beyond and beyond[0]:
                    return None
        return ends

    def detach(self, name: str, retention_days: int) -> bool:
        """Take a partition out of the table; False if it is not in it."""
        with self._connect() as connection:
            row = connection.execute(evidence_statement.DETACH_PARTITION.sql, (name, retention_days)).fetchone()
        return bool(row and row[0])

    @contextmanager
    def _connect(self) -> Iterator[psycopg.Connection[Any]]:
        try:
            with psycopg.connect(self._dsn, **_RETENTION_ARGUMENTS) as connection:
                yield connection
        except psycopg.Error as cause:
            raise StorageUnavailable from cause


class AuditReader:
    """The audit tables as somebody reads them who writes nothing: one picture of them, whatever is added meanwhile."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        connection.server_cursor_factory = psycopg.RawServerCursor
        self._connection = connection

    def list_logs(self) -> tuple[str, ...]:
        """Return the names of all logs that have records."""
        return tuple(row[0] for row in self._connection.execute(evidence_statement.LIST_LOGS.sql).fetchall())

    def records(self, log: str, start: int = _NUMBER_MIN) -> Iterator[Record]:
        """Yield the records of a log from a number on, in order."""
        for row in self._stream(evidence_statement.LIST_RECORDS.sql, (log, start)):
            yield Record(*row)

    def list_latest(self, log: str, limit: int) -> tuple[Record, ...]:
        """Return the last records of a log, in order."""
        rows = self._connection.execute(evidence_statement.LIST_LATEST.sql, (log, limit), binary=True).fetchall()
        return tuple(Record(*row) for row in rows)

    def lines_between(self, since: float, until: float) -> Iterator[bytes]:
        """Yield the records of all logs that the table took from one time up to another, in order of time."""
        for partition in self._connection.execute(evidence_statement.LIST_PARTITIONS.sql).fetchall():
            start, end = max(partition[1], since), min(partition[2], until)
            if start < end:
                yield from (row[0] for row in self._stream(evidence_statement.LIST_BETWEEN.sql, (start, end)))

    def checkpoints(self) -> Iterator[bytes]:
        """Yield all checkpoints and closing records, chain by chain."""
        yield from (row[0] for row in self._stream(evidence_statement.LIST_CHECKPOINTS.sql, ()))

    def refresh(self) -> None:
        """Take a new picture."""
        self._connection.rollback()

    def _stream(self, sql: str, parameters: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
        with self._connection.cursor("audit", binary=True) as cursor:
            cursor.itersize = _ROWS_AT_ONCE
            cursor.execute(sql, parameters)
            yield from cursor


@contextmanager
def open_reader(dsn: str) -> Iterator[AuditReader]:
    """Read the audit tables of a database; raises StorageUnavailable."""
    try:
        with psycopg.connect(dsn, **_READ_ARGUMENTS) as connection:
            connection.read_only = True
            yield AuditReader(connection)
    except psycopg.Error as cause:
        raise StorageUnavailable from cause


def names_password(dsn: str) -> bool:
    """Return whether a password stands in a connection URL; raises ValueError if it is none."""
    try:
        return bool(conninfo_to_dict(dsn).get("password"))
    except psycopg.Error as cause:
        raise ValueError("not a connection URL") from cause
