"""Rows in PostgreSQL. One round trip checks and applies all changes of a transaction, one more commits them.

Every call is bounded in time. A connection that died while idle is replaced and the call sent once more, which is safe for
everything up to the commit. A lost commit is looked up over another connection by the number of its transaction and by the
version that it wrote: after a crash PostgreSQL may give the number of a lost transaction to another.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg import errors, pq

from vault.errors import InvalidRequest, OutcomeUnknown, StorageUnavailable
from vault.storage import budget, statement
from vault.storage.binary import decode_int, encode
from vault.storage.change_statement import EMPTY, TELL
from vault.storage.connection import BoundedConnection, Question
from vault.storage.physical import Change, Prepared, Row, WriteConflict, split_path
from vault.storage.pool import Pool
from vault.storage.step import Effect, Step, list_steps

T = TypeVar("T")

_LAST = "\U0010ffff"
_TRUE = b"\x01"
_RETRIABLE = (errors.DeadlockDetected, errors.SerializationFailure)
_REFUSED = (errors.DataError, errors.ProgramLimitExceeded)  # NUL in a path, a path too long for the index: never possible
_COMMIT_SECONDS_MIN = 0.5
_LOOK_AGAIN_SECONDS = 0.02


def _ask(asked: statement.Statement[Any], *values: Any) -> Question:
    return asked.sql, encode(asked.parameters, values)


def range_end(prefix: str) -> str:
    """Return the first text after everything that starts with a prefix ending in a slash."""
    return prefix[:-1] + "0" if prefix else _LAST


class Postgres:
    """The rows of one database."""

    def __init__(self, dsn: str, connections: int, host_id: str = "") -> None:
        self._host_id = host_id
        self._dsn = dsn
        self._connections = connections
        self._pool = Pool(dsn, connections)

    def open(self) -> None:
        """Begin with a pool of this process; call after the fork."""
        self._pool = Pool(self._dsn, self._connections)

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    @property
    def pool(self) -> Pool:
        """Return the connections of this process, to look at."""
        return self._pool

    # -- connections --------------------------------------------------------------------------------------------------

    def give_back(self, connection: BoundedConnection) -> None:
        """Return a connection to the pool, without an open transaction."""
        status = connection.pgconn.transaction_status
        if status in {pq.TransactionStatus.INTRANS, pq.TransactionStatus.INERROR}:
            try:
                connection.ask((statement.ROLLBACK, ()))
            except psycopg.Error:
                connection.close()
        elif status != pq.TransactionStatus.IDLE:  # in the middle of an exchange: what comes back next is not ours
            connection.close()
        self._pool.give_back(connection)

    def _attempt(self, work: Callable[[BoundedConnection], T], *, keep: bool = False) -> T:
        """Run work that may be run twice; `keep` leaves the connection to what was made with it."""
        with budget.limited():
            for last in (False, True):
                connection = self._pool.take(sure=last)
                kept = False
                try:
                    result = work(connection)
                    kept = keep
                except _REFUSED as cause:
                    raise InvalidRequest("the path or value cannot be stored") from cause
                except psycopg.Error as cause:
                    # A connection that has just died says nothing about the server: try once on another.
                    if last or not connection.closed or connection.timed_out:
                        raise StorageUnavailable from cause
                else:
                    return result
                finally:
                    if not kept:
                        self.give_back(connection)
        raise StorageUnavailable

    def _fetch(self, wanted: statement.Statement[Any], parameters: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        return self._attempt(lambda connection: connection.execute(wanted.sql, parameters, binary=True).fetchall())

    # -- reading ------------------------------------------------------------------------------------------------------

    def get(self, path: str) -> Row | None:
        """Return the row at exactly this path."""
        question = _ask(statement.GET, *split_path(path))
        (result,) = self._attempt(lambda connection: connection.ask(question))
        value = result.get_value(0, 0) if result.ntuples else None
        return None if value is None else Row(value, decode_int(result.get_value(0, 1)))

    def list_children(self, prefix: str, after: str, limit: int | None) -> tuple[str, ...]:
        """Return names directly below a prefix, folders with a slash, in byte order, after `after`."""
        folders_from = range_end(prefix + after) if after.endswith("/") else prefix + (after or "\x01")
        parameters = (prefix, range_end(prefix), after, folders_from, limit)
        return tuple(row[0] for row in self._fetch(statement.LIST_CHILDREN, parameters))

    def list_subtree(self, prefix: str, after: str, limit: int) -> tuple[str, ...]:
        """Return paths below a prefix, relative to it, in storage order, after `after`."""
        rows = self._fetch(statement.LIST_SUBTREE, (range_end(prefix), *split_path(prefix + after), limit))
        return tuple(row[0][len(prefix) :] for row in rows)

    def list_expired(self, before: float, limit: int, prefix: str = "") -> tuple[str, ...]:
        """Return paths below a prefix whose expiry lies before a time, oldest first."""
        return tuple(row[0] for row in self._fetch(statement.LIST_EXPIRED, (before, limit, prefix, range_end(prefix))))

    def count_subtree(self, prefix: str) -> int:
        """Return how many rows lie below a prefix. Reads all of their index entries: not for every request."""
        ((total,),) = self._fetch(statement.COUNT_SUBTREE, (prefix, range_end(prefix)))
        return int(total)

    # -- writing ------------------------------------------------------------------------------------------------------

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        """Check and apply changes in an open transaction."""
        steps = [*list_steps(changes, version)]
        questions = (
            (statement.BEGIN, ()),
            *(step.question for step in steps),
            *(_ask(EMPTY, prefix, range_end(prefix), version) for prefix in prefixes),
            _ask(TELL, self._host_id, notice),
        )
        return self._attempt(lambda connection: self._apply(connection, questions, steps, _Witness.of(changes, version)), keep=True)

    def _apply(
        self, connection: BoundedConnection, questions: Sequence[Question], steps: Sequence[Step], witness: "_Witness"
    ) -> "_PreparedPostgres":
        try:
            _, *results, told = connection.ask(*questions)
        except _RETRIABLE as cause:
            raise WriteConflict from cause
        created, removed = set(), set()
        for step, result in zip(steps, results, strict=False):
            touched = bool(result.command_tuples)
            if step.must_touch and not touched:
                raise WriteConflict(step.path)
            if step.effect is Effect.CREATED or (step.effect is Effect.TOLD and result.get_value(0, 0) == _TRUE):
                created.add(step.path)
            elif step.effect is Effect.REMOVED and touched:
                removed.add(step.path)
        for result in results[len(steps) :]:
            removed.update((result.get_value(row, 0) or b"").decode() for row in range(result.ntuples))
        transaction = decode_int(told.get_value(0, 0))
        return _PreparedPostgres(
            self, connection, created=frozenset(created), removed=frozenset(removed), witness=witness, transaction=transaction
        )

    def find_status(self, transaction: int) -> str | None:
        """Return what became of a transaction: `committed`, `aborted`, `in progress`; None if it is too old to be known."""
        try:
            rows = self._fetch(statement.TRANSACTION_STATUS, (transaction,))
        except InvalidRequest:  # a number of the future: it was given out before a crash, and nothing of it has survived
            return "aborted"
        return None if not rows else rows[0][0]


class _Witness(msgspec.Struct, frozen=True, kw_only=True):
    """By what a transaction is known again when the answer to its commit was lost."""

    path: str | None  # None: it only emptied folders
    version: int | None  # None: the row is gone

    @classmethod
    def of(cls, changes: Sequence[Change], version: int) -> "_Witness":
        """Return the first row that the transaction wrote."""
        for change in changes:
            if change.is_write:
                return cls(path=change.path, version=None if change.delete else version)
        return cls(path=None, version=None)

    def is_seen(self, physical: Postgres) -> bool:
        """Return whether the row is as the transaction left it."""
        if self.path is None:  # its number alone proves nothing
            return False
        row = physical.get(self.path)
        return (None if row is None else row.version) == self.version


class _PreparedPostgres:
    """An open database transaction with all changes applied."""

    def __init__(
        self,
        owner: Postgres,
        connection: BoundedConnection,
        *,
        created: frozenset[str],
        removed: frozenset[str],
        witness: _Witness,
        transaction: int,
    ) -> None:
        self.created = created
        self.removed = removed
        self._owner = owner
        self._connection = connection
        self._witness = witness
        self._transaction = transaction

    def commit(self) -> None:
        """Make the changes visible; raises StorageUnavailable if they are not, OutcomeUnknown if that cannot be known."""
        with budget.limited(), budget.extended(_COMMIT_SECONDS_MIN):
            try:
                self._connection.ask((statement.COMMIT, ()))
            except psycopg.Error as cause:
                lost: psycopg.Error = cause
            else:
                return
            finally:
                self._owner.give_back(self._connection)
        with budget.limited(), budget.extended(_COMMIT_SECONDS_MIN):
            self._look_up(lost)

    def _look_up(self, cause: psycopg.Error) -> None:
        try:
            status = self._await_status()
            if status == "committed" and self._witness.is_seen(self._owner):
                return
        except StorageUnavailable:
            raise OutcomeUnknown from cause
        if status == "aborted":
            raise StorageUnavailable from cause
        raise OutcomeUnknown from cause

    def _await_status(self) -> str | None:
        # The server may be at work on the commit while the client has lost it.
        while (status := self._owner.find_status(self._transaction)) == "in progress" and budget.remaining_seconds():
            time.sleep(_LOOK_AGAIN_SECONDS)
        return status

    def rollback(self) -> None:
        """Drop the changes."""
        with budget.limited(), budget.extended(_COMMIT_SECONDS_MIN):
            self._owner.give_back(self._connection)
