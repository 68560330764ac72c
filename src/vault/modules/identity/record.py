"""Entities, groups and their aliases as stored.

An entity's row holds its aliases and the groups that it is in directly, a group's row the groups above and below it: what a request
needs is found by reading rows upwards, never by listing. The members of a group are rows of their own, so that a large group is not
written anew for each of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

INTERNAL = "internal"
EXTERNAL = "external"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alias:
    """The name that an entity has at one mount, or an external group at the mount of its auth method."""

    id: str
    name: str
    mount_accessor: str
    created_ns: int
    updated_ns: int
    metadata: dict[str, str] | None = None  # as the auth method says at each login
    custom_metadata: dict[str, str] | None = None  # as operators say
    merged_from: tuple[str, ...] = ()  # entities that it belonged to


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A person or a service."""

    id: str
    name: str
    created_ns: int
    updated_ns: int
    metadata: dict[str, str] | None = None
    policies: tuple[str, ...] = ()
    disabled: bool = False
    aliases: tuple[Alias, ...] = ()
    group_ids: tuple[str, ...] = ()  # internal groups that it was put into
    external_group_ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # by the accessor of the mount that says so
    merged_ids: tuple[str, ...] = ()  # entities that were merged into this one: their tokens are this one's

    @property
    def direct_group_ids(self) -> tuple[str, ...]:
        """Return all groups that it is in directly."""
        return tuple(sorted({*self.group_ids, *(name for names in self.external_group_ids.values() for name in names)}))

    def find_alias(self, accessor: str) -> Alias | None:
        """Return its name at a mount."""
        return next((alias for alias in self.aliases if alias.mount_accessor == accessor), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group. Internal ones have members, of external ones an auth method says at each login who is in them."""

    id: str
    name: str
    type: str = INTERNAL
    created_ns: int
    updated_ns: int
    metadata: dict[str, str] | None = None
    policies: tuple[str, ...] | None = None
    member_group_ids: tuple[str, ...] = ()
    parent_group_ids: tuple[str, ...] = ()
    alias: Alias | None = None
    members_set: bool = False  # somebody said who is in it, were it nobody
    modify_index: int = 1


def decode_entity(value: bytes) -> Entity:
    """Return the entity stored as `value`."""
    return msgspec.json.decode(value, type=Entity)


def decode_group(value: bytes) -> Group:
    """Return the group stored as `value`."""
    return msgspec.json.decode(value, type=Group)
