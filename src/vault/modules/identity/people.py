"""Entities as tokens tell about them: read from what an entity gives to the placeholders of policies, so that both always say the same."""

import re
from collections.abc import Mapping
from typing import Protocol

from vault.logical.standing import Standing
from vault.modules.identity.oidc.person import Alias, Person
from vault.storage.transaction import Transaction

_METADATA = "identity.entity.metadata."
_GROUP = re.compile(r"identity\.groups\.ids\.([^.]+)\.name")
_ALIAS = re.compile(r"identity\.entity\.aliases\.([^.]+)\.(id|name|metadata|custom_metadata)(?:\.(.+))?", re.DOTALL)


class Identity(Protocol):
    """What is asked of the identity store."""

    def find_standing(self, transaction: Transaction, entity_id: str) -> Standing | None:
        """Return what an entity gives to its tokens now."""


class People:
    """The entities of the identity store."""

    def __init__(self, identity: Identity) -> None:
        self._identity = identity

    def find_person(self, transaction: Transaction, entity_id: str) -> Person | None:
        """Return an entity as it is now."""
        standing = self._identity.find_standing(transaction, entity_id)
        return None if standing is None else read_person(standing)


def read_person(standing: Standing) -> Person:
    """Return the entity that gives these values."""
    values = standing.values
    groups = sorted((found[1], value) for name, value in values.items() if (found := _GROUP.fullmatch(name)))
    return Person(
        id=standing.entity_id,
        name=values.get("identity.entity.name", ""),
        disabled=standing.disabled,
        metadata={name.removeprefix(_METADATA): value for name, value in values.items() if name.startswith(_METADATA)},
        aliases=_read_aliases(values),
        group_ids=tuple(group_id for group_id, _ in groups),
        group_names=tuple(name for _, name in groups),
    )


def _read_aliases(values: Mapping[str, str]) -> dict[str, Alias]:
    plain: dict[str, dict[str, str]] = {}
    pairs: dict[str, dict[str, dict[str, str]]] = {}
    for name, value in values.items():
        found = _ALIAS.fullmatch(name)
        if found is None:
            continue
        accessor, field, key = found.groups()
        if key is None:
            plain.setdefault(accessor, {})[field] = value
        else:
            pairs.setdefault(accessor, {}).setdefault(field, {})[key] = value
    return {
        accessor: Alias(
            id=plain.get(accessor, {}).get("id", ""),
            name=plain.get(accessor, {}).get("name", ""),
            metadata=pairs.get(accessor, {}).get("metadata", {}),
            custom_metadata=pairs.get(accessor, {}).get("custom_metadata", {}),
        )
        for accessor in plain.keys() | pairs.keys()
    }
