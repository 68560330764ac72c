"""One client's connection: what has arrived of its request, and until when the rest may take.

Surprise: a thread never waits here, except for the few milliseconds in which the next piece usually comes. Between pieces the
connection is parked with the poller, so thousands of slow clients cost memory and no thread. A deadline ends each phase.
"""

import enum
import functools
import socket
import struct
import types
from collections.abc import Callable, Mapping
from typing import Any

from gunicorn.http.body import LengthReader

from api.entrance import Entrance
from api.exchange import make_environ
from api.framing import ChunkedBody, LengthBody, RefusedBody, Unreader, parse_head
from api.proxies import plain_address
from vault import limits
from vault.clock import SystemClock
from vault.errors import TooLarge

_monotonic = SystemClock.monotonic
_HEAD_END = b"\r\n\r\n"
_GO_ON = b"HTTP/1.1 100 Continue\r\n\r\n"
_PATIENCE = 4  # pieces for which a thread waits a moment: head and body often come one by one, and a handshake has two
_DRAIN_ROUNDS = 16


class Phase(enum.Enum):
    """What is awaited."""

    FRESH = "the first byte, or the end of the handshake"
    HEAD = "the end of a head"
    BODY = "the end of a body"
    SEND = "room for the rest of an answer"
    KEPT = "the next request"
    LINGER = "the end, while the client reads a last answer"


_SECONDS = {
    Phase.HEAD: limits.HEADER_SECONDS_MAX,
    Phase.SEND: limits.SEND_SECONDS_MAX,
    Phase.KEPT: limits.KEEPALIVE_SECONDS,
    Phase.LINGER: limits.LINGER_SECONDS_MAX,
}


def _timeval(seconds: float) -> bytes:
    return struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))


@functools.cache
def _plain_settings(cfg: Any) -> Any:
    """Return gunicorn's settings as plain attributes: the parser reads some twenty of them for each request."""
    plain = types.SimpleNamespace(**{name: getattr(cfg, name) for name in cfg.settings})
    plain.is_ssl = cfg.is_ssl
    plain.proxy_allow_networks, plain.forwarded_allow_networks = cfg.proxy_allow_networks, cfg.forwarded_allow_networks
    return plain


class Connection:
    """A client's connection. Used by one thread at a time: the pool's while it is served, the poller's while it is parked."""

    def __init__(
        self, cfg: Any, sock: socket.socket, client: Any, entrance: Entrance, accepts: Callable[[Mapping[str, Any]], bool]
    ) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(limits.IDLE_SECONDS))
        self.sock = sock
        self.stream = entrance.open(sock)
        self.client = (plain_address(client[0]), client[1])
        self.entrance = entrance
        self.request: Any = None  # its head is here, its body perhaps not
        self.keep = False  # once the answer is sent
        self.sent: Callable[[], None] | None = None  # whom to tell then
        self.phase = Phase.FRESH
        self.deadline = _monotonic() + (limits.HANDSHAKE_SECONDS_MAX if entrance.listener.tls else limits.KEEPALIVE_SECONDS)
        self._settings = _plain_settings(cfg)
        self._accepts = accepts
        self._unreader = Unreader()
        self._body: LengthBody | ChunkedBody | None = None
        self._error: Exception | None = None  # why there will be no body
        self._outgoing = memoryview(b"")
        self._judged = False  # by its head, before its body is waited for
        self._count = 0

    # -- what is awaited -----------------------------------------------------------------------------------------------

    def enter(self, phase: Phase) -> None:
        """Begin to wait for something."""
        self.phase = phase
        self.deadline = _monotonic() + (self.entrance.body_seconds_max if phase is Phase.BODY else _SECONDS[phase])

    @property
    def wants_write(self) -> bool:
        """Return whether it waits for room, not for bytes."""
        return self.phase is Phase.SEND or self.stream.wants_write

    @property
    def held(self) -> int:
        """Return how many bytes are kept while the rest has to come."""
        return len(self._unreader.pending) + (0 if self._body is None else self._body.held) + len(self._outgoing)

    @property
    def has_more(self) -> bool:
        """Return whether bytes are here of which the poller knows nothing."""
        return bool(self._unreader.pending) or self.stream.has_more()

    # -- a request -----------------------------------------------------------------------------------------------------

    def advance(self, patience: int) -> bool | None:
        """Return True when a request is whole, None when more has to come, False when the client has left; raises ParseException."""
        while not self._is_ready():
            try:
                data = self.stream.receive(patient=patience > 0)
            except BlockingIOError:
                return True if self._judge_head() else None
            patience -= 1
            if not data:
                return self.give_up(OSError("the client has left"))
            if self._body is None:
                self._unreader.pending += data
            else:
                self._unreader.pending = self._body.take(data)
        return True

    def find_patience(self) -> int:
        """Return for how many pieces a thread may wait a moment: for none where a client was slow already."""
        return _PATIENCE if self.phase in (Phase.FRESH, Phase.KEPT) else 0

    def _is_ready(self) -> bool:
        if self.request is None:
            pending = self._unreader.pending
            if _HEAD_END not in pending and len(pending) <= limits.HEAD_BYTES_MAX:
                if pending and self.phase is not Phase.HEAD:
                    self.enter(Phase.HEAD)
                return False
            self._count += 1
            self.request = parse_head(self._settings, self._unreader, self.client, self._count)
            self._begin_body()
        return self._body is None or self._body.is_whole or self._body.error is not None

    def _begin_body(self) -> None:
        reader = self.request.body.reader
        if not isinstance(reader, LengthReader):
            self._body = ChunkedBody(self.entrance.listener.body_bytes_max)
        elif reader.length > self.entrance.listener.body_bytes_max:
            self._error = TooLarge()  # and nothing of it is read
            return
        elif reader.length:
            self._body = LengthBody(reader.length)
        else:
            return
        pending, self._unreader.pending = self._unreader.pending, b""
        self._unreader.pending = self._body.take(pending)
        if not self._body.is_whole:
            self.enter(Phase.BODY)
            self._judged = False
            if self.request._expected_100_continue and not self._judge_head() and self.stream.send(_GO_ON) != len(_GO_ON):  # noqa: SLF001 - gunicorn's only name for it
                raise ConnectionResetError

    def _judge_head(self) -> bool:
        """Return whether a request is refused by its head, so that its body need not be waited for."""
        if self.request is None or self._judged:
            return False
        self._judged = True
        if self._accepts(make_environ(self.request, self, RefusedBody(OSError("not read")))):
            return False
        return self.give_up(OSError("not read"))

    def give_up(self, error: Exception) -> bool:
        """Await no more; return whether there is a request that can be answered."""
        if self.request is None:
            return False
        self._error, self._body = error, None
        return True

    def take_request(self) -> tuple[Any, Mapping[str, Any], bool]:
        """Return the request, its WSGI environment, and whether the bytes after it can be trusted."""
        request, body, error = self.request, self._body, self._error
        if body is not None:
            error = error or body.error
        self.request, self._body, self._error = None, None, None
        self.phase = Phase.KEPT
        source = RefusedBody(error) if error is not None else LengthBody(0).open() if body is None else body.open()
        return request, make_environ(request, self, source), error is None

    # -- an answer -----------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> bool:
        """Send an answer; return whether all of it was taken."""
        sent = self.stream.send(data)
        if sent == len(data):
            self._tell_sent()
            return True
        self._outgoing = memoryview(data)[sent:]
        self.enter(Phase.SEND)
        return self.flush()

    def flush(self) -> bool:
        """Send what is left of an answer; return whether nothing is."""
        while self._outgoing:
            sent = self.stream.send(self._outgoing)
            if not sent:
                return False
            self._outgoing = self._outgoing[sent:]
        self.phase = Phase.KEPT
        self._tell_sent()
        return True

    def _tell_sent(self) -> None:
        sent, self.sent = self.sent, None
        if sent is not None:
            sent()

    # -- the end -------------------------------------------------------------------------------------------------------

    def linger(self) -> None:
        """Let the client read the last answer before unread input makes the kernel reset the connection."""
        self.stream.finish()
        self.enter(Phase.LINGER)

    def drain(self) -> bool:
        """Drop what the client still sends; return whether more may come."""
        try:
            for _ in range(_DRAIN_ROUNDS):
                if not self.sock.recv(65_536, socket.MSG_DONTWAIT):
                    return False
        except BlockingIOError:
            return True
        return True

    def close(self) -> None:
        """Close at once."""
        self.stream.close()
