"""One request and its answer between gunicorn's parser and a WSGI application. An answer is one `send`: head and body together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from gunicorn.http import errors as http_errors
from gunicorn.util import unquote_to_wsgi_str

from api.proxies import choose_certificates, find_client
from vault.clock import SystemClock
from vault.errors import InvalidRequest
from vault.settings import Proxies

if TYPE_CHECKING:
    from api.connection import Connection

_clock = SystemClock()
_HEADER_VALUE = re.compile(r"[ \t\x21-\x7e\x80-\xff]*")
SENT = "health_vault.sent"  # what the application wants to be called once its answer is sent
CERTIFICATES = "health_vault.certificates"  # a function: what the client shows as its own, in DER, and the chain that it sent
_BODILESS = frozenset({204, 304})
_REFUSALS = {
    http_errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    http_errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    http_errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
}


class _DateHeader:
    """The Date header, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._text = ""

    def __call__(self) -> str:
        second = int(_clock.now())
        if second != self._second:
            self._text, self._second = f"Date: {formatdate(second, usegmt=True)}\r\n", second
        return self._text


_date_header = _DateHeader()


class Exchange:
    """Collects what the application says. `keep`: another request may follow on this connection."""

    def __init__(self, request: Any, *, keep: bool) -> None:
        self._request = request
        self._head = ""
        self._status = 0
        self.keep = keep and not request.should_close()
        self.untrusted = False  # the application asked for the end of the connection

    def start_response(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        """Take the head of the answer (WSGI)."""
        lines = [f"HTTP/1.1 {status}\r\n", _date_header()]
        for name, value in headers:
            if not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"header {name} holds what no header may hold")
            lowered = name.lower()
            if lowered == "connection":
                self.untrusted = value == "close"
                self.keep = self.keep and not self.untrusted
            elif lowered != "content-length":
                lines.append(f"{name}: {value}\r\n")
        self._status = int(status[:3])
        self._head = "".join(lines)
        return _refuse_write

    def run(self, application: Callable[..., Iterable[bytes]], environ: Mapping[str, Any]) -> bytes:
        """Call the application and return its answer as it goes over the wire."""
        result = application(environ, self.start_response)
        try:
            body = b"".join(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        head = self._head
        if self._status not in _BODILESS:
            head = f"{head}Content-Length: {len(body)}\r\n"
        if not self.keep:
            head += "Connection: close\r\n"
        elif self._request.version < (1, 1):
            head += "Connection: keep-alive\r\n"
        data = f"{head}\r\n".encode("latin-1")
        return data + body if self._status not in _BODILESS and self._request.method != "HEAD" else data


def _refuse_write(_: bytes) -> object:
    raise NotImplementedError("answers are returned, not written")


def make_environ(request: Any, connection: Connection, body: Any) -> dict[str, Any]:
    """Return the WSGI environment of a request. Names with an underscore never get here: gunicorn drops them."""
    client, entrance = connection.client, connection.entrance
    environ: dict[str, Any] = {
        **entrance.environ,
        "wsgi.input": body,
        "REQUEST_METHOD": request.method,
        "RAW_URI": request.uri,
        "PATH_INFO": unquote_to_wsgi_str(request.path),
        "QUERY_STRING": request.query,
        "SERVER_PROTOCOL": "HTTP/1.1" if request.version >= (1, 1) else "HTTP/1.0",
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
        CERTIFICATES: connection.stream.list_peer_certificates,
    }
    for name, value in request.headers:
        key = name.replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    if entrance.listener.proxies.networks:
        _believe(entrance.listener.proxies, environ)
    return environ


def _believe(proxies: Proxies, environ: dict[str, Any]) -> None:
    """Set who the client is by the word of a proxy, or what is wrong with that word."""
    peer = environ["REMOTE_ADDR"]
    try:
        environ["REMOTE_ADDR"] = find_client(proxies, peer, environ.get("HTTP_X_FORWARDED_FOR"))
        if proxies.certificate_header:
            shown = environ.get(f"HTTP_{proxies.certificate_header.replace('-', '_').upper()}")
            environ[CERTIFICATES] = choose_certificates(proxies, peer, shown, environ[CERTIFICATES])
    except InvalidRequest as error:
        environ["health_vault.refusal"] = error


def encode_refusal(error: Exception) -> bytes:
    """Return the answer to what is not HTTP; nothing of it is repeated."""
    status = next((status for kind, status in _REFUSALS.items() if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)
    body = b'{"errors":["malformed request"]}'
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{_date_header()}Content-Type: application/json\r\nCache-Control: no-store\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body
