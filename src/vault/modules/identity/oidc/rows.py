"""What is stored of identity tokens and of the OIDC provider. Private keys and client secrets lie behind the barrier like all rows.

Surprise: the key, the provider and the assignment that always exist are no rows until somebody changes them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from vault import limits
from vault.crypto.jws import KeyPair
from vault.storage.view import View

T = TypeVar("T")

DEFAULT = "default"
ALLOW_ALL = "allow_all"
ANY = "*"
DAY_SECONDS = 24 * 3600
_PAGE = 1_000
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?")


def is_name(text: str) -> bool:
    """Return whether a thing may have this name."""
    return len(text) <= limits.OIDC_NAME_BYTES_MAX and _NAME.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Of identity tokens as a whole."""

    issuer: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetiredKey:
    """A key that signs no more, but can still be checked against."""

    public: Mapping[str, str]
    expires_at: float  # unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedKey:
    """A key that is replaced now and then. The next one is published before it is used."""

    algorithm: str = "RS256"
    rotation_period_seconds: int = DAY_SECONDS
    verification_ttl_seconds: int = DAY_SECONDS
    allowed_client_ids: tuple[str, ...] = ()
    signing: KeyPair | None = None  # none: nobody has needed the key so far
    following: KeyPair | None = None
    retired: tuple[RetiredKey, ...] = ()
    rotates_at: float = 0  # unix seconds

    def allows(self, client_id: str) -> bool:
        """Return whether the key may sign for a client."""
        return ANY in self.allowed_client_ids or client_id in self.allowed_client_ids

    def list_public(self, now: float) -> list[Mapping[str, str]]:
        """Return the public keys against which tokens may be checked."""
        current = [pair.public for pair in (self.signing, self.following) if pair is not None]
        return current + [key.public for key in self.retired if key.expires_at > now]


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """How identity tokens are made."""

    key: str = ""
    template: str = ""
    ttl_seconds: int = DAY_SECONDS
    client_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Claims that a client can ask for."""

    template: str = ""
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """Who may sign in to a client."""

    entity_ids: tuple[str, ...] = ()
    group_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """An application that lets people sign in here."""

    client_id: str
    client_secret: str = field(default="", repr=False)  # empty: a public client, which cannot keep one
    redirect_uris: tuple[str, ...] = ()
    assignments: tuple[str, ...] = ()
    key: str = DEFAULT
    id_token_ttl_seconds: int = DAY_SECONDS
    access_token_ttl_seconds: int = DAY_SECONDS
    authorization_code: bool = True
    client_credentials: bool = False

    @property
    def is_public(self) -> bool:
        """Return whether the client proves by PKCE alone that it is the one that began."""
        return not self.client_secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """An OpenID provider: what relying parties see."""

    issuer: str = ""
    allowed_client_ids: tuple[str, ...] = ()
    scopes_supported: tuple[str, ...] = ()

    def allows(self, client_id: str) -> bool:
        """Return whether a client may use this provider."""
        return ANY in self.allowed_client_ids or client_id in self.allowed_client_ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What an authorization code stands for."""

    provider: str
    client_id: str
    entity_id: str
    redirect_uri: str
    scopes: tuple[str, ...]
    expires_at: float  # unix seconds
    nonce: str = ""
    auth_time: int = 0  # unix seconds; 0: not asked for
    challenge: str = ""
    challenge_method: str = ""


class Table(Generic[T]):
    """The rows of one kind, by name."""

    def __init__(self, folder: str, kind: type[T], built_in: Mapping[str, T] | None = None) -> None:
        self.folder = f"oidc/{folder}/"
        self._decode = msgspec.json.Decoder(kind).decode
        self._built_in = built_in or {}

    def find(self, storage: View, name: str) -> T | None:
        """Return the row with this name."""
        if not is_name(name):
            return None
        entry = storage.get(self.folder + name)
        return self._built_in.get(name) if entry is None else entry.decode(self._decode)

    def hold(self, storage: View, name: str) -> T | None:
        """Return the row with this name, which is to be referred to: whoever deletes or limits it meanwhile has to look again.

        Written back as it is, because two who only look at each other's rows would not notice one another.
        """
        row = self.find(storage, name)
        entry = None if row is None else storage.get(self.folder + name)
        if entry is not None:
            storage.put(self.folder + name, entry.value)
        return row

    def list_names(self, storage: View) -> tuple[str, ...]:
        """Return all names in order."""
        return tuple(sorted({*self._built_in, *storage.list_children(self.folder)}))

    def list_rows(self, storage: View) -> Iterator[tuple[str, T]]:
        """Yield all rows with their names."""
        for name in self.list_names(storage):
            row = self.find(storage, name)
            if row is not None:
                yield name, row

    def list_referrers(self, storage: View) -> Iterator[tuple[str, T]]:
        """Yield all rows, none from a cache that is behind; call after reading what they refer to, which is then written."""
        after = ""
        while names := storage.list_subtree(self.folder, after, _PAGE):
            for name in names:
                storage.guard(self.folder + name)
                row = self.find(storage, name)
                if row is not None:
                    yield name, row
            after = names[-1]

    def put(self, storage: View, name: str, row: T, expires_at: float | None = None) -> None:
        """Store a row."""
        storage.put(self.folder + name, msgspec.json.encode(row), expires_at)

    def delete(self, storage: View, name: str) -> None:
        """Delete a row; a missing one is no error."""
        storage.get(self.folder + name)  # of several that delete or hold it, one comes first
        storage.delete(self.folder + name)


CONFIG = Table("config", Config)
KEYS = Table("key", NamedKey, {DEFAULT: NamedKey(allowed_client_ids=(ANY,))})
ROLES = Table("role", Role)
SCOPES = Table("scope", Scope)
ASSIGNMENTS = Table("assignment", Assignment, {ALLOW_ALL: Assignment(entity_ids=(ANY,), group_ids=(ANY,))})
CLIENTS = Table("client", Client)
CLIENT_NAMES = Table("client-id", str)
PROVIDERS = Table("provider", Provider, {DEFAULT: Provider(allowed_client_ids=(ANY,))})
CODES = Table("code", Code)


def find_client(storage: View, client_id: str) -> Client | None:
    """Return the client with this id."""
    name = CLIENT_NAMES.find(storage, client_id)
    return None if name is None else CLIENTS.find(storage, name)
