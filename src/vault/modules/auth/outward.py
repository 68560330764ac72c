"""Requests to foreign servers that auth methods make: bounded in time and size, no redirects, no proxies, certificates by one authority.

The time bound is a real one: the timeouts of sockets start anew with every byte, so a timer ends the connection of an exchange that
takes too long altogether.
"""

import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self

import requests
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPConnection, HTTPSConnection

from vault import limits
from vault.errors import InvalidRequest
from vault.logical import json


class OutwardFailed(Exception):
    """A foreign server did not give what was asked; the text is ours and tells nothing of its answer."""


class _Watch:
    """Ends the connections of one exchange when its time is over."""

    def __init__(self, seconds: float) -> None:
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._end)
        self._timer.daemon = True
        self.over = False

    def add(self, connection: socket.socket) -> None:
        self._sockets.append(connection.dup())  # the connection itself is taken apart when TLS begins

    def _end(self) -> None:
        self.over = True
        for connection in self._sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        for connection in self._sockets:
            connection.close()


_watch: ContextVar[_Watch | None] = ContextVar("watch", default=None)


def _watched(connection: socket.socket) -> socket.socket:
    watch = _watch.get()
    if watch is not None:
        watch.add(connection)
    return connection


class _Plain(HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _watched(super()._new_conn())


class _Tls(HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _watched(super()._new_conn())


class _PlainPool(HTTPConnectionPool):
    ConnectionCls = _Plain


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _Tls


class Bounded(HTTPAdapter):
    """The transport of one exchange."""

    def __init__(self, ca_pem: str, seconds: float) -> None:
        self._tls = make_tls(ca_pem)
        self._seconds = seconds
        super().__init__()

    def init_poolmanager(self, *_: Any, **__: Any) -> None:
        self.poolmanager = PoolManager(num_pools=1, maxsize=1, ssl_context=self._tls, retries=False)
        self.poolmanager.pool_classes_by_scheme = {"http": _PlainPool, "https": _TlsPool}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Leave the context as it is: the library would add its own authorities to the one that was named."""

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """Return the answer with its whole body, which is within the bounds; raises OutwardFailed."""
        timeout = limits.OUTWARD_STEP_SECONDS_MAX
        with _Watch(self._seconds) as watch:
            held = _watch.set(watch)
            try:
                response = super().send(request, stream=True, timeout=timeout, verify=True, proxies={})
                response._content = _read(response, watch)  # noqa: SLF001 - where the library keeps a body that has been read
                response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001 - as above
            except requests.exceptions.SSLError:
                raise OutwardFailed("the server's certificate is not trusted") from None
            except (requests.RequestException, OSError, ValueError, ssl.SSLError):
                raise OutwardFailed("no answer in time" if watch.over else "no connection, or no answer") from None
            finally:
                _watch.reset(held)
                self.close()
        if response.is_redirect:
            raise OutwardFailed("the server redirects, which is not followed")
        return response


def _read(response: requests.Response, watch: _Watch) -> bytes:
    body = b""
    for chunk in response.iter_content(4096):
        body += chunk
        if len(body) > limits.OUTWARD_BYTES_MAX:
            raise OutwardFailed("the answer is too large")
    if watch.over:
        raise OutwardFailed("no answer in time")
    return body


def make_tls(ca_pem: str) -> ssl.SSLContext:
    """Return what decides whom to trust: the authorities of a PEM text and no others, or those of the system; raises ValueError."""
    if not ca_pem:
        return ssl.create_default_context()
    try:
        return ssl.create_default_context(cadata=ca_pem)
    except ssl.SSLError:
        raise ValueError("could not parse CA PEM value successfully") from None


def bind(session: requests.Session, ca_pem: str, seconds: float = limits.OUTWARD_SECONDS_MAX) -> None:
    """Make all requests of a session bounded ones."""
    adapter = Bounded(ca_pem, seconds)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.trust_env = False


class Outward:
    """Fetches documents, each within some seconds."""

    def __init__(self, seconds: float = limits.OUTWARD_SECONDS_MAX) -> None:
        self._seconds = seconds

    def fetch_object(self, url: str, ca_pem: str, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Return the JSON object at a URL; raises OutwardFailed."""
        if not url.startswith(("https://", "http://")):
            raise OutwardFailed("only http and https are spoken")
        with requests.Session() as session:
            try:
                bind(session, ca_pem, self._seconds)
                response = session.get(url, headers=dict(headers or {}), allow_redirects=False)
            except (requests.RequestException, ValueError):
                raise OutwardFailed("the URL cannot be used") from None
        if response.status_code != 200:
            raise OutwardFailed(f"the server answered {response.status_code}")
        try:
            return json.decode_object(response.content)
        except InvalidRequest:
            raise OutwardFailed("the answer is not a JSON object") from None
