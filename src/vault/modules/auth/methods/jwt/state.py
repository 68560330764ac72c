"""The state of a login through a web page. It travels sealed in the browser, so nothing is stored when somebody asks for a login page.

Only that a login came back is stored, in a fixed number of rows that forget what is over: strangers cannot fill the database. Any
worker can open the state, and of two that get the same one only one commits its mark.
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec

from vault import limits
from vault.crypto.random import random_base62
from vault.errors import IntegrityError, InvalidRequest
from vault.logical.mount import Mount
from vault.storage.view import View

_FOLDER = "spent/"
T = TypeVar("T")
MISSING = "Vault login failed. Expired or missing OAuth state."


class Keys(Protocol):
    """What is needed of the open barrier."""

    def encrypt(self, path: str, value: bytes) -> bytes:
        """Return `value` sealed under the current barrier key, bound to `path`."""

    def decrypt(self, path: str, value: bytes) -> bytes:
        """Return what `encrypt` sealed; raises IntegrityError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What was asked for at the beginning of a login. Times are unix seconds."""

    id: str
    role: str
    redirect_uri: str
    nonce: str
    verifier: str  # of PKCE
    client: str  # hash of the client's nonce; empty: it sent none
    begun_at: int

    def is_of(self, client_nonce: str) -> bool:
        """Return whether who comes back is who began."""
        return not self.client or hmac.compare_digest(self.client, hash_nonce(client_nonce))


@dataclass(frozen=True, slots=True, kw_only=True)
class Handed:
    """What a provider sent by form, on its way through the browser to the client."""

    id: str  # of the state
    code: str = ""
    id_token: str = ""


def hash_nonce(client_nonce: str) -> str:
    """Return what is kept of a client's nonce."""
    return hashlib.sha256(client_nonce.encode()).hexdigest() if client_nonce else ""


def make_state(*, role: str, redirect_uri: str, client_nonce: str, now: float) -> State:
    """Return the state of a new login."""
    return State(
        id=random_base62(22),
        role=role,
        redirect_uri=redirect_uri,
        nonce=random_base62(32),
        verifier=random_base62(64),
        client=hash_nonce(client_nonce),
        begun_at=int(now),
    )


class States:
    """Seals and opens what travels; bound to its mount."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys

    def seal(self, mount: Mount, state: State | Handed) -> str:
        """Return the text of a state."""
        sealed = self._keys.encrypt(_place(mount, type(state)), msgspec.json.encode(state))
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, mount: Mount, text: str, now: float) -> State:
        """Return the state of a text; raises InvalidRequest for what is none, or is over."""
        state = self._open(mount, text, State)
        if state is None or not 0 <= now - state.begun_at < limits.OIDC_FLOW_SECONDS:
            raise InvalidRequest(MISSING)
        return state

    def find_handed(self, mount: Mount, text: str) -> Handed | None:
        """Return what a provider sent by form, if this text is that."""
        return self._open(mount, text, Handed)

    def _open(self, mount: Mount, text: str, kind: type[T]) -> T | None:
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            return msgspec.json.decode(self._keys.decrypt(_place(mount, kind), sealed), type=kind)
        except (binascii.Error, ValueError, IntegrityError):
            return None


def _place(mount: Mount, kind: type) -> str:
    return f"{mount.storage_prefix}oidc/{kind.__name__}"


def spend(storage: View, state: State, now: float) -> None:
    """Take a state away from everybody else; raises InvalidRequest where somebody was first."""
    digest = hashlib.sha256(state.id.encode()).digest()
    place = f"{_FOLDER}{int.from_bytes(digest[:4], 'big') % limits.OIDC_SPENT_ROWS}"
    entry = storage.get(place)
    spent: dict[str, int] = {} if entry is None else msgspec.json.decode(entry.value, type=dict[str, int])
    spent = {name: over_at for name, over_at in spent.items() if over_at > now}
    if state.id in spent:
        raise InvalidRequest(MISSING)
    if len(spent) >= limits.OIDC_SPENT_PER_ROW_MAX:
        raise InvalidRequest("Vault login failed. Too many logins are coming back, try again.")
    over_at = state.begun_at + limits.OIDC_FLOW_SECONDS
    storage.put(place, msgspec.json.encode({**spent, state.id: over_at}))
