"""Entities and their aliases: one person or service, whichever auth methods it comes by."""

import uuid
from dataclasses import dataclass, field

import msgspec

from vault.crypto.random import random_bytes
from vault.logical.login import Login
from vault.logical.mount import Mount
from vault.logical.standing import Standing
from vault.mounts import Mounts
from vault.storage.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """An entity as stored."""

    id: str
    name: str
    disabled: bool = False
    policies: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)


def _decode(value: bytes) -> Standing:
    entity = msgspec.json.decode(value, type=Entity)
    values = {"identity.entity.id": entity.id, "identity.entity.name": entity.name}
    return Standing(entity_id=entity.id, disabled=entity.disabled, policies=entity.policies, values=values)


class IdentityStore:
    """Recognises callers, and says what their entities give them."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts

    def _prefix(self, transaction: Transaction) -> str:
        return self._mounts.require(transaction, "identity/").storage_prefix

    def find_standing(self, transaction: Transaction, entity_id: str) -> Standing | None:
        """Return what an entity gives to its tokens now; the same object as long as nothing of it has changed."""
        entry = transaction.get(f"{self._prefix(transaction)}entity/{entity_id}")
        return None if entry is None else entry.decode(_decode)

    def knows_group(self, transaction: Transaction, group_id: str) -> bool:
        """Return whether there is a group with this id."""
        return transaction.get(f"{self._prefix(transaction)}group/{group_id}") is not None

    def recognise(self, transaction: Transaction, mount: Mount, login: Login) -> Standing:
        """Return the standing of whoever logs in; the first login of an alias makes its entity."""
        place = f"{self._prefix(transaction)}alias/{mount.accessor}/{login.alias.encode().hex()}"
        entry = transaction.get(place)
        standing = None if entry is None else self.find_standing(transaction, entry.value.decode())
        if standing is None:
            entity_id = str(uuid.UUID(bytes=random_bytes(16), version=4))
            row = msgspec.json.encode(Entity(id=entity_id, name=f"entity_{entity_id[:8]}"))
            transaction.put(place, entity_id.encode())
            transaction.put(f"{self._prefix(transaction)}entity/{entity_id}", row)
            standing = _decode(row)
        return standing

    def follow_groups(self, transaction: Transaction, mount: Mount, entity_id: str, groups: tuple[str, ...]) -> None:
        """Make the external groups that an entity is in through a mount those with these names."""
