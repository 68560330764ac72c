"""Rows in PostgreSQL. One round trip checks and applies all changes of a transaction, one more commits them.

Every call is bounded in time. A connection that died while idle is replaced and the call sent once more, which is safe for
everything up to the commit; a lost commit is looked up by the version that it wrote.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import errors, pq
from psycopg_pool import ConnectionPool, PoolTimeout

from vault import limits
from vault.errors import OutcomeUnknown, StorageUnavailable
from vault.storage import statement
from vault.storage.connection import ARGUMENTS, BoundedConnection
from vault.storage.physical import Change, Prepared, Row, WriteConflict

T = TypeVar("T")

_GUARD, _PUT, _DELETE = 0, 1, 2
_LAST = "\U0010ffff"
_ROW_CHANGED = "HV001"
_RETRIABLE = (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation, errors.LockNotAvailable)

def split_path(path: str) -> tuple[str, str]:
    """Return the folder of a path, with its slash, and the name in it."""
    index = path.rfind("/") + 1
    return path[:index], path[index:]


def range_end(prefix: str) -> str:
    """Return the first text after everything that starts with a prefix ending in a slash."""
    return prefix[:-1] + "0" if prefix else _LAST


class Postgres:
    """The rows of one database."""

    def __init__(self, dsn: str, connections: int, host_id: str = "") -> None:
        self._host_id = host_id
        self._dsn = dsn
        self._connections = connections
        self._pool = self._make_pool()

    def _make_pool(self) -> ConnectionPool[BoundedConnection]:
        return ConnectionPool(
            self._dsn,
            connection_class=BoundedConnection,
            kwargs=ARGUMENTS,
            min_size=1,
            max_size=self._connections,
            open=False,
            timeout=limits.STORAGE_TIMEOUT_SECONDS,
            reconnect_timeout=limits.STORAGE_TIMEOUT_SECONDS,
        )

    def open(self) -> None:
        """Open a pool of this process; call after the fork."""
        self._pool = self._make_pool()
        self._pool.open(wait=False)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    # -- connections --------------------------------------------------------------------------------------------------

    def _take(self) -> BoundedConnection:
        try:
            return self._pool.getconn(timeout=limits.STORAGE_TIMEOUT_SECONDS)
        except (PoolTimeout, psycopg.Error) as cause:
            raise StorageUnavailable from cause

    def _attempt(self, work: Callable[[BoundedConnection], T], *, keep: bool = False) -> T:
        """Run work that may be run twice; `keep` leaves the connection to what was made with it."""
        for last in (False, True):
            connection = self._take()
            try:
                result = work(connection)
            except WriteConflict:
                self.give_back(connection)
                raise
            except psycopg.Error as cause:
                broken = connection.closed
                self._abort(connection)
                self.give_back(connection)
                # A connection that died while it lay idle says nothing about the server: try once on another.
                if last or not broken:
                    raise StorageUnavailable from cause
                self._pool.check()
            except BaseException:
                self.give_back(connection)
                raise
            else:
                if not keep:
                    self.give_back(connection)
                return result
        raise StorageUnavailable

    def give_back(self, connection: BoundedConnection) -> None:
        """Return a connection to the pool, which replaces a broken one."""
        self._pool.putconn(connection)

    def _fetch(self, wanted: statement.Statement[Any], parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._attempt(lambda connection: connection.execute(wanted.sql, parameters, binary=True).fetchall())

    # -- reading ------------------------------------------------------------------------------------------------------

    def get(self, path: str) -> Row | None:
        """Return the row at exactly this path."""
        rows = self._fetch(statement.GET, split_path(path))
        return Row(bytes(rows[0][0]), rows[0][1]) if rows else None

    def list_children(self, prefix: str, after: str, limit: int | None) -> tuple[str, ...]:
        """Return names directly below a prefix, folders with a slash, in byte order, after `after`."""
        if after.endswith("/"):
            folders_from = prefix + after[:-1] + "0"
        else:
            folders_from = prefix + (after or "\x01")
        parameters = (prefix, range_end(prefix), after, folders_from, limit)
        return tuple(row[0] for row in self._fetch(statement.LIST_CHILDREN, parameters))

    def list_subtree(self, prefix: str, after: str, limit: int) -> tuple[str, ...]:
        """Return paths below a prefix, relative to it, in storage order, after `after`."""
        rows = self._fetch(statement.LIST_SUBTREE, (prefix, range_end(prefix), *split_path(prefix + after), limit))
        return tuple(row[0][len(prefix) :] for row in rows)

    def list_expired(self, before: float, limit: int) -> tuple[str, ...]:
        """Return paths whose expiry lies before a time, oldest first."""
        return tuple(row[0] for row in self._fetch(statement.LIST_EXPIRED, (before, limit)))

    # -- writing ------------------------------------------------------------------------------------------------------

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        """Check and apply changes in an open transaction."""
        return self._attempt(lambda connection: self._prepare(connection, version, changes, prefixes, notice), keep=True)

    def _prepare(
        self, connection: BoundedConnection, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str
    ) -> "_PreparedPostgres":
        places = [split_path(change.path) for change in changes]
        arrays = (
            [parent for parent, _ in places],
            [name for _, name in places],
            [_GUARD if change.value is None and not change.delete else _DELETE if change.delete else _PUT for change in changes],
            [change.expected for change in changes],
            [change.value for change in changes],
            [change.expires_at for change in changes],
            version,
            self._host_id,
            notice,
        )
        try:
            with connection.pipeline():
                connection.execute("BEGIN")
                applied = connection.execute(statement.APPLY.sql, arrays, binary=True)
                below = [connection.execute(statement.DELETE_BELOW.sql, (prefix, range_end(prefix))) for prefix in prefixes]
            created, removed = applied.fetchone() or ([], [])
            gone = frozenset(parent + name for cursor in below for parent, name in cursor.fetchall())
        except psycopg.Error as cause:
            self._abort(connection)
            if cause.sqlstate == _ROW_CHANGED or isinstance(cause, _RETRIABLE):
                detail = cause.diag.message_detail or "1"
                raise WriteConflict(changes[int(detail) - 1].path if detail.isdigit() and changes else "") from cause
            raise
        return _PreparedPostgres(
            self,
            connection,
            created=frozenset(changes[index - 1].path for index in created),
            removed=gone | frozenset(changes[index - 1].path for index in removed),
            witness=next(((change.path, change.delete) for change in changes if change.value is not None), None),
            version=version,
        )

    def _abort(self, connection: BoundedConnection) -> None:
        if not connection.closed and connection.info.transaction_status != pq.TransactionStatus.IDLE:
            try:
                connection.execute("ROLLBACK")
            except psycopg.Error:
                connection.close()


class _PreparedPostgres:
    """An open database transaction with all changes applied."""

    def __init__(
        self, owner: Postgres, connection: BoundedConnection, *, created: frozenset[str], removed: frozenset[str],
        witness: tuple[str, bool] | None, version: int,
    ) -> None:
        self.created = created
        self.removed = removed
        self._owner = owner
        self._connection = connection
        self._witness = witness
        self._version = version

    def commit(self) -> None:
        """Make the changes visible; raises OutcomeUnknown if that cannot be known, StorageUnavailable if they are not."""
        try:
            self._connection.execute("COMMIT")
        except psycopg.Error as cause:
            self._owner.give_back(self._connection)
            self._look_up(cause)
        else:
            self._owner.give_back(self._connection)

    def _look_up(self, cause: psycopg.Error) -> None:
        """The connection died around the commit: see whether a row that it wrote has its version."""
        if self._witness is None:
            raise OutcomeUnknown from cause
        try:
            row = self._owner.get(self._witness[0])
        except StorageUnavailable:
            raise OutcomeUnknown from cause
        if row is None or row.version != self._version:
            # Either it was not applied, or somebody has written the row since.
            raise OutcomeUnknown from cause

    def rollback(self) -> None:
        """Drop the changes."""
        try:
            self._connection.execute("ROLLBACK")
        except psycopg.Error:
            self._connection.close()
        self._owner.give_back(self._connection)
