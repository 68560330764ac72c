"""A gunicorn worker whose threads serve whole requests only, and stay with a busy keep-alive connection.

Savings over gthread: no round trip through the poller between two requests of one client, one `recv` a request, and one
`send` an answer. A thread lets go of its connection when it has been idle for a moment, when its client is slow, or when others wait
for a thread, so many idle or slow connections cost no threads and many busy ones are served in turn. Parsing of HTTP, processes and
signals stay gunicorn's.
"""

import errno
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import structlog
from gunicorn.http import errors as http_errors
from gunicorn.workers import gthread

from api.connection import Connection, Phase
from api.entrance import Entrance
from api.exchange import SENT, Exchange, encode_refusal
from api.parking import Parking
from api.threads import Threads
from api.tls import TlsFailure
from vault import limits
from vault.clock import SystemClock
from vault.errors import Overloaded
from vault.syscall import follow_parent

_clock = SystemClock()
_log = structlog.get_logger(__name__)
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_GONE = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EINTR})
_DESCRIPTORS_RESERVED = 64  # for everything that is not a client
_DESCRIPTORS_LEFT = 8  # to the threads of a worker that had none for a new connection
_ENDED, _PARKED, _AGAIN = range(3)  # what becomes of a connection that a thread lets go of


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """The worker process."""

    # Not HUP: it must not end a worker for a moment before its own handler is there.
    SIGNALS = tuple(number for number in gthread.ThreadWorker.SIGNALS if number != signal.SIGHUP)

    tpool: Any
    worker_connections: int
    wsgi: Callable[..., Iterable[bytes]]
    parking: Parking
    entrances: dict[Any, Entrance]
    orphaned = False
    draining_since = 0.0
    deferred_since = 0.0
    swept_at = 0.0

    # -- the life of the process ---------------------------------------------------------------------------------------

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.reloads_seen = self.app.reloader.count  # before the fork: none between is missed

    def init_signals(self) -> None:
        """Leave HUP to the arbiter, also where a terminal sends it to all."""
        super().init_signals()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Stop. The arbiter says so, or the kernel when the arbiter was killed."""
        super().handle_exit(sig, frame)
        self.is_parent_alive()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """Stop at once; the kernel ends what has not ended by itself soon."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(limits.QUIT_SECONDS_MAX)
        super().handle_quit(sig, frame)

    def run(self) -> None:
        """Serve until told to stop; a service that cannot start makes the arbiter try again, not give up."""
        follow_parent(signal.SIGTERM)
        self._set_places(os.sysconf("SC_OPEN_MAX") - _DESCRIPTORS_RESERVED)
        self.entrances = dict(zip(self.sockets, self.app.entrances, strict=True))
        self.parking = Parking(self.poller, self._wake)
        self.app.balance.report(self.age, 0)
        self.app.service.waiting.stand_in = self.tpool.stand_in
        try:
            self.app.service.start_worker()
        except BaseException:
            time.sleep(limits.RESTART_SECONDS)
            raise
        try:
            super().run()
        finally:
            self.app.service.stop_worker()
            if self.orphaned:
                self.app.tidy()
                # Nobody is left to kill what hangs, and the port must become free.
                sys.stdout.flush()
                os._exit(0)

    def get_thread_pool(self) -> Threads:
        """Return the threads; requests that wait for slow work have others in their place."""
        return Threads(self.cfg.threads)

    def notify(self) -> None:
        """Tell the arbiter that this worker is alive, and follow it when it has read its settings anew."""
        super().notify()
        if self.reloads_seen != self.app.reloader.count:
            self.reloads_seen = self.app.reloader.count
            self.app.reload_settings()

    def is_parent_alive(self) -> bool:
        """Return whether the arbiter lives; without it, stop soon."""
        if super().is_parent_alive():
            return True
        self.alive, self.orphaned = False, True
        self.cfg.set("graceful_timeout", limits.ORPHAN_SECONDS_MAX)
        return False

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        """Wait in short steps while stopping."""
        super().wait_for_and_dispatch_events(timeout if self.alive else min(timeout, 0.1))

    def murder_keepalived(self) -> None:
        """End what has waited for too long. When stopping, clients get a moment in which their next request is answered."""
        now = _clock.monotonic()
        if now - self.swept_at < limits.SWEEP_SECONDS:
            return
        self.swept_at = now
        for connection in self.parking.list_due(now):
            self.parking.remove(connection)
            self._give_up(connection, OSError("too slow"))
        if self.alive:
            return
        self.draining_since = self.draining_since or now
        if now - self.draining_since > limits.DRAIN_SECONDS:
            for connection in self.parking.list_idle():
                self.parking.remove(connection)
                self._end(connection)

    # -- connections ---------------------------------------------------------------------------------------------------

    def accept(self, listener: Any) -> None:
        """Take one connection, unless another or nobody should; without descriptors, leave it in the queue until an idle one has gone."""
        if self.orphaned or self._is_for_another():
            return
        try:
            client, address = listener.accept()
            connection = Connection(self.cfg, client, address, self.entrances[listener], self.app.accepts_head)
        except OSError as error:
            if error.errno in _FULL:
                self.log.warning("no descriptor for a new connection")
                self._hold_fewer()
                time.sleep(0.05)
            elif error.errno not in _GONE:
                raise
            return
        self.nr_conns += 1
        self._make_room()
        self.app.balance.report(self.age, self.nr_conns)
        self.enqueue_req(connection)

    def _make_room(self) -> None:
        """Hold no more connections than there are places, so that idle and slow clients never keep new ones out."""
        if self.nr_conns >= self.worker_connections:
            self._evict()

    def _evict(self) -> None:
        """End what has waited longest."""
        oldest = self.parking.find_evictable()
        if oldest is not None:
            self.parking.remove(oldest)
            self._give_up(oldest, Overloaded())

    def _hold_fewer(self) -> None:
        """Leave descriptors to those who answer: there are fewer than were counted on at the start."""
        self._set_places(self.nr_conns - _DESCRIPTORS_LEFT)
        for _ in range(_DESCRIPTORS_LEFT):
            self._evict()

    def _set_places(self, places: int) -> None:
        self.worker_connections = max(self.cfg.threads + 1, min(self.worker_connections, places))
        self.max_keepalived = self.worker_connections - self.cfg.threads

    def _is_for_another(self) -> bool:
        """Return whether a new connection is better left to another worker, for a moment at most."""
        if not self.app.balance.is_above(self.age):
            self.deferred_since = 0.0
            return False
        now = _clock.monotonic()
        self.deferred_since = self.deferred_since or now
        if now - self.deferred_since > limits.DEFER_SECONDS_MAX:
            self.deferred_since = 0.0
            return False
        time.sleep(limits.DEFER_SECONDS_MAX / 8)
        return True

    def finish_request(self, conn: Connection, fs: Any) -> None:
        """Take a connection back from its thread: to the end of the queue, to the poller, or away."""
        outcome = _ENDED if fs.cancelled() else fs.result()
        if outcome == _ENDED:
            self._end(conn)
        elif outcome == _AGAIN and conn.has_more:
            self.enqueue_req(conn)
        else:
            # Also while stopping: `murder_keepalived` ends it, after a moment.
            self._park(conn)
        self.app.balance.report(self.age, self.nr_conns)

    def _park(self, conn: Connection) -> None:
        if conn.phase is Phase.KEPT:
            conn.enter(Phase.KEPT)
        if conn.deadline <= _clock.monotonic():  # one that is woken often may never be parked when it is looked for
            self._give_up(conn, OSError("too slow"))
        elif self.parking.add(conn):
            self._make_room()
        else:
            self._give_up(conn, Overloaded())

    def _give_up(self, conn: Connection, error: Exception) -> None:
        """Answer a request of which only the head came, and end a connection on which not even that came."""
        if conn.phase is Phase.BODY and conn.give_up(error):
            self.enqueue_req(conn)
        else:
            self._end(conn)

    def _wake(self, conn: Connection, _sock: Any) -> None:
        if conn in self.parking:  # else it made room for one that the poller told of in the same breath
            self.parking.remove(conn)
            self.enqueue_req(conn)

    def _end(self, conn: Connection) -> None:
        self.nr_conns -= 1
        conn.close()

    # -- on a thread of the pool ---------------------------------------------------------------------------------------

    def handle(self, conn: Connection) -> int:
        """Serve a connection until it ends, has to wait for its client, or has to make room."""
        try:
            return self._serve(conn)
        except TlsFailure as failure:
            _log.debug("no TLS connection", address=conn.client[0], reason=str(failure))
            return self._part(conn)
        except (ConnectionError, TimeoutError, BlockingIOError):
            return _ENDED
        except Exception:
            self.log.exception("connection failed")
            return _ENDED

    def _serve(self, conn: Connection) -> int:
        if conn.phase is Phase.LINGER:
            return _PARKED if conn.drain() else _ENDED
        if conn.phase is Phase.SEND:
            if not conn.flush():
                return _PARKED
            return _AGAIN if conn.keep else self._part(conn)
        while True:
            try:
                arrived = conn.advance(0 if self._is_busy() else conn.find_patience())
            except http_errors.ParseException as error:
                self.app.refuse_malformed(conn.client)
                conn.send(encode_refusal(error))
                return self._part(conn)
            if arrived is None:
                return _PARKED
            if not arrived:
                return _ENDED
            outcome = self._answer(conn)
            if outcome != _AGAIN or self._is_busy():
                return outcome

    def _is_busy(self) -> bool:
        """Return whether somebody waits for a thread."""
        return bool(self.tpool._work_queue.qsize())  # noqa: SLF001 - there is no public way to ask

    def _answer(self, conn: Connection) -> int:
        """Answer one request."""
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("restarting after this request")
            self.alive = False
        request, environ, is_whole = conn.take_request()
        exchange = Exchange(request, keep=is_whole and self.alive and len(self.parking) < self.max_keepalived)
        data = exchange.run(self.wsgi, environ)
        conn.keep, conn.sent = exchange.keep, environ.get(SENT)
        if not conn.send(data):
            return _PARKED
        if conn.keep:
            return _AGAIN
        return self._part(conn) if exchange.untrusted or not is_whole else _ENDED

    def _part(self, conn: Connection) -> int:
        """End a connection whose client may still be sending."""
        try:
            conn.linger()
        except OSError:
            return _ENDED
        return _PARKED
