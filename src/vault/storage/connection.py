"""A PostgreSQL connection whose every wait has an end, also when the server hangs and can keep no timeout of its own."""

from typing import Any, TypeVar

import psycopg
import psycopg.errors
from psycopg.abc import PQGen

from vault import limits
from vault.storage import budget

T = TypeVar("T")

_INTERVAL_SECONDS = 0.1

# The server gives up a second before the client does: then the connection stays good, and the answer says why.
_STATEMENT_MILLISECONDS = int(limits.STORAGE_TIMEOUT_SECONDS * 1000) - 1000
_IDLE_MILLISECONDS = int(limits.STORAGE_TIMEOUT_SECONDS * 2000)  # between prepare and commit lies a record of the audit devices
_OPTIONS = (
    f"-c statement_timeout={_STATEMENT_MILLISECONDS} -c lock_timeout={_STATEMENT_MILLISECONDS} "
    f"-c idle_in_transaction_session_timeout={_IDLE_MILLISECONDS} -c jit=off -c application_name=health-vault"
)

# How every connection of the service is made.
ARGUMENTS: dict[str, Any] = {
    "autocommit": True,
    "options": _OPTIONS,
    "connect_timeout": 2,
    "prepare_threshold": 0,
    "cursor_factory": psycopg.RawCursor,
    "tcp_user_timeout": int(limits.STORAGE_TIMEOUT_SECONDS * 1000),
    "keepalives_idle": 1,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}


class BoundedConnection(psycopg.Connection[tuple[Any, ...]]):
    """A connection that gives up, and closes itself, when an answer takes longer than its thread has time."""

    def wait(self, gen: PQGen[T], interval: float = _INTERVAL_SECONDS, timeout: float | None = None) -> T:
        """Run one exchange with the server; raises OperationalError when the time is over."""
        if timeout is not None:  # waiting for a notice: that none comes is no failure
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, budget.remaining_seconds())
        except psycopg.errors._WaitTimeout as cause:  # noqa: SLF001 - the one that the method is documented to raise
            self.pgconn.finish()
            raise psycopg.OperationalError("the server did not answer in time") from cause
