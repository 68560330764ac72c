"""Entities as tokens tell about them."""

from vault.modules.identity.oidc.person import Person
from vault.modules.identity.store import IdentityStore
from vault.storage.transaction import Transaction


class People:
    """The entities of the identity store."""

    def __init__(self, identity: IdentityStore) -> None:
        self._identity = identity

    def find_person(self, transaction: Transaction, entity_id: str) -> Person | None:
        """Return an entity as it is now."""
        standing = self._identity.find_standing(transaction, entity_id)
        if standing is None:
            return None
        name = standing.values.get("identity.entity.name", "")
        return Person(id=standing.entity_id, name=name, disabled=standing.disabled)
