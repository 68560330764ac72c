"""Logins that wait for their second factor: a row each, so that any worker may finish them, and only one of them does.

The id that the client gets begins with the time, as a UUID of version 7 does; the name of the row keeps that part and has a keyed hash
in place of the id. So rows lie in the order of their ends, and those that are over are found without being read.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from vault import limits
from vault.crypto.random import random_bytes
from vault.errors import InvalidRequest
from vault.logical.login import Login
from vault.storage.transaction import Transaction

_ROWS = "core/mfa/pending/"
_INDEX = "core/mfa/waiting/"  # names of the rows of an entity
_TIME_DIGITS = 12
_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """A login that has everything but its second factor."""

    entity_id: str
    mount_uuid: str
    path: str  # of the login
    login: Login
    stamp: str = ""  # of the login's session when it began
    wrap_ttl_seconds: int | None = None


def decode_pending(value: bytes) -> Pending:
    """Return the login stored as `value`."""
    return msgspec.json.decode(value, type=Pending)


def _encode_other(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError


def _make_id(now: float) -> str:
    unique = int(now * 1000).to_bytes(6, "big") + random_bytes(10)
    return str(uuid.UUID(int=int.from_bytes(unique, "big") & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62))


class PendingLogins:
    """Keeps, finds and forgets them within a transaction."""

    def __init__(self, hash_id: Callable[[str], str]) -> None:
        self._hash_id = hash_id

    def _name(self, request_id: str) -> str:
        return request_id.replace("-", "")[:_TIME_DIGITS] + self._hash_id(request_id)

    def put(self, transaction: Transaction, pending: Pending, now: float) -> str:
        """Store a login and return its id. The oldest one of the entity gives way where there are too many."""
        request_id = _make_id(now)
        name = self._name(request_id)
        kept = [*self._list_waiting(transaction, pending.entity_id, now), name]
        for old in kept[: -limits.MFA_PENDING_MAX]:
            transaction.delete(_ROWS + old)
        self._save_waiting(transaction, pending.entity_id, kept[-limits.MFA_PENDING_MAX :])
        transaction.put(_ROWS + name, msgspec.json.encode(pending, enc_hook=_encode_other))
        return request_id

    def take(self, transaction: Transaction, request_id: str, now: float) -> Pending:
        """Return the login with this id, and forget it; raises InvalidRequest, the same for every cause."""
        name = self._name(request_id)
        # What is no id of ours names no row: nothing but hexadecimal digits comes before the hash.
        entry = transaction.get(_ROWS + name) if name.isalnum() and name.isascii() else None
        if entry is None or _ends_at(name) <= now:
            raise InvalidRequest("invalid request ID")
        pending = entry.decode(decode_pending)
        self._forget(transaction, name, pending, now)
        return pending

    def tidy(self, transaction: Transaction, now: float) -> bool:
        """Delete some of those that are over; return whether there may be more."""
        names = transaction.list_subtree(_ROWS, "", _BATCH)
        over = [name for name in names if _ends_at(name) <= now]
        for name in over:
            entry = transaction.get(_ROWS + name)
            if entry is not None:
                self._forget(transaction, name, entry.decode(decode_pending), now)
        return len(over) == _BATCH

    def _forget(self, transaction: Transaction, name: str, pending: Pending, now: float) -> None:
        transaction.delete(_ROWS + name)
        rest = [other for other in self._list_waiting(transaction, pending.entity_id, now) if other != name]
        self._save_waiting(transaction, pending.entity_id, rest)

    def _list_waiting(self, transaction: Transaction, entity_id: str, now: float) -> list[str]:
        entry = transaction.get(_INDEX + entity_id)
        names = [] if entry is None else msgspec.json.decode(entry.value, type=list[str])
        return [name for name in names if _ends_at(name) > now]

    def _save_waiting(self, transaction: Transaction, entity_id: str, names: list[str]) -> None:
        if names:
            transaction.put(_INDEX + entity_id, msgspec.json.encode(names))
        else:
            transaction.delete(_INDEX + entity_id)


def _ends_at(name: str) -> float:
    return int(name[:_TIME_DIGITS], 16) / 1000 + limits.MFA_PENDING_SECONDS
