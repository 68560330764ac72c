"""One request to a server outside, bounded in time and size whatever that server does. No redirects, no proxies of the environment.

A timeout of a socket only bounds each wait; a server that sends a byte now and then would hold a thread for ever. So a timer ends the
whole exchange.
"""

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import BoundedSemaphore, Timer
from urllib.parse import SplitResult, urlsplit

from vault import limits

_places = BoundedSemaphore(limits.OUTBOUND_MAX)
_PORTS = {"http": 80, "https": 443}


class Unreachable(Exception):
    """There was no whole answer within the bounds; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What a server answered."""

    status: int
    body: bytes


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


def ask(question: Question) -> Reply:
    """Return the answer of a server, whatever its status; raises Unreachable."""
    if not _places.acquire(timeout=limits.OUTBOUND_WAIT_SECONDS):
        raise Unreachable("too many requests to other servers at once")
    try:
        return _ask(question)
    finally:
        _places.release()


def _ask(question: Question) -> Reply:
    parts = parse_url(question.url)
    host, port = str(parts.hostname), parts.port or _PORTS[parts.scheme]
    try:
        with socket.create_connection((host, port), timeout=question.seconds_max) as plain, _ended_after(plain, question.seconds_max):
            connection = http.client.HTTPConnection(host, port)
            connection.sock = plain
            if parts.scheme == "https":
                connection.sock = (question.trust or ssl.create_default_context()).wrap_socket(plain, server_hostname=host)
            try:
                return _exchange(connection, parts, question)
            finally:
                connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise Unreachable(f"{host}:{port}: {_explain(error)}") from error


def _exchange(connection: http.client.HTTPConnection, parts: SplitResult, question: Question) -> Reply:
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection.request(question.method, target, body=question.body, headers=dict(question.headers))
    response = connection.getresponse()
    body = response.read(question.bytes_max + 1)
    if len(body) > question.bytes_max:
        raise Unreachable(f"{connection.host}:{connection.port}: the answer is larger than {question.bytes_max} bytes")
    if response.length:
        raise Unreachable(f"{connection.host}:{connection.port}: the answer broke off")
    return Reply(status=response.status, body=body)


@contextmanager
def _ended_after(connection: socket.socket, seconds: float) -> Iterator[None]:
    """End a connection when its time is over: whoever waits for it then gets an error."""
    handle = connection.dup()  # TLS takes the socket itself over
    timer = Timer(seconds, _end, (handle,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        handle.close()


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


def _explain(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return (error.strerror if isinstance(error, OSError) else "") or type(error).__name__
