"""The directory, as one login asks it: bounded in time and size whatever it does, its connection closed in every case.

A timeout of a socket only bounds each wait; so a timer ends the connection when the time is over. Nothing that the directory says reaches
a caller, and referrals are not followed: the password would go to a server that nobody configured.
"""

import socket
import ssl
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import BoundedSemaphore, Timer
from typing import Any

import structlog
from ldap3 import ANONYMOUS, BASE, NONE, SIMPLE, SUBTREE, Connection, Server, Tls
from ldap3.core.exceptions import LDAPException

from vault import limits
from vault.errors import InvalidRequest
from vault.modules.auth.methods.ldap.config import Config, Place, list_servers, make_trust

_DEREFERENCE = {"never": "NEVER", "searching": "SEARCH", "finding": "BASE", "always": "ALWAYS"}
_BROKEN = (LDAPException, OSError, ValueError, TypeError, IndexError, KeyError, AttributeError, struct.error, RecursionError)  # of garbage

_TOO_MANY = 4  # a result code

_places = BoundedSemaphore(limits.LDAP_PLACES_MAX)
_log = structlog.get_logger(__name__)


class Unreachable(InvalidRequest):
    """No server of the directory answered as it should."""

    message = "ldap operation failed: failed to ask the directory"

    def __init__(self) -> None:
        super().__init__(self.message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """An entry of the directory."""

    dn: str
    values: Mapping[str, tuple[bytes, ...]]  # by attribute in lower case

    def list_texts(self, attribute: str) -> tuple[str, ...]:
        """Return the values of an attribute as text."""
        return tuple(value.decode("utf-8", "replace") for value in self.values.get(attribute.lower(), ()))


class _Trust(Tls):  # the library knows fewer versions, and no certificate that is not a file
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__()
        self._context = context

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        connection.socket = self._context.wrap_socket(connection.socket, server_hostname=connection.server.host)


class _Counted:
    """A socket that gives no more than so many bytes."""

    def __init__(self, plain: socket.socket) -> None:
        self._plain = plain
        self._left = limits.LDAP_BYTES_MAX

    def recv(self, size: int) -> bytes:
        data = self._plain.recv(size)
        self._left -= len(data)
        if self._left < 0:
            raise OSError("the answers are too large")
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._plain, name)


class Directory:
    """One connection to it."""

    def __init__(self, config: Config, connection: Any) -> None:
        self._config = config
        self._connection = connection

    def bind(self, dn: str, password: str) -> bool:
        """Return whether this is the password. An empty one would be an anonymous bind, so it is never sent."""
        if not dn or not password:
            raise Unreachable
        return self._bind(SIMPLE, dn, password)

    def bind_searcher(self) -> None:
        """Become who searches; raises Unreachable where the directory refuses that."""
        config = self._config
        done = self.bind(config.binddn, config.bindpass) if config.binddn and config.bindpass else self.bind_nobody()
        if not done:
            _log.warning("ldap directory refuses binddn")
            raise Unreachable

    def bind_nobody(self) -> bool:
        """Become nobody."""
        return self._bind(ANONYMOUS, None, None)

    def _bind(self, kind: str, dn: str | None, password: str | None) -> bool:
        # As bytes: the library would change the text of it.
        with _described("bind"):
            self._connection.user, self._connection.password = None, None
            secret = None if password is None else password.encode()
            return bool(self._connection.rebind(user=dn, password=secret, authentication=kind, read_server_info=False))

    def search(self, base: str, text: str, attributes: tuple[str, ...], *, whole: bool = True, most: int) -> tuple[Found, ...]:
        """Return the entries that a filter matches, `most` of them; raises Unreachable."""
        found: list[Found] = []
        page = self._config.max_page_size or None
        cookie: Any = None
        with _described("search"):
            while True:
                self._connection.search(
                    base,
                    text,
                    search_scope=SUBTREE if whole else BASE,
                    dereference_aliases=_DEREFERENCE[self._config.dereference_aliases],
                    attributes=list(attributes) or ["1.1"],
                    size_limit=most,
                    paged_size=page,
                    paged_cookie=cookie,
                )
                result = self._connection.result
                if result["result"] not in {0, _TOO_MANY, 32}:  # success; no such place
                    raise OSError(f"result {result['result']}")
                found += [_read(item) for item in self._connection.response or () if item["type"] == "searchResEntry"]
                if result["result"] == _TOO_MANY and len(found) < most:
                    raise OSError("cut short by a limit of the directory")
                cookie = result.get("controls", {}).get("1.2.840.113556.1.4.319", {}).get("value", {}).get("cookie")
                if not page or not cookie or len(found) >= most:
                    return tuple(found[:most])


def _read(item: Mapping[str, Any]) -> Found:
    values = {str(name).lower(): tuple(bytes(value) for value in listed) for name, listed in item["raw_attributes"].items()}
    return Found(dn=str(item["dn"]), values=values)


@contextmanager
def _described(step: str) -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        # Not its text: it may quote what was sent.
        _log.warning("ldap directory failed", step=step, error=type(error).__name__)
        raise Unreachable from None


@contextmanager
def open_directory(config: Config) -> Iterator[Directory]:
    """Connect to the first server that can be reached; raises Unreachable."""
    if not _places.acquire(timeout=limits.OUTBOUND_WAIT_SECONDS):
        raise Unreachable
    connection: Any = None
    try:
        connection = _connect(config)
        with _ended_after(connection.socket, min(config.request_timeout, limits.LDAP_SECONDS_MAX)):
            connection.socket = _Counted(connection.socket)
            yield Directory(config, connection)
    finally:
        _places.release()
        if connection is not None:
            _close(connection)


def _connect(config: Config) -> Any:
    trust = make_trust(config)
    for place in list_servers(config):
        connection = _prepare(config, place, trust)
        try:
            connection.open(read_server_info=False)
            if config.starttls and not place.tls:
                _begin_tls(connection, config)
        except _BROKEN as error:
            _log.warning("ldap server cannot be reached", host=place.host, port=place.port, error=type(error).__name__)
            _close(connection)
        else:
            return connection
    raise Unreachable


def _begin_tls(connection: Any, config: Config) -> None:
    with _ended_after(connection.socket, min(config.connection_timeout, limits.LDAP_CONNECT_SECONDS_MAX)):
        if not connection.start_tls(read_server_info=False):
            raise OSError("refused")


def _prepare(config: Config, place: Place, trust: ssl.SSLContext) -> Any:
    seconds = min(config.connection_timeout, limits.LDAP_CONNECT_SECONDS_MAX)
    server = Server(place.host, place.port, use_ssl=place.tls, get_info=NONE, connect_timeout=seconds, tls=_Trust(trust))
    wait = min(config.request_timeout, limits.LDAP_SECONDS_MAX)
    return Connection(server, auto_referrals=False, check_names=False, receive_timeout=wait, raise_exceptions=False)


def _close(connection: Any) -> None:
    plain = connection.socket
    with suppress(*_BROKEN):
        connection.strategy.close()
    if plain is not None:
        with suppress(OSError):
            plain.close()


@contextmanager
def _ended_after(connection: socket.socket, seconds: float) -> Iterator[None]:
    handle = socket.fromfd(connection.fileno(), connection.family, connection.type)  # TLS takes the socket itself over
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
