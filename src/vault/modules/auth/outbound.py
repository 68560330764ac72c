"""One request to a server outside, bounded in time and size whatever that server does. No redirects, no proxies of the environment.

A timeout of a socket only bounds each wait; a server that sends a byte now and then would hold a thread for ever. So a timer ends the
whole exchange, from the look-up of the name to the last byte. A look-up cannot be interrupted, but the time that it took is counted.
"""

import http.client
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Lock, Timer
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

from vault import limits
from vault.clock import SystemClock
from vault.errors import InvalidRequest
from vault.logical import json

REDIRECTED = "the server redirects, which is not followed"
_LATE = "no answer in time"

_places = BoundedSemaphore(limits.OUTBOUND_MAX)
_monotonic = SystemClock.monotonic
_PORTS = {"http": 80, "https": 443}
_HEADERS = {"User-Agent": "health-vault"}  # some servers refuse whoever has no name

Addresses = Sequence[tuple[int, Any]]  # families of sockets, and addresses there


class Unreachable(Exception):
    """There was no usable answer within the bounds. The text is ours: it names neither the server nor anything of its answer.

    `detail` names the server: for logs, and for those who chose it.
    """

    def __init__(self, text: str, detail: str = "") -> None:
        super().__init__(text)
        self.detail = detail or text


class Crowded(Unreachable):
    """The server was not asked: too many others are being asked. That says nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server answered."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def redirects(self) -> bool:
        """Return whether the server sends us elsewhere."""
        return self.status in (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked of it. `trust` are the authorities of its certificate; None: those of the system."""

    url: str
    method: str = "GET"
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    trust: ssl.SSLContext | None = None
    seconds_max: float
    bytes_max: int


def parse_url(url: str) -> SplitResult:
    """Take a URL apart; raises ValueError where it names no server, or more than one reader would find in it."""
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or not parts.hostname or parts.username is not None or parts.fragment or not url.isascii():
        raise ValueError("a URL like https://host:port/path, without user and fragment")
    if not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("a URL without spaces and control characters")
    _ = parts.port  # raises ValueError itself
    return parts


def make_tls(ca_pem: str) -> ssl.SSLContext:
    """Return what decides whom to trust: the authorities of a PEM text and no others, or those of the system; raises ValueError."""
    if not ca_pem:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=ca_pem)
    except (ssl.SSLError, ValueError, TypeError):
        raise ValueError("could not parse CA PEM value successfully") from None


def list_addresses(host: str, port: int) -> Addresses:
    """Look a name up; raises OSError or ValueError."""
    return [(family, address) for family, _, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def ask(question: Question, look_up: Callable[[str, int], Addresses] = list_addresses) -> Reply:
    """Return the answer of a server, whatever its status; raises Unreachable."""
    try:
        parts = parse_url(question.url)
    except ValueError:
        raise Unreachable("the URL cannot be used") from None
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    with _place(), _Deadline(question.seconds_max) as deadline:
        try:
            with _connect(look_up(host, port), deadline) as plain, closing(_prepare(parts, plain, question)) as connection:
                return _exchange(connection, parts, question, deadline)
        except Unreachable as error:
            raise Unreachable(str(error), f"{host}:{port}: {error}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            text, reason = (_LATE, _LATE) if deadline.is_over() or isinstance(error, TimeoutError) else _explain(error)
            raise Unreachable(text, f"{host}:{port}: {reason}") from error


@contextmanager
def _place() -> Iterator[None]:
    if not _places.acquire(timeout=limits.OUTBOUND_WAIT_SECONDS):
        raise Crowded("too many requests to other servers at once")
    try:
        yield
    finally:
        _places.release()


class _Deadline:
    """The end of one exchange: whoever then waits for its connection gets an error, or the end of what was sent."""

    def __init__(self, seconds: float) -> None:
        self._ends_at = _monotonic() + seconds
        self._ended = False
        self._lock = Lock()
        self._handle: socket.socket | None = None
        self._timer = Timer(seconds, self._end)
        self._timer.daemon = True

    def is_over(self) -> bool:
        """Return whether an answer would be too late, or cut off by us."""
        return self._ended or _monotonic() >= self._ends_at

    def require_time(self) -> None:
        """Raise TimeoutError where no time is left."""
        if self.is_over():
            raise TimeoutError

    def watch(self, connection: socket.socket) -> None:
        """End this connection in time, and no other that was given before; raises TimeoutError."""
        with self._lock:
            self.require_time()
            connection.settimeout(max(self._ends_at - _monotonic(), 0.001))  # zero would mean not to wait
            self._close()
            self._handle = connection.dup()  # TLS takes the socket itself over

    def _end(self) -> None:
        with self._lock, suppress(OSError):
            self._ended = True
            if self._handle is not None:
                self._handle.shutdown(socket.SHUT_RDWR)

    def _close(self) -> None:
        if self._handle is not None:
            self._handle.close()

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._close()


def _connect(addresses: Addresses, deadline: _Deadline) -> socket.socket:
    """Return a connection to the first address that can be reached; raises OSError. All of them have one deadline."""
    failure = OSError("no address")
    for family, address in addresses:
        plain = socket.socket(family, socket.SOCK_STREAM)
        try:
            deadline.watch(plain)
            plain.connect(address)
        except OSError as error:
            plain.close()
            failure = error
        else:
            return plain
    raise failure


def _prepare(parts: SplitResult, plain: socket.socket, question: Question) -> http.client.HTTPConnection:
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]  # without a port, one would be looked for in an IPv6 address
    if parts.scheme == "http":
        connection = http.client.HTTPConnection(host, port)
        connection.sock = plain
        return connection
    trust = question.trust or make_tls("")
    connection = http.client.HTTPSConnection(host, port, context=trust)
    # An end that the server has not announced is an error: anybody on the way could cut an answer short.
    connection.sock = trust.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False)
    return connection


def _exchange(connection: http.client.HTTPConnection, parts: SplitResult, question: Question, deadline: _Deadline) -> Reply:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {**_HEADERS, **question.headers, "Connection": "close"}
    connection.request(question.method, target, body=question.body, headers=headers)
    response = connection.getresponse()
    body = response.read(question.bytes_max + 1)
    if len(body) > question.bytes_max:
        raise Unreachable(f"the answer is too large, more than {question.bytes_max} bytes")
    deadline.require_time()  # before anything else: what our own timer has cut off looks whole where no length was told
    if response.length or (response.length is None and "Content-Length" in response.headers and not response.chunked):  # or it is no length
        raise Unreachable("the answer broke off")
    return Reply(status=response.status, body=body, headers=dict(response.getheaders()))


def _explain(error: Exception) -> tuple[str, str]:
    """Return what anybody may know, and what an operator wants to know."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "the server's certificate is not trusted", error.verify_message
    return "no connection, or no answer", (error.strerror if isinstance(error, OSError) else "") or type(error).__name__


class Outbound:
    """Fetches documents, each within some seconds."""

    def __init__(self, seconds_max: float = limits.OUTBOUND_SECONDS_MAX) -> None:
        self._seconds_max = seconds_max

    def fetch_object(self, url: str, ca_pem: str, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Return the JSON object at a URL; raises Unreachable."""
        try:
            trust = make_tls(ca_pem)
        except ValueError as error:
            raise Unreachable(str(error)) from None
        reply = ask(
            Question(url=url, headers=headers or {}, trust=trust, seconds_max=self._seconds_max, bytes_max=limits.OUTBOUND_BYTES_MAX)
        )
        if reply.redirects:
            raise Unreachable(REDIRECTED)
        if reply.status != 200:
            raise Unreachable(f"the server answered {reply.status}")
        try:
            return json.decode_object(reply.body)
        except InvalidRequest:
            raise Unreachable("the answer is not a JSON object") from None
