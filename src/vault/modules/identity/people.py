"""Entities as tokens tell about them."""

from vault.modules.identity.oidc.person import Alias, Person
from vault.modules.identity.store import Circle, IdentityStore
from vault.storage.transaction import Transaction


class People:
    """The entities of the identity store."""

    def __init__(self, identity: IdentityStore) -> None:
        self._identity = identity

    def find_person(self, transaction: Transaction, entity_id: str) -> Person | None:
        """Return an entity as it is now; that into which it was merged, if it was."""
        circle = self._identity.find_circle(transaction, entity_id)
        return None if circle is None else _describe(circle)


def _describe(circle: Circle) -> Person:
    entity = circle.entity
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
        group_ids=tuple(group.id for group in circle.groups),
        group_names=tuple(group.name for group in circle.groups),
    )
