"""Keeps this worker's cache honest about the writes of other hosts.

A host makes itself known, and its cache counts only after every transaction that could have overlooked it has ended. From then on
writers elsewhere tell it which counters to move. While there are other hosts, every request asks, before it reads, for what it was
not told yet: PostgreSQL delivers the notices of all acknowledged commits before it answers. So a request never depends on how fast a
notice is. A worker that gets no answer bypasses its cache. All times are the database's or this process's own: the clocks of two
hosts are never compared.
"""

import threading
from contextlib import suppress

import psycopg
import structlog

from vault import limits
from vault.clock import Clock
from vault.host import Generations
from vault.storage import budget, statement
from vault.storage.binary import decode_int, encode
from vault.storage.cache import Cache
from vault.storage.connection import ARGUMENTS, BoundedConnection, Question

# Writers tell a host that was seen within ten seconds. A heartbeat counts while the one before is younger than five; it may take
# one to be there for all to see. So no writer overlooks a host whose heartbeat is answered, and a cache is out of use before
# writers overlook its host.
FRESH_SECONDS = 2.0
ANSWER_SECONDS_MAX = 1.0  # a request waits for so long, once, before it reads from the database what it has in its cache
_ANNOUNCED_SECONDS_MAX = 5.0
_INTERVAL_SECONDS = 0.5
_LOOK_AGAIN_SECONDS = 0.02
_TRUE = b"\1"

_log = structlog.get_logger(__name__)


class Listener:
    """What one worker hears of other hosts' writes: a connection, and a thread that keeps it and the host's registration alive."""

    def __init__(self, dsn: str, host_id: str, generations: Generations, cache: Cache, clock: Clock) -> None:
        self._dsn = dsn
        self._host_id = host_id
        self._generations = generations
        self._cache = cache
        self._clock = clock
        self._stop = threading.Event()
        self._asking = threading.Lock()  # of those who use the connection or change what follows
        self._connection: BoundedConnection | None = None  # None: nobody may ask, and the cache is out of use
        self._asked_at = 0.0
        self._announced = threading.Event()

    def start(self) -> None:
        """Start listening; call after the fork."""
        threading.Thread(target=self._run, name="listener", daemon=True).start()

    def await_announced(self) -> None:
        """Wait until all other hosts know of this one: then they ask. Without an answer of PostgreSQL, for a few seconds only."""
        self._announced.wait(_ANNOUNCED_SECONDS_MAX)

    def stop(self) -> None:
        """End the thread after its present step; the cache is bypassed from then on."""
        self._stop.set()

    # -- of the requests ----------------------------------------------------------------------------------------------

    def ask(self) -> None:
        """Hear of all that was acknowledged before now; if that cannot be heard, the cache is out of use."""
        came_at = self._clock.monotonic()
        with self._asking:
            # Somebody may have asked after this caller came, and then has heard for both.
            if self._connection is None or self._asked_at > came_at:
                return
            try:
                self._beat(self._connection)
            except psycopg.Error:
                self._give_up()

    def _beat(self, connection: BoundedConnection) -> bool:
        """Give a sign of life and hear of all that was committed; return whether this host is known, and its cache good for a while."""
        asked_at = self._clock.monotonic()
        shared = self._put(connection, self._about_host(statement.HEARTBEAT))
        if shared is None:
            self._cache.fresh_until = 0.0
            self._connection = None
            return False
        if shared == _TRUE and self._cache.ask is None:
            # Requests are on their way that were not told to ask. They read from the database until this has asked for them.
            self._cache.fresh_until = 0.0
            self._cache.ask = self.ask
            return self._beat(connection)
        self._cache.ask = self.ask if shared == _TRUE else None
        self._cache.fresh_until = asked_at + FRESH_SECONDS
        self._asked_at = asked_at
        return True

    def _put(self, connection: BoundedConnection, question: Question) -> bytes | None:
        """Ask, and hear what was committed before: it arrives before the answer. Return the first value of the answer."""
        with budget.shortened(ANSWER_SECONDS_MAX):
            (result,) = connection.ask(question)
        for notice in connection.take_notices():
            self.hear(notice)
        return result.get_value(0, 0) if result.ntuples else None

    def _give_up(self) -> None:
        self._cache.fresh_until = 0.0
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    # -- of the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with BoundedConnection.connect(self._dsn, **ARGUMENTS) as connection:
                    self._listen(connection)
            except Exception as error:  # noqa: BLE001 - the thread must outlive any one failure
                if not self._stop.wait(_INTERVAL_SECONDS):
                    _log.warning("listener lost its connection, the cache is bypassed", cause=type(error).__name__)
            finally:
                with self._asking:
                    self._give_up()

    def _listen(self, connection: BoundedConnection) -> None:
        for text in (statement.NOT_DURABLE, statement.LISTEN, statement.FORGET_HOSTS.sql):
            self._put(connection, (text, ()))
        self._announce(connection)
        self._register(connection)
        while not self._stop.wait(_INTERVAL_SECONDS):
            if self._generations.doubt:
                self._outlive_writers(connection)
            if not self._keep_known(connection):
                self._register(connection)

    def _announce(self, connection: BoundedConnection) -> None:
        """Make this host known, and give those that may believe they are alone the time to find out: as long as they trust their caches.

        A sibling may have made it known a moment ago, and then there is less to wait.
        """
        if self._put(connection, self._about_host(statement.HEARTBEAT)) is None:
            self._put(connection, self._about_host(statement.REGISTER))
            self._generations.announced_at = self._clock.monotonic()
        if self._put(connection, self._about_host(statement.HEARTBEAT)) == _TRUE:
            now = self._clock.monotonic()
            self._stop.wait((self._generations.announced_at or now) + FRESH_SECONDS - now)
        self._announced.set()

    def _keep_known(self, connection: BoundedConnection) -> bool:
        """Give a sign of life and let the requests ask; return whether this host is known."""
        with self._asking:
            if connection.closed:  # a request has given it up
                raise psycopg.OperationalError("the connection is lost")
            self._connection = connection
            return self._beat(connection)

    def _about_host(self, about: statement.Statement[statement.Beat] | statement.Statement[statement.Host]) -> Question:
        return about.sql, encode(about.parameters, (self._host_id,))

    def _register(self, connection: BoundedConnection) -> None:
        """Make this host known, and wait until nobody is left who may not know it; then forget what was cached before.

        A writer takes its number before it looks for hosts. So one that overlooked this host has a number below the boundary, which
        is drawn after the host is there for all to see.
        """
        self._retire()
        self._put(connection, self._about_host(statement.REGISTER))
        self._outlive_writers(connection)

    def _retire(self) -> None:
        """Take cache and connection away from the requests."""
        with self._asking:
            self._cache.fresh_until = 0.0
            self._connection = None

    def _outlive_writers(self, connection: BoundedConnection) -> None:
        """Wait until every transaction that is running now has ended; then forget what was cached before, and settle the doubt."""
        self._retire()
        doubt = self._generations.doubt
        boundary = self._draw_boundary(connection)
        while not self._stop.is_set():
            if self._put(connection, (statement.OUTLIVES.sql, encode(statement.OUTLIVES.parameters, (boundary,)))) == _TRUE:
                self._generations.settle(doubt)
                if self._keep_known(connection):
                    return
            if self._put(connection, self._about_host(statement.HEARTBEAT)) is None:
                self._retire()
                self._put(connection, self._about_host(statement.REGISTER))
                boundary = self._draw_boundary(connection)
            self._stop.wait(_LOOK_AGAIN_SECONDS)

    def _draw_boundary(self, connection: BoundedConnection) -> int:
        return decode_int(self._put(connection, (statement.BOUNDARY.sql, ())))

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


def retire(dsn: str, host_id: str) -> None:
    """Have the other hosts stop asking for this one's writes at once, and the next start not wait; call when all workers have ended."""
    with suppress(psycopg.Error), BoundedConnection.connect(dsn, **ARGUMENTS) as connection:
        connection.execute(statement.FORGET_HOST.sql, (host_id,))


def parse_slots(text: str) -> set[int] | None:
    """Return the counters that a notice names; None stands for all of them, and for what cannot be understood."""
    try:
        slots = {int(slot) for slot in text.split()}
    except ValueError:
        return None
    return slots if all(0 <= slot < limits.GENERATION_SLOTS for slot in slots) else None
