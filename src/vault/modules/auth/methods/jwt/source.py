"""What a worker knows of identity providers: their discovery documents and key sets, fetched anew after a while.

A token that names an unknown key makes the worker ask once more, but no more often than every few seconds: strangers can name as many
keys as they like. While a provider cannot be reached, what it said last holds for a bounded time.
"""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from vault import limits
from vault.clock import Clock
from vault.errors import InvalidRequest
from vault.modules.auth.methods.jwt.config import Config
from vault.modules.auth.methods.jwt.key import Key, parse_key_set, parse_pems
from vault.modules.auth.outbound import Crowded, Unreachable, make_tls

WELL_KNOWN = "/.well-known/openid-configuration"


class Fetch(Protocol):
    """What is needed of the way outside."""

    def fetch_object(self, url: str, ca_pem: str, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        """Return the JSON object at a URL; raises Unreachable."""


@dataclass(slots=True)
class _Known:
    """What was fetched last, and when: seconds of the monotonic clock."""

    value: Any = None
    fetched_at: float | None = None
    tried_at: float | None = None
    failure: str = ""

    def is_younger(self, seconds: float, now: float) -> bool:
        return self.fetched_at is not None and now - self.fetched_at < seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An OpenID provider, as its discovery document says."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    auth_methods: tuple[str, ...] = ()  # of the token endpoint


class Sources:
    """The documents that this worker knows."""

    def __init__(self, fetch: Fetch, clock: Clock) -> None:
        self._fetch = fetch
        self._monotonic = clock.monotonic
        self._known: dict[tuple[str, str], _Known] = {}
        self._locks: dict[tuple[str, str], threading.Lock] = {}
        self._lock = threading.Lock()

    def list_keys(self, config: Config, key_id: str = "", *, fresh: bool = False) -> tuple[Key, ...]:
        """Return the keys that sign for a mount; asks again where none has this id. Raises Unreachable."""
        if config.jwt_validation_pubkeys:
            return _static_keys(config.jwt_validation_pubkeys)
        if config.jwks_url:
            url, ca_pem = config.jwks_url, config.jwks_ca_pem
        else:
            url, ca_pem = self.find_provider(config, fresh=fresh).jwks_uri, config.oidc_discovery_ca_pem

        def suits(keys: tuple[Key, ...]) -> bool:
            return not key_id or any(key.id == key_id for key in keys)

        keys: tuple[Key, ...] = self._get(url, ca_pem, parse_key_set, suits, fresh=fresh)
        return keys

    def find_provider(self, config: Config, *, fresh: bool = False) -> Provider:
        """Return what the discovery document of a mount says; raises Unreachable."""
        issuer = config.oidc_discovery_url

        def parse(document: Mapping[str, Any]) -> Provider:
            return parse_provider(document, issuer)

        provider: Provider = self._get(issuer.rstrip("/") + WELL_KNOWN, config.oidc_discovery_ca_pem, parse, fresh=fresh)
        return provider

    def fetch_claims(self, config: Config, provider: Provider, access_token: str) -> Mapping[str, Any]:
        """Return what the provider tells of a user; raises Unreachable."""
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        return self._fetch.fetch_object(provider.userinfo_endpoint, config.oidc_discovery_ca_pem, headers)

    def _get(
        self, url: str, ca_pem: str, parse: Callable[[Any], Any], suits: Callable[[Any], bool] = lambda _: True, *, fresh: bool = False
    ) -> Any:
        place = url, ca_pem
        known = self._known.get(place)
        if not fresh and known is not None and known.is_younger(limits.JWT_KEYS_FRESH_SECONDS, self._monotonic()) and suits(known.value):
            return known.value
        with self._lock_of(place):  # one thread asks, the others get what it brings
            known = self._known.setdefault(place, _Known())
            now = self._monotonic()
            known_now = known.is_younger(limits.JWT_KEYS_FRESH_SECONDS, now) and suits(known.value)
            if fresh or not (known_now or self._was_asked(known, now)):
                self._ask(known, place, parse)
                if fresh and known.failure:  # an operator tries a source: the next question is no stranger's doing
                    known.tried_at = None
            if known.is_younger(limits.JWT_KEYS_KEPT_SECONDS, now) and not (fresh and known.failure):
                return known.value
            raise Unreachable(known.failure or "no answer yet")

    def _was_asked(self, known: _Known, now: float) -> bool:
        return known.tried_at is not None and now - known.tried_at < limits.JWT_KEYS_RETRY_SECONDS

    def _ask(self, known: _Known, place: tuple[str, str], parse: Callable[[Any], Any]) -> None:
        known.tried_at, known.failure = self._monotonic(), ""
        try:
            known.value = parse(self._fetch.fetch_object(*place))
            known.fetched_at = self._monotonic()
        except Crowded as failure:
            known.tried_at, known.failure = None, str(failure)  # the next login asks again
        except (Unreachable, ValueError) as failure:
            known.failure = str(failure)

    def _lock_of(self, place: tuple[str, str]) -> threading.Lock:
        with self._lock:
            if len(self._locks) >= limits.JWT_SOURCES_MAX and place not in self._locks:
                oldest = next(iter(self._locks))
                del self._locks[oldest]
                self._known.pop(oldest, None)
            return self._locks.setdefault(place, threading.Lock())


def parse_provider(document: Mapping[str, Any], issuer: str) -> Provider:
    """Return what a discovery document says; raises ValueError where it is not that of the issuer, or leaves TLS."""
    if document.get("issuer") != issuer:
        raise ValueError("the issuer of the discovery document is another one than the discovery URL")

    def read(name: str, *, required: bool = True) -> str:
        value = document.get(name, "")
        allowed = ("https://",) if issuer.startswith("https://") else ("https://", "http://")
        if (value or required) and not (isinstance(value, str) and value.startswith(allowed)):
            raise ValueError(f"the discovery document has no usable {name}")
        return str(value)

    methods = document.get("token_endpoint_auth_methods_supported", ())
    return Provider(
        issuer=issuer,
        authorization_endpoint=read("authorization_endpoint", required=False),
        token_endpoint=read("token_endpoint", required=False),
        jwks_uri=read("jwks_uri"),
        userinfo_endpoint=read("userinfo_endpoint", required=False),
        auth_methods=tuple(map(str, methods)) if isinstance(methods, list) else (),
    )


def _static_keys(pems: tuple[str, ...]) -> tuple[Key, ...]:
    try:
        return parse_pems(pems)
    except ValueError as error:
        raise Unreachable(str(error)) from None


def check_source(sources: Sources, config: Config) -> str:
    """Return why the source of keys cannot be used now; empty: it can. Raises InvalidRequest for what can never be used."""
    try:
        parse_pems(config.jwt_validation_pubkeys)
    except ValueError as error:
        raise InvalidRequest(f"error parsing public key: {error}") from None
    for name in ("jwks_ca_pem", "oidc_discovery_ca_pem"):
        try:
            make_tls(getattr(config, name))
        except ValueError:
            raise InvalidRequest(f"error checking {name}") from None
    try:
        sources.list_keys(config, fresh=True)
    except Unreachable as failure:
        return f"error checking {'jwks URL' if config.jwks_url else 'oidc discovery URL'}: {failure}"
    return ""
