"""The connections of one process, made by the threads that need them.

There is no thread of its own that connects again and backs off: when PostgreSQL is back, the next request finds it. A server that did
not answer in time is not asked again for a moment, so that one request does not wait for it several times, nor all threads at once.
"""

import threading
from collections import deque

import psycopg

from vault.clock import SystemClock
from vault.errors import StorageUnavailable
from vault.storage import budget
from vault.storage.connection import ARGUMENTS, BoundedConnection

_SPARED_SECONDS = 1.0
_CONNECT_SECONDS_MIN = 1.5  # connecting to a server that hangs takes two seconds, which must end in time
_monotonic = SystemClock.monotonic


class Pool:
    """At most so many connections, the last used first."""

    def __init__(self, dsn: str, connections: int) -> None:
        self._dsn = dsn
        self._places = threading.BoundedSemaphore(connections)
        self._idle: deque[BoundedConnection] = deque()
        self._closed = False
        self._spared_until = 0.0

    def close(self) -> None:
        """Close all connections, those in use as soon as they come back."""
        self._closed = True
        self._drop_idle()

    def take(self) -> BoundedConnection:
        """Return a connection that is alive as far as can be known without asking; raises StorageUnavailable in time."""
        if self._closed or _monotonic() < self._spared_until or not self._places.acquire(timeout=budget.remaining_seconds()):
            raise StorageUnavailable
        try:
            return self._find_idle() or self._connect()
        except BaseException:
            self._places.release()
            raise

    def _find_idle(self) -> BoundedConnection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if connection.is_quiet:
                return connection
            connection.close()

    def _connect(self) -> BoundedConnection:
        if budget.remaining_seconds() < _CONNECT_SECONDS_MIN:
            raise StorageUnavailable
        try:
            return BoundedConnection.connect(self._dsn, **ARGUMENTS)
        except psycopg.errors.ConnectionTimeout as cause:
            self._spare()
            raise StorageUnavailable from cause
        except psycopg.Error as cause:
            raise StorageUnavailable from cause

    def give_back(self, connection: BoundedConnection) -> None:
        """Take back a connection without an open transaction; a broken one is dropped."""
        if connection.timed_out:
            self._spare()
        if self._closed:
            connection.close()
        elif not connection.closed:
            self._idle.append(connection)
        self._places.release()

    def _spare(self) -> None:
        self._spared_until = _monotonic() + _SPARED_SECONDS
        self._drop_idle()

    def _drop_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return
