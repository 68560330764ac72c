"""A PostgreSQL connection whose every wait has an end, also when the server hangs and can keep no timeout of its own."""

import itertools
import select
from collections.abc import Sequence
from typing import Any, Self, TypeVar

import psycopg
import psycopg.errors
from psycopg import pq, waiting
from psycopg.abc import PQGen, PQGenConn

from vault import limits
from vault.storage import budget

T = TypeVar("T")
Question = tuple[str, Sequence[bytes | None]]  # SQL and its parameters in binary form

_SYNC = pq.ExecStatus.PIPELINE_SYNC
_SUCCESSES = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK})

_INTERVAL_SECONDS = 0.1
CONNECT_SECONDS_MAX = 2

# The server gives up a second before the client does: then the connection stays good, and the answer says why. It counts anew for each
# statement, and those of a transaction are sent together: so that two of them may wait for locks, each waits for half of the time.
_STATEMENT_MILLISECONDS = int(limits.STORAGE_TIMEOUT_SECONDS * 1000) - 1000
_IDLE_MILLISECONDS = int(limits.STORAGE_TIMEOUT_SECONDS * 2000)  # between prepare and commit lies a record of the audit devices
_OPTIONS = (
    f"-c statement_timeout={_STATEMENT_MILLISECONDS} -c lock_timeout={_STATEMENT_MILLISECONDS // 2} "
    f"-c idle_in_transaction_session_timeout={_IDLE_MILLISECONDS} -c jit=off -c application_name=health-vault"
)

# How every connection of the service is made.
ARGUMENTS: dict[str, Any] = {
    "autocommit": True,
    "options": _OPTIONS,
    "connect_timeout": CONNECT_SECONDS_MAX,
    "prepare_threshold": 0,
    "cursor_factory": psycopg.RawCursor,
    "tcp_user_timeout": int(limits.STORAGE_TIMEOUT_SECONDS * 1000),
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up, and closes itself, when an answer takes longer than its thread has time."""

    def __init__(self, pgconn: pq.abc.PGconn, *arguments: Any) -> None:
        super().__init__(pgconn, *arguments)
        self.timed_out = False
        self._names: dict[str, bytes] = {}
        self._numbers = itertools.count()
        self._poll = select.poll()
        self._poll.register(pgconn.socket, select.POLLIN)

    @classmethod
    def _connect_gen(cls, conninfo: str = "") -> PQGenConn[Self]:
        """Connect within what is left of the thread's time; the library alone would give each address of a host whole seconds."""
        seconds = min(budget.remaining_seconds(), CONNECT_SECONDS_MAX)
        if seconds <= 0:
            raise psycopg.errors.ConnectionTimeout("no time is left to connect")
        yield from ()  # nothing is left for the library to wait for
        return waiting.wait_conn(super()._connect_gen(conninfo), _INTERVAL_SECONDS, seconds)

    def wait(self, gen: PQGen[T], interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> T:
        """Run one exchange with the server; raises OperationalError when the time is over."""
        if timeout is not None:  # waiting for a notice: that none comes is no failure
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, budget.remaining_seconds())
        except psycopg.errors._WaitTimeout as cause:  # noqa: SLF001 - the one that the method is documented to raise
            raise self._give_up() from cause

    # -- the short way ------------------------------------------------------------------------------------------------
    # A cursor costs several times what the server needs for one row. So what every request does goes through libpq directly.

    def ask(self, *questions: Question) -> list[pq.abc.PGresult]:
        """Run prepared statements in one round trip, and return their results in binary form; raises psycopg.Error."""
        pgconn = self.pgconn
        pgconn.enter_pipeline_mode()
        names = self._names
        fresh = [*{sql: None for sql, _ in questions if sql not in names}]
        for sql in fresh:
            names[sql] = b"vault_%d" % next(self._numbers)
            pgconn.send_prepare(names[sql], sql.encode())
        for sql, parameters in questions:
            pgconn.send_query_prepared(names[sql], parameters, [1] * len(parameters), 1)
        pgconn.pipeline_sync()
        self._flush()
        results = self._receive()
        pgconn.exit_pipeline_mode()
        for sql, result in zip(fresh, results, strict=False):
            if result.status not in _SUCCESSES:  # what could be prepared stays so, whatever became of the rest
                del names[sql]
        for result in results:
            if result.status not in _SUCCESSES:
                raise _error_of(result)
        return results[len(fresh) :] if fresh else results

    def take_notices(self) -> list[str]:
        """Return the payloads of the notices that came with the answers so far."""
        notices: list[str] = []
        while (notice := self.pgconn.notifies()) is not None:
            notices.append(notice.extra.decode())
        return notices

    def _flush(self) -> None:
        """Send what is queued, and read meanwhile: two who only write would wait for each other."""
        while self.pgconn.flush():
            self._poll.modify(self.pgconn.socket, select.POLLIN | select.POLLOUT)
            try:
                self._await()
            finally:
                self._poll.modify(self.pgconn.socket, select.POLLIN)
            self.pgconn.consume_input()

    def _receive(self) -> list[pq.abc.PGresult]:
        pgconn = self.pgconn
        results: list[pq.abc.PGresult] = []
        while True:
            while pgconn.is_busy():
                self._await()
                pgconn.consume_input()
            result = pgconn.get_result()
            if result is None and pgconn.status != pq.ConnStatus.OK:
                raise psycopg.OperationalError("the connection is lost")
            while result is not None:
                if result.status == _SYNC:
                    return results
                results.append(result)
                result = pgconn.get_result()  # None: what ends the answer to a statement comes with it, and is not waited for

    def _await(self) -> None:
        if not self._poll.poll(budget.remaining_seconds() * 1000):
            raise self._give_up()

    def _give_up(self) -> psycopg.OperationalError:
        self.timed_out = True
        self.pgconn.finish()
        return psycopg.OperationalError("the server did not answer in time")

    @property
    def is_quiet(self) -> bool:
        """Return whether an idle connection has nothing to tell: what it would tell is that it is over."""
        return not self.closed and not self._poll.poll(0)


def _error_of(result: pq.abc.PGresult) -> psycopg.Error:
    state = (result.error_field(pq.DiagnosticField.SQLSTATE) or b"").decode()
    try:
        return psycopg.errors.lookup(state)(state)
    except KeyError:
        return psycopg.DatabaseError(state)
