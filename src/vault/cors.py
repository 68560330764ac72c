"""Which web pages may use the API from a browser.

Origins come from the configuration and from one encrypted row. While the row cannot be read - sealed, not initialised, no database -
only those of the configuration count: a plain copy could be written by whoever can write to the database.
"""

from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from vault.errors import OriginNotAllowed, VaultError
from vault.storage.transaction import Store, Transaction

TABLE = "core/cors"
ANY = "*"
NO_ORIGIN = "null"  # of sandboxed frames and local files: anybody's
# Vault's: what its own clients send.
HEADERS = (
    "Content-Type",
    "Authorization",
    "X-Vault-Token",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-Policy-Override",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCors:
    """The row."""

    origins: tuple[str, ...]
    headers: tuple[str, ...] = ()  # besides Vault's
    credentials: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sharing:
    """What holds now."""

    origins: tuple[str, ...] = ()
    headers: tuple[str, ...] = HEADERS
    credentials: bool = False
    _known: frozenset[str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_known", frozenset(self.origins) - {NO_ORIGIN})

    @property
    def is_on(self) -> bool:
        """Return whether any page may use the API."""
        return bool(self.origins)

    def find_allowed(self, origin: str) -> str | None:
        """Return what the answer to a page of this origin says is allowed; None: it may not."""
        if origin in self._known:
            return origin
        return ANY if ANY in self._known and origin != NO_ORIGIN and not self.credentials else None


def _decode(value: bytes) -> StoredCors:
    return msgspec.json.decode(value, type=StoredCors)


class Cors:
    """Reads, changes and applies the list."""

    def __init__(self, configured: tuple[str, ...]) -> None:
        self._base = Sharing(origins=configured)

    @property
    def configured(self) -> tuple[str, ...]:
        """Return the origins of the configuration."""
        return self._base.origins

    def configure(self, origins: tuple[str, ...]) -> None:
        """Take over the origins of a configuration that was read anew."""
        self._base = Sharing(origins=origins)

    def find(self, transaction: Transaction) -> Sharing:
        """Return what holds; of the configuration and the row together."""
        entry = transaction.get(TABLE)
        if entry is None:
            return self._base
        stored = entry.decode(_decode)
        origins = tuple(dict.fromkeys((*self._base.origins, *stored.origins)))
        return Sharing(origins=origins, headers=tuple(dict.fromkeys((*HEADERS, *stored.headers))), credentials=stored.credentials)

    def save(self, transaction: Transaction, stored: StoredCors) -> None:
        """Store the row."""
        transaction.put(TABLE, msgspec.json.encode(stored))

    def forget(self, transaction: Transaction) -> None:
        """Go back to what the configuration says."""
        transaction.delete(TABLE)

    def check(self, store: Store | None, origin: str) -> tuple[Sharing, str] | None:
        """Return what holds for a page and which origin its answer names; None where no list exists. Raises OriginNotAllowed."""
        sharing = self._base
        if store is not None:
            with suppress(VaultError):
                sharing = self.find(store.read())
        if not sharing.is_on:
            return None
        allowed = sharing.find_allowed(origin)
        if allowed is None:
            raise OriginNotAllowed
        return sharing, allowed
