"""Keeps this worker's cache honest about the writes of other hosts.

A host makes itself known, and its cache counts only after every transaction that could have overlooked it has ended. From then on
writers elsewhere tell it which counters to move. A worker whose listener gives no proof of life bypasses its cache.
"""

import threading

import psycopg
import structlog

from vault.clock import Clock
from vault.host import Generations
from vault.storage import statement
from vault.storage.cache import Cache
from vault.storage.connection import ARGUMENTS, BoundedConnection

CHANNEL = "vault_change"
FRESH_SECONDS = 5.0  # less than the eight seconds after which a host must make itself known again
_INTERVAL_SECONDS = 0.5

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
            except psycopg.Error as error:
                _log.warning("listener lost its connection, the cache is bypassed", cause=type(error).__name__)
                self._stop.wait(_INTERVAL_SECONDS)

    def _listen(self, connection: BoundedConnection) -> None:
        connection.execute(f"LISTEN {CHANNEL}")
        connection.execute(statement.FORGET_HOSTS.sql)
        self._register(connection)
        while not self._stop.is_set():
            for notice in connection.notifies(timeout=_INTERVAL_SECONDS, stop_after=1000):
                self.hear(notice.payload)
            asked_at = self._clock.monotonic()
            if connection.execute(statement.HEARTBEAT.sql, (self._host_id,)).fetchone() is None:
                self._register(connection)
            else:
                self._cache.fresh_until = asked_at + FRESH_SECONDS

    def _register(self, connection: BoundedConnection) -> None:
        """Make this host known, and wait until nobody is left who may not know it; then forget what was cached before."""
        row = connection.execute(statement.REGISTER.sql, (self._host_id,)).fetchone()
        transaction = row[0] if row else 0
        while not self._stop.is_set():
            asked_at = self._clock.monotonic()
            found = connection.execute(statement.OUTLIVES.sql, (transaction,)).fetchone()
            if found and found[0]:
                self._generations.bump_all()
                self._cache.fresh_until = asked_at + FRESH_SECONDS
                return
            self._stop.wait(0.02)

    def hear(self, payload: str) -> None:
        """Move the counters that another host's write names."""
        origin, _, slots = payload.partition(" ")
        if origin == self._host_id:  # this host's writers move their counters themselves
            return
        if slots == "*":
            self._generations.bump_all()
        else:
            self._generations.bump({int(slot) for slot in slots.split()})
