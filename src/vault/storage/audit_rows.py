"""Audit records in PostgreSQL, over a connection of their own: they stay when the transaction of their request does not.

Every call ends within a bound, whatever the server does. Surprise: a call that was given up may still be carried out by the server
later, so whoever goes on first reads what is there.
"""

import math
import os
import weakref
from collections.abc import Callable
from typing import Any

import psycopg
import structlog
from psycopg import errors, pq

from vault.clock import Clock, SystemClock
from vault.errors import StorageUnavailable
from vault.storage import audit_statement, budget
from vault.storage.binary import decode_int, encode
from vault.storage.connection import ARGUMENTS, BoundedConnection
from vault.storage.statement import Statement

CALL_SECONDS_MAX = 2.5  # connecting to a server that hangs takes two of them
_STATEMENT_MILLISECONDS = 1500  # the server gives up first: then the connection stays good
_OPTIONS = f"{ARGUMENTS['options']} -c statement_timeout={_STATEMENT_MILLISECONDS} -c lock_timeout={_STATEMENT_MILLISECONDS}"
_PARTITIONS_SECONDS = 6 * 3600.0  # they are made two months ahead
_HANGS = (errors.QueryCanceled, errors.LockNotAvailable, errors.ConnectionTimeout)

_log = structlog.get_logger(__name__)


class _Stale(OSError):
    """A connection that had been good was lost."""


class _Held:
    """A connection of this process. One that was inherited over a fork is not ours to use or to close."""

    def __init__(self) -> None:
        self._connection: BoundedConnection | None = None
        self._owner = 0

    @property
    def connection(self) -> BoundedConnection | None:
        return self._connection if self._owner == os.getpid() else None

    def connect(self, dsn: str, options: str) -> BoundedConnection:
        self.close()
        self._owner = os.getpid()
        self._connection = BoundedConnection.connect(dsn, **(ARGUMENTS | {"options": options}))
        return self._connection

    def close(self) -> None:
        if (connection := self.connection) is not None:
            connection.close()
        self._connection = None


class AuditRows:
    """The audit tables as one device of one worker sees them. Not for two threads at once."""

    def __init__(self, dsn: str, *, sync: bool = True) -> None:
        """`sync`: a record counts when it is on the database's disk."""
        self._dsn = dsn
        self._options = _OPTIONS if sync else f"{_OPTIONS} -c synchronous_commit=off"
        self._held = _Held()
        self._ends_at = math.inf
        weakref.finalize(self, self._held.close)  # a device that was disabled leaves no connection

    def allow(self, seconds: float) -> None:
        """Let all calls until the next one of this wait no longer than that, together."""
        self._ends_at = SystemClock.monotonic() + seconds

    def append(self, log: str, first: int, lines: list[bytes]) -> int:
        """Add records; return the last number of the log before: nothing was added unless it is one less than `first`."""
        try:
            return self._append(log, first, lines)
        except errors.CheckViolation:  # no partition for this month: nobody made it ahead
            self._ask(audit_statement.MAKE_PARTITIONS, ())
            return self._append(log, first, lines)

    def _append(self, log: str, first: int, lines: list[bytes]) -> int:
        result = self._ask(audit_statement.APPEND, (log, first, lines))
        return decode_int(result.get_value(0, 0))

    def list_after(self, log: str, number: int, limit: int) -> tuple[bytes, ...]:
        """Return records of a log after a number, in order."""
        result = self._ask(audit_statement.LIST_AFTER, (log, number, limit))
        return tuple(result.get_value(row, 0) or b"" for row in range(result.ntuples))

    def find_end(self, log: str) -> bytes | None:
        """Return the last record of a log; None if it has none."""
        result = self._ask(audit_statement.FIND_END, (log,))
        return result.get_value(0, 0) if result.ntuples else None

    def begin(self, log: str, host: str, device: str) -> None:
        """Note that a log begins."""
        self._ask(audit_statement.BEGIN_LOG, (log, host, device))

    def find_last(self, host: str, device: str) -> bytes | None:
        """Return the last record of the log that a host wrote before; None if there is none."""
        result = self._ask(audit_statement.LAST_LOG, (host, device))
        return result.get_value(0, 1) if result.ntuples else None

    def _ask(self, wanted: Statement[Any], parameters: tuple[Any, ...]) -> pq.abc.PGresult:
        with budget.separate(min(CALL_SECONDS_MAX, max(self._ends_at - SystemClock.monotonic(), 0.0))):
            try:
                return self._ask_once(wanted, parameters)
            except _Stale:
                # The connection died while it was idle, or with a server that is back by now. Whether it was done is not known;
                # `append` does nothing a second time, because its number is taken then.
                return self._ask_once(wanted, parameters)

    def _ask_once(self, wanted: Statement[Any], parameters: tuple[Any, ...]) -> pq.abc.PGresult:
        connection = self._held.connection
        was_idle = connection is not None and connection.is_quiet
        try:
            if connection is None or not was_idle:
                connection = self._held.connect(self._dsn, self._options)
            (result,) = connection.ask((wanted.sql, encode(wanted.parameters, parameters)))
        except errors.CheckViolation:
            raise
        except _HANGS as cause:
            raise TimeoutError("the database does not answer in time") from cause
        except psycopg.Error as cause:
            if connection is not None and connection.timed_out:
                raise TimeoutError("the database does not answer in time") from cause
            if was_idle and connection is not None and connection.closed:
                raise _Stale from cause
            raise OSError(f"the database took no record: {type(cause).__name__}") from cause
        return result


class PartitionChore:
    """Makes partitions ahead, now and then: a chore of the background work, which is called every few seconds."""

    def __init__(self, make: Callable[[], None], clock: Clock) -> None:
        self._make = make
        self._clock = clock
        self._next = 0.0

    def run(self) -> None:
        """Make partitions if that was not done within the last hours; raises StorageUnavailable."""
        if self._clock.monotonic() >= self._next:
            self._make()
            self._next = self._clock.monotonic() + _PARTITIONS_SECONDS


def make_partitions(dsn: str) -> None:
    """See to it that the coming months have partitions; raises StorageUnavailable."""
    try:
        with BoundedConnection.connect(dsn, **ARGUMENTS) as connection:
            connection.execute(audit_statement.MAKE_PARTITIONS.sql)
    except psycopg.Error as cause:
        raise StorageUnavailable from cause


def owns_records(dsn: str) -> bool:
    """Return whether the role of a connection could alter the audit table; raises StorageUnavailable."""
    try:
        with BoundedConnection.connect(dsn, **ARGUMENTS) as connection:
            row = connection.execute(audit_statement.OWNS_RECORDS.sql).fetchone()
    except psycopg.Error as cause:
        raise StorageUnavailable from cause
    return bool(row and row[0])
