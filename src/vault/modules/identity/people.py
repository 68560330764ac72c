"""Entities as tokens tell about them."""

from typing import Protocol

from vault.modules.identity.oidc.person import Alias, Person
from vault.modules.identity.store import Circle
from vault.storage.transaction import Transaction


class Identity(Protocol):
    """What is asked of the identity store."""

    def find_circle(self, transaction: Transaction, entity_id: str) -> Circle | None:
        """Return an entity with its groups."""


class People:
    """The entities of the identity store."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def find_person(self, transaction: Transaction, entity_id: str) -> Person | None:
        """Return an entity as it is now."""
        circle = self._identity.find_circle(transaction, entity_id)
        return None if circle is None else read_person(circle)


def read_person(circle: Circle) -> Person:
    """Return what tokens can tell of an entity: an alias is known by its mount."""
    entity = circle.entity
    groups = sorted((group.id, group.name) for group in circle.groups)
    return Person(
        id=entity.id,
        name=entity.name,
        disabled=entity.disabled,
        metadata=entity.metadata or {},
        aliases={
            alias.mount_accessor: Alias(
                id=alias.id, name=alias.name, metadata=alias.metadata or {}, custom_metadata=alias.custom_metadata or {}
            )
            for alias in entity.aliases
        },
        group_ids=tuple(group_id for group_id, _ in groups),
        group_names=tuple(name for _, name in groups),
    )
