"""The connections of one process, made by the threads that need them.

There is no thread of its own that connects again and backs off: when PostgreSQL is back, the next request finds it. While a server does
not answer, one thread at a time asks it whether it is back; the others are refused after a moment, and so is the rest of that thread's
request.
"""

import threading
from collections import deque

import psycopg

from vault.clock import SystemClock
from vault.errors import StorageUnavailable
from vault.storage import budget
from vault.storage.connection import ARGUMENTS, BoundedConnection

_SPARED_SECONDS = 0.03  # longer than the rest of a request takes
_CONNECT_SECONDS_MIN = 1.5  # connecting to a server that hangs takes two seconds, which must end in time
_PATIENCE_SECONDS = 0.25  # a server that is back answers within that, and then nobody is refused who came meanwhile
_monotonic = SystemClock.monotonic


class _Thread(threading.local):
    spared_until = 0.0


class Pool:
    """At most so many connections, the last used first."""

    def __init__(self, dsn: str, connections: int) -> None:
        self._dsn = dsn
        self._places = threading.BoundedSemaphore(connections)
        self._idle: deque[BoundedConnection] = deque()
        self._closed = False
        self._hangs = False
        self._asking = threading.Lock()  # whether the server that hangs is back
        self._thread = _Thread()
        self.in_use = self.waits = self.refusals = 0
        self._counting = threading.Lock()

    def close(self) -> None:
        """Close all connections, those in use as soon as they come back."""
        self._closed = True
        self._drop_idle()

    def take(self, *, sure: bool = True) -> BoundedConnection:
        """Return a connection that is alive as far as can be known without asking; raises StorageUnavailable in time.

        Looking costs a system call. Who is not `sure` takes what was used last, and looks at the next one if that is dead.
        """
        try:
            connection = self._take(sure=sure)
        except StorageUnavailable:
            with self._counting:
                self.refusals += 1
            raise
        with self._counting:
            self.in_use += 1
        return connection

    @property
    def idle(self) -> int:
        """Return how many connections wait for work."""
        return len(self._idle)

    def _take(self, *, sure: bool) -> BoundedConnection:
        if self._closed or _monotonic() < self._thread.spared_until:
            raise StorageUnavailable
        if self._hangs and not self._ask_again():
            raise StorageUnavailable
        if not self._places.acquire(blocking=False):
            with self._counting:
                self.waits += 1
            if not self._places.acquire(timeout=budget.remaining_seconds()):
                raise StorageUnavailable
        try:
            return self._find_idle(sure=sure) or self._connect()
        except BaseException:
            self._places.release()
            raise

    def _ask_again(self) -> bool:
        """Return whether a server that hung is back, as one thread at a time may find out."""
        if not self._asking.acquire(timeout=_PATIENCE_SECONDS):
            return False
        try:
            if self._hangs:
                self._idle.append(self._connect())
                self._hangs = False
            return True
        finally:
            self._asking.release()

    def _find_idle(self, *, sure: bool) -> BoundedConnection | None:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                return None
            if not sure or connection.is_quiet:
                return connection
            connection.close()

    def _connect(self) -> BoundedConnection:
        if budget.remaining_seconds() < _CONNECT_SECONDS_MIN:
            raise StorageUnavailable
        try:
            return BoundedConnection.connect(self._dsn, **ARGUMENTS)
        except psycopg.errors.ConnectionTimeout as cause:
            self._note_silence()
            raise StorageUnavailable from cause
        except psycopg.Error as cause:
            raise StorageUnavailable from cause

    def give_back(self, connection: BoundedConnection) -> None:
        """Take back a connection without an open transaction; a broken one is dropped."""
        with self._counting:
            self.in_use -= 1
        if connection.timed_out:
            self._note_silence()
        if self._closed:
            connection.close()
        elif not connection.closed:
            self._idle.append(connection)
        self._places.release()

    def _note_silence(self) -> None:
        self._hangs = True
        self._thread.spared_until = _monotonic() + _SPARED_SECONDS
        self._drop_idle()

    def _drop_idle(self) -> None:
        while True:
            try:
                self._idle.pop().close()
            except IndexError:
                return
