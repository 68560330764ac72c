"""One request as the core sees it: canonical, bounded, frozen. Made only by the delivery layer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import msgspec

from vault.logical.operation import Operation
from vault.logical.realm import ROOT_REALM, Realm
from vault.secret import Secret

EMPTY: Mapping[str, Any] = MappingProxyType({})


def no_certificates() -> tuple[bytes, ...]:
    """Return what a client shows who shows no certificate."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SecondFactor:
    """What a login brings besides its credentials, for one method of MFA."""

    method: str  # its id or name
    code: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class BasicCredentials:
    """A name and a secret as HTTP's own authentication carries them. No token: they open nothing but what asks for them."""

    name: str
    secret: Secret


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """A decoded request.

    `path` has no leading slash, no `v1/` and no realm prefix; for LIST and SCAN it ends with a slash.
    `data` holds the fields of the body (writes) or of the query string (all others).
    """

    id: str
    operation: Operation
    path: str
    data: Mapping[str, Any] = EMPTY
    token: Secret | None = None
    is_bearer: bool = False  # the token came as RFC 6750 says
    basic: BasicCredentials | None = None
    realm: Realm = ROOT_REALM
    wrap_ttl_seconds: int | None = None
    second_factors: tuple[SecondFactor, ...] = ()
    # By names in lower case, for the record only: nothing is decided by them. Tokens are among them.
    headers: Mapping[str, str] = EMPTY
    remote_address: str = ""
    remote_port: int = 0
    # Groups of endpoints that the listener lets anybody use, by name.
    open_doors: frozenset[str] = frozenset()
    heard: bool = False  # of what other hosts wrote before it came: somebody has asked already
    # Asked only by who judges certificates: most requests never look at theirs.
    show_certificates: Callable[[], tuple[bytes, ...]] = no_certificates

    def __repr__(self) -> str:
        """Return what names the request: fields and headers hold secrets."""
        return f"Request(id={self.id!r}, operation={self.operation.value!r}, path={self.path!r})"

    @property
    def client_certificate(self) -> bytes | None:
        """Return the certificate that the client showed, in DER. Nobody has judged it; the client does hold its key."""
        return next(iter(self.show_certificates()), None)
