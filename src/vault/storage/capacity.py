"""Whether PostgreSQL has room for the connections that the workers of a host may open.

Connections are opened by the threads that need them. So a server with too small a PostgreSQL seems to work, and refuses requests when it
becomes busy. That is told at the start, with the numbers; refused is only what could not work at all.
"""

import psycopg
import structlog

from vault.errors import VaultError
from vault.storage import statement
from vault.storage.connection import ARGUMENTS, BoundedConnection

SPARE = 2  # connections of a worker's pool beyond one for each thread: for its background work
_LISTENER = 1
_LEAST = 2  # of a worker: to listen, and to work
_OTHERS = 20  # beside the workers: who administers the database, who backs it up, a host that replaces this one worker by worker

_log = structlog.get_logger(__name__)


class NoRoom(VaultError):
    """PostgreSQL takes fewer connections than the workers need to do anything."""

    message = "PostgreSQL takes too few connections"


def count_connections(workers: int, threads: int, tables: int = 0) -> int:
    """Return how many connections the workers of a host may open; each holds one more for each audit device that is a table."""
    return workers * (threads + SPARE + _LISTENER + tables)


def choose_limit(workers: int, threads: int, tables: int = 0) -> int:
    """Return the limit for a PostgreSQL that serves these workers only."""
    return count_connections(workers, threads, tables) + _OTHERS


def check_room(dsn: str, workers: int, threads: int, tables: int = 0) -> None:
    """Warn if the workers may open more connections than there is room for; raises NoRoom if they could not work at all."""
    with BoundedConnection.connect(dsn, **ARGUMENTS) as connection:
        row = connection.execute(statement.ROOM.sql).fetchone()
    if row is None:
        raise psycopg.OperationalError("PostgreSQL does not tell its limits")
    room = statement.Room(*row)
    needed = count_connections(workers, threads, tables)
    numbers = (
        f"{workers} workers of {threads} threads may open {needed} connections; "
        f"PostgreSQL allows {room.allowed}, of which others hold {room.taken}"
    )
    if workers * _LEAST > room.allowed:
        raise NoRoom(f"{numbers}: take fewer workers or raise max_connections")
    if needed > room.allowed - room.taken:
        _log.warning(f"{numbers}: when more are needed, requests are refused; take fewer workers or threads, or raise max_connections")
