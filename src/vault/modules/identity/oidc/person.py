"""Whom tokens tell about: an entity as claims and assignments see it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from vault.logical.request import EMPTY
from vault.storage.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """The name of an entity at one mount; empty where it has none there."""

    id: str = ""
    name: str = ""
    metadata: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    custom_metadata: Mapping[str, str] = field(default_factory=lambda: EMPTY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """An entity, its names at mounts (by accessor) and the groups that it is in, nested ones included."""

    id: str = ""
    name: str = ""
    disabled: bool = False
    metadata: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    aliases: Mapping[str, Alias] = field(default_factory=lambda: EMPTY)
    group_ids: tuple[str, ...] = ()
    group_names: tuple[str, ...] = ()


class People(Protocol):
    """What tokens need of the identity store."""

    def find_person(self, transaction: Transaction, entity_id: str) -> Person | None:
        """Return an entity as it is now."""
