"""The directory: one short conversation for each login, bounded in time whatever the server does, closed in any case.

Nothing that a server says is repeated: its errors hold names and sometimes more. An empty password is never sent: directories
take it for an anonymous bind, which succeeds.
"""

import os
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import ldap3
from ldap3.core.exceptions import LDAPException
from ldap3.utils.dn import escape_rdn, parse_dn

from vault import limits
from vault.errors import InvalidRequest
from vault.modules.auth.methods.ldap.config import TLS_VERSIONS, Config
from vault.modules.auth.methods.ldap.template import fill

_DEREFERENCE = {
    "never": ldap3.DEREF_NEVER,
    "finding": ldap3.DEREF_BASE,
    "searching": ldap3.DEREF_SEARCH,
    "always": ldap3.DEREF_ALWAYS,
}
UNREACHABLE = "ldap operation failed: no directory server could be reached"


class WrongCredentials(Exception):
    """The directory knows no such person, several of them, or another password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody of the directory."""

    dn: str
    attribute: str  # value of userattr, empty where it has none
    groups: tuple[str, ...]


class _Tls(ldap3.Tls):
    """TLS with a context of our own: certificates from memory, versions from the configuration."""

    def __init__(self, config: Config) -> None:
        super().__init__(validate=ssl.CERT_NONE if config.insecure_tls else ssl.CERT_REQUIRED)
        self._context = make_tls_context(config)

    def wrap_socket(self, connection: Any, do_handshake: bool = False) -> None:
        """Put TLS around the socket of a connection."""
        connection.socket = self._context.wrap_socket(
            connection.socket, server_hostname=connection.server.host, do_handshake_on_connect=do_handshake
        )


def make_tls_context(config: Config) -> ssl.SSLContext:
    """Return how TLS is spoken with the directory."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version, context.maximum_version = TLS_VERSIONS[config.tls_min_version], TLS_VERSIONS[config.tls_max_version]
    if config.insecure_tls:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif config.certificate:
        context.load_verify_locations(cadata=config.certificate)
    else:
        context.load_default_certs()
    if config.client_tls_cert:
        with _in_memory(f"{config.client_tls_cert}\n{config.client_tls_key}\n") as place:
            context.load_cert_chain(place)
    return context


@contextmanager
def _in_memory(text: str) -> Iterator[str]:
    """Give a path under which the text can be read; it is in memory only."""
    file = os.memfd_create("ldap-client", os.MFD_CLOEXEC)
    try:
        os.write(file, text.encode())
        yield f"/proc/self/fd/{file}"
    finally:
        os.close(file)


class Directory:
    """One conversation with the first server that answers."""

    def __init__(self, config: Config) -> None:
        self._config = config

    def authenticate(self, name: str, password: str) -> Person:
        """Return whoever has this name and password; raises WrongCredentials, and InvalidRequest where no server can be asked."""
        with self._connected() as connection:
            dn, attribute = self._find_for_bind(connection, name)
            # For a name that nobody has, a password is tried as well: it takes as many steps as a wrong one.
            known = bool(dn)
            if not self._bind(connection, dn or self._guess_dn(name), password) or not known:
                raise WrongCredentials
            if self._config.upndomain and not self._config.searches:
                dn, attribute = self._search_person(connection, name)
                if not dn:
                    raise WrongCredentials
            if not attribute and not self._config.username_as_alias:
                attribute = self._read_attribute(connection, dn)
            return Person(dn=dn, attribute=attribute, groups=self._find_groups(connection, name, dn))

    def look_up(self, name: str) -> Person | None:
        """Return whoever has this name, without a password; None where there is nobody (any more)."""
        with self._connected() as connection:
            dn, attribute = self._find_for_bind(connection, name)
            return Person(dn=dn, attribute=attribute, groups=self._find_groups(connection, name, dn)) if dn else None

    # -- steps --------------------------------------------------------------------------------------------------------

    def _find_for_bind(self, connection: Any, name: str) -> tuple[str, str]:
        config = self._config
        if config.searches:
            if config.binddn and not self._bind(connection, config.binddn, config.bindpass):
                raise InvalidRequest("ldap operation failed: binddn is refused")
            return self._search_person(connection, name)
        return (f"{name}@{config.upndomain}" if config.upndomain else self._guess_dn(name)), ""

    def _guess_dn(self, name: str) -> str:
        return f"{self._config.userattr}={escape_rdn(name)},{self._config.userdn}".rstrip(",")

    def _bind(self, connection: Any, dn: str, password: str) -> bool:
        """Return whether the directory takes a password. An empty one is not even sent."""
        if not password:
            return False
        connection.user, connection.password, connection.authentication = dn, password, ldap3.SIMPLE
        return bool(connection.bind())

    def _search_person(self, connection: Any, name: str) -> tuple[str, str]:
        """Return the entry of a person and the value of userattr; empty where there is none, or more than one."""
        config = self._config
        query = fill(config.userfilter, {"UserAttr": config.userattr, "Username": name})
        found = self._search(connection, config.userdn, query, config.userattr)
        if len(found) != 1:
            return "", ""
        return found[0][0], next(iter(found[0][1]), "")

    def _read_attribute(self, connection: Any, dn: str) -> str:
        found = self._search(connection, dn, "(objectClass=*)", self._config.userattr, scope=ldap3.BASE)
        return next(iter(found[0][1]), "") if found else ""

    def _find_groups(self, connection: Any, name: str, dn: str) -> tuple[str, ...]:
        config = self._config
        if not config.groupdn:
            return ()
        if config.anonymous_group_search:
            connection.user, connection.password, connection.authentication = None, None, ldap3.ANONYMOUS
            connection.bind()
        elif config.binddn and config.bindpass and not self._bind(connection, config.binddn, config.bindpass):
            raise InvalidRequest("ldap operation failed: binddn is refused")
        found = self._search(connection, config.groupdn, fill(config.groupfilter, {"Username": name, "UserDN": dn}), config.groupattr)
        names = {_name_of(value) for entry, values in found for value in (values or (entry,))}
        if len(names) > limits.LDAP_GROUPS_MAX:
            raise InvalidRequest(f"ldap operation failed: more than {limits.LDAP_GROUPS_MAX} groups")
        return tuple(sorted(name for name in names if name))

    def _search(self, connection: Any, base: str, query: str, attribute: str, scope: str = ldap3.SUBTREE) -> list[tuple[str, list[str]]]:
        """Return entries with the values of one attribute."""
        config = self._config
        connection.search(
            base,
            query,
            search_scope=scope,
            dereference_aliases=_DEREFERENCE[config.dereference_aliases],
            attributes=[attribute],
            size_limit=limits.LDAP_ENTRIES_MAX,
            paged_size=config.max_page_size or None,
        )
        entries = [entry for entry in connection.response or () if entry.get("type") == "searchResEntry"]
        return [(entry["dn"], _read_values(entry, attribute)) for entry in entries]

    # -- connections --------------------------------------------------------------------------------------------------

    @contextmanager
    def _connected(self) -> Iterator[Any]:
        """Give a connection to the first server that takes one."""
        with _ended_after(limits.LDAP_SECONDS_MAX) as watch:
            try:
                connection = self._connect(watch)
                try:
                    yield connection
                finally:
                    watch.end()
            except (LDAPException, OSError, ValueError):
                # The library's own errors repeat what was sent.
                raise InvalidRequest(UNREACHABLE) from None

    def _connect(self, watch: "_Watch") -> Any:
        for url in self._config.urls:
            with suppress(LDAPException, OSError):
                return self._open(url, watch)
        raise InvalidRequest(UNREACHABLE)

    def _open(self, url: str, watch: "_Watch") -> Any:
        config, parts = self._config, urlsplit(url)
        seconds = min(config.connection_timeout or limits.LDAP_SECONDS_MAX, limits.LDAP_SECONDS_MAX)
        secure = parts.scheme == "ldaps"
        server = ldap3.Server(
            parts.hostname or "",
            port=parts.port or (636 if secure else 389),
            use_ssl=secure,
            tls=_Tls(config) if secure or config.starttls else None,
            get_info=ldap3.NONE,
            connect_timeout=seconds,
        )
        connection = ldap3.Connection(
            server,
            receive_timeout=min(config.request_timeout or limits.LDAP_SECONDS_MAX, limits.LDAP_SECONDS_MAX),
            auto_referrals=False,
            read_only=True,
            check_names=False,
            return_empty_attributes=False,
        )
        watch.guard(connection)
        connection.open(read_server_info=False)
        if config.starttls and not secure:
            connection.start_tls(read_server_info=False)
        return connection


class _Watch:
    """Ends the connections of one conversation."""

    def __init__(self) -> None:
        self._connections: list[Any] = []

    def guard(self, connection: Any) -> None:
        """End this connection too when the time is over."""
        self._connections.append(connection)

    def end(self) -> None:
        """Close all connections, whoever waits for them."""
        for connection in self._connections:
            with suppress(OSError, AttributeError, LDAPException):
                connection.socket.shutdown(socket.SHUT_RDWR)
            with suppress(OSError, AttributeError, LDAPException):
                connection.socket.close()


@contextmanager
def _ended_after(seconds: float) -> Iterator[_Watch]:
    """Give a watch over connections: none of them lives longer, also if a byte comes now and then."""
    watch = _Watch()
    timer = threading.Timer(seconds, watch.end)
    timer.daemon = True
    timer.start()
    try:
        yield watch
    finally:
        timer.cancel()
        watch.end()


def _read_values(entry: Any, attribute: str) -> list[str]:
    values = {name.lower(): value for name, value in entry.get("raw_attributes", {}).items()}.get(attribute.lower(), [])
    return [value.decode("utf-8", "replace") for value in values]


def _name_of(value: str) -> str:
    """Return the name of a group: of an entry that was found by its whole name, the first part of that."""
    try:
        parts = parse_dn(value)
    except LDAPException:
        return value
    return str(parts[0][1]) if parts and parts[0][0].lower() == "cn" else value
