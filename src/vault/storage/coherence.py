"""Keeps this worker's cache honest about the writes of other hosts.

A host makes itself known, and its cache counts only after every transaction that could have overlooked it has ended. From then on
writers elsewhere tell it which counters to move. A worker whose listener gives no proof of life bypasses its cache. All times are
the database's or this process's own: the clocks of two hosts are never compared.
"""

import threading

import structlog

from vault import limits
from vault.clock import Clock
from vault.host import Generations
from vault.storage import statement
from vault.storage.cache import Cache
from vault.storage.connection import ARGUMENTS, BoundedConnection

# Writers tell a host that was seen within ten seconds. A heartbeat counts while the one before is younger than five; it may take
# four to be there for all to see. So no writer overlooks a host whose heartbeat is answered, and a cache is out of use before
# writers overlook its host.
FRESH_SECONDS = 2.0
_INTERVAL_SECONDS = 0.5
_LOOK_AGAIN_SECONDS = 0.02
_NOTICES_MAX = 1000  # at once, so that the heartbeat is not kept waiting by them

_log = structlog.get_logger(__name__)


class Listener:
    """The thread of one worker that hears of other hosts' writes."""

    def __init__(self, dsn: str, host_id: str, generations: Generations, cache: Cache, clock: Clock) -> None:
        self._dsn = dsn
        self._host_id = host_id
        self._generations = generations
        self._cache = cache
        self._clock = clock
        self._stop = threading.Event()

    def start(self) -> None:
        """Start listening; call after the fork."""
        threading.Thread(target=self._run, name="listener", daemon=True).start()

    def stop(self) -> None:
        """End the thread after its present step; the cache is bypassed from then on."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with BoundedConnection.connect(self._dsn, **ARGUMENTS) as connection:
                    self._listen(connection)
            except Exception as error:  # noqa: BLE001 - the thread must outlive any one failure
                if not self._stop.wait(_INTERVAL_SECONDS):
                    _log.warning("listener lost its connection, the cache is bypassed", cause=type(error).__name__)
            finally:
                self._cache.fresh_until = 0.0

    def _listen(self, connection: BoundedConnection) -> None:
        connection.execute(statement.NOT_DURABLE)
        connection.execute(statement.LISTEN)
        connection.execute(statement.FORGET_HOSTS.sql)
        self._register(connection)
        while not self._stop.is_set():
            self._hear_all(connection, _INTERVAL_SECONDS)
            if self._generations.doubt:
                self._outlive_writers(connection)
            asked_at = self._clock.monotonic()
            if not self._is_known(connection):
                self._register(connection)
                continue
            # What was committed before the question arrives before the answer.
            self._hear_all(connection, 0.0)
            self._cache.fresh_until = asked_at + FRESH_SECONDS

    def _is_known(self, connection: BoundedConnection) -> bool:
        return connection.execute(statement.HEARTBEAT.sql, (self._host_id,)).fetchone() is not None

    def _hear_all(self, connection: BoundedConnection, seconds: float) -> None:
        for notice in connection.notifies(timeout=seconds, stop_after=_NOTICES_MAX):
            self.hear(notice.payload)

    def _register(self, connection: BoundedConnection) -> None:
        """Make this host known, and wait until nobody is left who may not know it; then forget what was cached before.

        A writer takes its number before it looks for hosts. So one that overlooked this host has a number below the boundary, which
        is drawn after the host is there for all to see.
        """
        self._cache.fresh_until = 0.0
        connection.execute(statement.REGISTER.sql, (self._host_id,))
        self._outlive_writers(connection)

    def _outlive_writers(self, connection: BoundedConnection) -> None:
        """Wait until every transaction that is running now has ended; then forget what was cached before, and settle the doubt."""
        doubt = self._generations.doubt
        boundary = connection.execute(statement.BOUNDARY.sql).fetchone()
        while not self._stop.is_set():
            asked_at = self._clock.monotonic()
            if connection.execute(statement.OUTLIVES.sql, boundary).fetchone() == (True,):
                self._generations.settle(doubt)
                self._cache.fresh_until = asked_at + FRESH_SECONDS
                return
            if not self._is_known(connection):
                connection.execute(statement.REGISTER.sql, (self._host_id,))
                boundary = connection.execute(statement.BOUNDARY.sql).fetchone()
            self._stop.wait(_LOOK_AGAIN_SECONDS)

    def hear(self, payload: str) -> None:
        """Move the counters that another host's write names."""
        origin, _, named = payload.partition(" ")
        if origin == self._host_id:  # this host's writers move their counters themselves
            return
        slots = parse_slots(named)
        if slots is None:
            self._generations.move_all()
        else:
            self._generations.bump(slots)


def parse_slots(text: str) -> set[int] | None:
    """Return the counters that a notice names; None stands for all of them, and for what cannot be understood."""
    try:
        slots = {int(slot) for slot in text.split()}
    except ValueError:
        return None
    return slots if all(0 <= slot < limits.GENERATION_SLOTS for slot in slots) else None
