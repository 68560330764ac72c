"""One request and its answer between gunicorn's parser and a WSGI application. An answer is one `send`: head and body together."""

import re
from collections.abc import Callable, Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from gunicorn.http import errors as http_errors
from gunicorn.util import unquote_to_wsgi_str

from vault.clock import SystemClock

_clock = SystemClock()
_HEADER_VALUE = re.compile(r"[ \t\x21-\x7e\x80-\xff]*")
SENT = "health_vault.sent"  # what the application wants to be called once its answer is sent
_BODILESS = frozenset({204, 304})
_REFUSALS = {
    http_errors.LimitRequestLine: HTTPStatus.REQUEST_URI_TOO_LONG,
    http_errors.LimitRequestHeaders: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    http_errors.ExpectationFailed: HTTPStatus.EXPECTATION_FAILED,
}
_ENVIRON = {
    "SCRIPT_NAME": "",
    "wsgi.errors": None,
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
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


class _ContinuedBody:
    """The body of a client that sends it only when told to: what is refused by its head is never sent."""

    def __init__(self, body: Any, exchange: "Exchange") -> None:
        self._body = body
        self._exchange = exchange

    def read(self, size: int | None = None) -> bytes:
        self._exchange.go_on()
        return self._body.read(size)  # type: ignore[no-any-return]


class Exchange:
    """Collects what the application says, and sends it. `keep`: another request may follow on this connection."""

    def __init__(self, sock: Any, request: Any, *, keep: bool) -> None:
        self._sock = sock
        self._request = request
        self._head = ""
        self._status = 0
        self._continued = False
        self.keep = keep and not request.should_close()
        self.untrusted = False  # the application asked for the end of the connection

    def go_on(self) -> None:
        """Tell a client that waits for it to send the body."""
        if not self._continued:
            self._continued = True
            self._sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

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

    def run(self, application: Callable[..., Iterable[bytes]], environ: dict[str, Any]) -> None:
        """Call the application and send its answer."""
        result = application(environ, self.start_response)
        try:
            body = b"".join(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        if self._request._expected_100_continue and not self._continued:  # noqa: SLF001 - gunicorn's only name for it
            self.keep, self.untrusted = False, True  # whether a body follows is up to the client
        self._send(body)
        sent = environ.get(SENT)
        if sent is not None:
            sent()

    def _send(self, body: bytes) -> None:
        head = self._head
        if self._status not in _BODILESS:
            head = f"{head}Content-Length: {len(body)}\r\n"
        if not self.keep:
            head += "Connection: close\r\n"
        elif self._request.version < (1, 1):
            head += "Connection: keep-alive\r\n"
        data = f"{head}\r\n".encode("latin-1")
        if self._status not in _BODILESS and self._request.method != "HEAD":
            data += body
        self._sock.sendall(data)


def _refuse_write(_: bytes) -> object:
    raise NotImplementedError("answers are returned, not written")


def make_environ(request: Any, connection: Any, exchange: Exchange) -> dict[str, Any]:
    """Return the WSGI environment of a request. Names with an underscore never get here: gunicorn drops them."""
    client, server = connection.client, connection.server
    environ: dict[str, Any] = {
        **_ENVIRON,
        "wsgi.input": _ContinuedBody(request.body, exchange) if request._expected_100_continue else request.body,  # noqa: SLF001 - as above
        "wsgi.url_scheme": request.scheme,
        "REQUEST_METHOD": request.method,
        "RAW_URI": request.uri,
        "PATH_INFO": unquote_to_wsgi_str(request.path),
        "QUERY_STRING": request.query,
        "SERVER_PROTOCOL": "HTTP/1.1" if request.version >= (1, 1) else "HTTP/1.0",
        "SERVER_NAME": server[0],
        "SERVER_PORT": str(server[1]),
        "REMOTE_ADDR": client[0],
        "REMOTE_PORT": str(client[1]),
    }
    for name, value in request.headers:
        key = name.replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def send_refusal(sock: Any, error: Exception) -> None:
    """Answer what is not HTTP; nothing of it is repeated."""
    status = next((status for kind, status in _REFUSALS.items() if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)
    body = b'{"errors":["malformed request"]}'
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\n{_date_header()}Content-Type: application/json\r\nCache-Control: no-store\r\n"
    sock.sendall(f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body)
