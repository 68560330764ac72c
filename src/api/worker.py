"""A gunicorn worker whose threads stay with a busy keep-alive connection instead of handing it back after every request.

Three savings over gthread: no round trip through the poller between two requests of one client, one `recv` a request, and one
`send` an answer. A thread lets go of its connection when it has been idle for a moment or when others wait for a thread, so many idle
connections cost no threads and many busy ones are served in turn. Parsing of HTTP, processes and signals stay gunicorn's.
"""

import errno
import functools
import os
import selectors
import socket
import struct
import sys
import time
import types
from collections.abc import Callable, Iterable
from typing import Any

from gunicorn.http import errors as http_errors
from gunicorn.http.body import LengthReader
from gunicorn.http.message import Request
from gunicorn.http.parser import RequestParser
from gunicorn.http.unreader import SocketUnreader
from gunicorn.workers import gthread

from api.exchange import Exchange, make_environ, send_refusal
from vault import limits
from vault.clock import SystemClock

_clock = SystemClock()
_FULL = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_GONE = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ECONNABORTED, errno.EINTR})
_DESCRIPTORS_RESERVED = 64  # for everything that is not a client


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))


def _check_coding(request: Any) -> None:
    """Refuse every transfer coding but one: who else reads this message may see its end elsewhere."""
    for name, value in request.headers:
        if name == "TRANSFER-ENCODING" and value.lower() != "chunked":
            raise http_errors.UnsupportedTransferCoding(value)


class PlainRequest(Request):  # type: ignore[misc]  # gunicorn has no types
    """A request of a server that trusts no proxy: the peer's address need not be looked at to know that."""

    def _peer_trusted_for_forwarded(self) -> tuple[dict[str, str], list[str]]:
        return {}, []


class PlainParser(RequestParser):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's parser of such requests."""

    mesg_class = PlainRequest


@functools.cache
def _plain_settings(cfg: Any) -> Any:
    """Return gunicorn's settings as plain attributes: the parser reads some twenty of them for each request."""
    plain = types.SimpleNamespace(**{name: getattr(cfg, name) for name in cfg.settings})
    plain.is_ssl = cfg.is_ssl
    plain.proxy_allow_networks, plain.forwarded_allow_networks = cfg.proxy_allow_networks, cfg.forwarded_allow_networks
    return plain


class Unreader(SocketUnreader):  # type: ignore[misc]  # gunicorn has no types
    """The bytes of one connection. The socket blocks, but only for a moment at a time; the deadline ends a slow request."""

    deadline = 0.0

    @property
    def has_more(self) -> bool:
        """Return whether a pipelined request is here already."""
        return bool(self.buf.getbuffer().nbytes)

    def await_request(self) -> bool | None:
        """Return True when a request has begun, False when the client has left, None when nothing came for a moment."""
        if self.has_more:
            return True
        try:
            data = self.sock.recv(self.mxchunk)
        except BlockingIOError:
            return None
        if data:
            self.buf.write(data)
        return bool(data)

    def allow(self, seconds: float) -> None:
        """Set how long the rest of the request may take."""
        self.deadline = _clock.monotonic() + seconds

    def chunk(self) -> bytes:
        while True:
            try:
                return bytes(self.sock.recv(self.mxchunk))
            except BlockingIOError:
                if _clock.monotonic() > self.deadline:
                    raise http_errors.NoMoreData(b"") from None


class Connection(gthread.TConn):  # type: ignore[misc]  # gunicorn has no types
    """A client's connection."""

    parser: Any
    initialized: bool

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(limits.IDLE_SECONDS))
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(limits.SEND_SECONDS_MAX))

    def prepare(self) -> Unreader:
        """Make the connection ready for a thread."""
        self.sock.setblocking(True)
        if not self.initialized:
            self.initialized = True
            self.parser = PlainParser(_plain_settings(self.cfg), self.sock, self.client)
            self.parser.unreader = Unreader(self.sock, 65_536)
        return self.parser.unreader  # type: ignore[no-any-return]

    def linger(self) -> None:
        """Let the client read the last answer before unread input makes the kernel reset the connection."""
        try:
            self.sock.shutdown(socket.SHUT_WR)
            deadline = _clock.monotonic() + limits.LINGER_SECONDS_MAX
            while _clock.monotonic() < deadline:
                try:
                    if not self.sock.recv(65_536):
                        return
                except BlockingIOError:
                    continue
        except OSError:
            return

    def close(self, graceful: bool = False) -> None:
        """Close at once: whoever needs to linger has done it on a thread of the pool."""
        super().close()


class Worker(gthread.ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """The worker process."""

    tpool: Any
    worker_connections: int
    wsgi: Callable[..., Iterable[bytes]]
    orphaned = False
    draining_since = 0.0
    deferred_since = 0.0

    # -- the life of the process ---------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop; a service that cannot start makes the arbiter try again, not give up."""
        descriptors = os.sysconf("SC_OPEN_MAX") - _DESCRIPTORS_RESERVED
        self.worker_connections = max(self.cfg.threads + 1, min(self.worker_connections, descriptors))
        self.max_keepalived = self.worker_connections - self.cfg.threads
        self.app.balance.report(self.age, 0)
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
                # Nobody is left to kill what hangs, and the port must become free.
                sys.stdout.flush()
                os._exit(0)

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
        """Close what has been idle for too long. When stopping, clients get a moment in which their next request is answered."""
        super().murder_keepalived()
        if self.alive:
            return
        now = _clock.monotonic()
        self.draining_since = self.draining_since or now
        if now - self.draining_since > limits.DRAIN_SECONDS:
            for connection in (*self.keepalived_conns, *self.pending_conns):
                self.poller.unregister(connection.sock)
                self.nr_conns -= 1
                connection.close()
            self.keepalived_conns.clear()
            self.pending_conns.clear()

    # -- connections ---------------------------------------------------------------------------------------------------

    def accept(self, listener: Any) -> None:
        """Take one connection, unless another worker should; without descriptors, leave it in the queue for later."""
        if self._is_for_another():
            return
        try:
            client, address = listener.accept()
            connection = Connection(self.cfg, client, address, listener.getsockname())
        except OSError as error:
            if error.errno in _FULL:
                self.log.warning("no descriptor for a new connection")
                time.sleep(0.05)
            elif error.errno not in _GONE:
                raise
            return
        self.nr_conns += 1
        self.app.balance.report(self.age, self.nr_conns)
        self.enqueue_req(connection)

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
        kept = False if fs.cancelled() else fs.result()
        if not kept:
            self.nr_conns -= 1
            conn.close()
        elif kept is True and conn.parser.unreader.has_more:
            self.enqueue_req(conn)
        else:
            # Also while stopping: `murder_keepalived` ends it, after a moment.
            conn.sock.setblocking(False)
            conn.set_timeout()
            waiting, readable = self.pending_conns, self.on_pending_socket_readable
            if kept is True:
                waiting, readable = self.keepalived_conns, self.on_client_socket_readable
            waiting.append(conn)
            self.poller.register(conn.sock, selectors.EVENT_READ, functools.partial(readable, conn))
        self.app.balance.report(self.age, self.nr_conns)

    def handle(self, conn: Connection) -> Any:
        """Serve a connection until it ends, idles or has to make room. Runs on a thread of the pool."""
        try:
            unreader = conn.prepare()
            fresh = conn.parser.req_count == 0
            while True:
                begun = unreader.await_request()
                if begun is None:
                    return gthread._DEFER if fresh else True  # noqa: SLF001 - gunicorn's word for "not a single request yet"
                if not begun or not self._handle_next(conn, unreader):
                    return False
                fresh = False
                if self.tpool._work_queue.qsize():  # noqa: SLF001 - there is no public way to ask
                    return True
        except (StopIteration, http_errors.NoMoreData, ConnectionError, TimeoutError, BlockingIOError):
            return False
        except Exception:
            self.log.exception("connection failed")
            return False

    def _handle_next(self, conn: Connection, unreader: Unreader) -> bool:
        """Answer one request; return whether another may follow."""
        unreader.allow(limits.HEADER_SECONDS_MAX)
        try:
            request = next(conn.parser)
            _check_coding(request)
        except http_errors.NoMoreData:
            return False
        except http_errors.ParseException as error:
            self.app.refuse_malformed(conn.client)
            send_refusal(conn.sock, error)
            conn.linger()
            return False
        unreader.allow(limits.BODY_SECONDS_MAX)
        self.nr += 1
        if self.nr >= self.max_requests and self.alive:
            self.log.info("restarting after this request")
            self.alive = False
        keep = self.alive and len(self.keepalived_conns) < self.max_keepalived
        exchange = Exchange(conn.sock, request, keep=keep)
        exchange.run(self.wsgi, make_environ(request, conn, exchange))
        if exchange.keep and self._finish_body(conn, request):
            return True
        if exchange.untrusted:
            conn.linger()
        return False

    def _finish_body(self, conn: Connection, request: Any) -> bool:
        """Read what the application left of the body, so that it is never taken for a request."""
        reader = request.body.reader
        if isinstance(reader, LengthReader) and reader.length == 0:
            return True
        return bool(conn.parser.finish_body(deadline=_clock.monotonic() + limits.LINGER_SECONDS_MAX))
