"""Where entities, groups and aliases lie, and how they are found by id, by name and by what they are called at a mount.

Names are compared without regard to case. They are hexadecimal in paths, so that none of them can reach another row.
"""

import uuid
from collections.abc import Iterator
from dataclasses import replace

import msgspec

from vault import limits
from vault.crypto.random import random_bytes
from vault.errors import InvalidRequest
from vault.modules.identity.record import Alias, Entity, Group, decode_entity, decode_group
from vault.storage.view import View

ENTITY = "entity/"
ENTITY_NAME = "entity-name/"
ENTITY_ALIAS = "entity-alias/"
ENTITY_KEY = "entity-key/"
MERGED = "merged/"
GROUP = "group/"
GROUP_NAME = "group-name/"
GROUP_ALIAS = "group-alias/"
GROUP_KEY = "group-key/"
MEMBER = "member/"


def make_id() -> str:
    """Return the id of something new."""
    return str(uuid.UUID(bytes=random_bytes(16), version=4))


def fold(name: str) -> str:
    """Return a name as it stands in paths: without regard to case."""
    return name.lower().encode("utf-8", "replace").hex()


def require_name(name: str, what: str) -> str:
    """Return a name that can be kept; raises InvalidRequest. Slashes are fine: names at mounts are addresses and paths as well."""
    if len(name.encode("utf-8", "replace")) > limits.IDENTITY_NAME_BYTES_MAX or "\0" in name:
        raise InvalidRequest(f"invalid {what} name")
    return name


def is_id(text: str) -> bool:
    """Return whether a text can be the id of anything."""
    return 0 < len(text) <= limits.IDENTITY_ID_CHARACTERS_MAX and "/" not in text and text.isprintable()


class Rows:
    """The rows of an identity store, within a transaction."""

    def __init__(self, view: View) -> None:
        self._view = view

    # -- entities -----------------------------------------------------------------------------------------------------

    def find_entity(self, entity_id: str) -> Entity | None:
        """Return the entity with this id; one that was merged into another is found no more."""
        entry = self._view.get(ENTITY + entity_id) if is_id(entity_id) else None
        return None if entry is None else entry.decode(decode_entity)

    def find_entity_named(self, name: str) -> Entity | None:
        """Return the entity with this name."""
        return self.find_entity(self._find_id(ENTITY_NAME + fold(name)))

    def find_entity_called(self, accessor: str, name: str) -> Entity | None:
        """Return the entity that has this name at a mount."""
        return self.find_entity(self._find_id(f"{ENTITY_KEY}{accessor}/{fold(name)}")) if is_id(accessor) else None

    def find_entity_of_alias(self, alias_id: str) -> Entity | None:
        """Return the entity with this alias."""
        return self.find_entity(self._find_id(ENTITY_ALIAS + alias_id)) if is_id(alias_id) else None

    def put_entity(self, entity: Entity, former: Entity | None = None) -> None:
        """Store an entity in place of what it was, and keep the ways to find it."""
        if former is None or former.name != entity.name:
            self._claim_name(ENTITY_NAME, entity.id, entity.name, None if former is None else former.name, "entity")
        gone = {} if former is None else {alias.id: alias for alias in former.aliases}
        for alias in entity.aliases:
            before = gone.pop(alias.id, None)
            if before == alias:
                continue
            if before is not None:
                self._view.delete(_entity_key(before))
            self._view.put(_entity_key(alias), entity.id.encode())
            self._view.put(ENTITY_ALIAS + alias.id, entity.id.encode())
        for alias in gone.values():
            self._forget_alias(alias, entity.id)
        self._view.put(ENTITY + entity.id, msgspec.json.encode(entity))

    def _forget_alias(self, alias: Alias, owner: str) -> None:
        # One that moved to another entity has been claimed by it already.
        for place in (ENTITY_ALIAS + alias.id, _entity_key(alias)):
            if self._find_id(place) == owner:
                self._view.delete(place)

    def delete_entity(self, entity: Entity) -> None:
        """Forget an entity, its aliases and its places in groups. Its tokens are refused from then on."""
        for alias in entity.aliases:
            self._forget_alias(alias, entity.id)
        for group_id in entity.direct_group_ids:
            self._view.delete(f"{MEMBER}{group_id}/{entity.id}")
            self.touch_group(group_id, entity.updated_ns)
        for merged in entity.merged_ids:
            self._view.delete(MERGED + merged)
        self._view.delete(ENTITY_NAME + fold(entity.name))
        self._view.delete(ENTITY + entity.id)

    def point_merged(self, merged_id: str, entity_id: str) -> None:
        """Let the tokens of an entity that was merged be those of another."""
        self._view.put(MERGED + merged_id, entity_id.encode())

    def list_entities(self, after: str, limit: int | None) -> Iterator[Entity]:
        """Yield entities in the order of their ids."""
        for entity_id in self._view.list_children(ENTITY, after, limit):
            entity = self.find_entity(entity_id)
            if entity is not None:
                yield entity

    def list_aliases(self, after: str, limit: int | None) -> Iterator[tuple[Entity, Alias]]:
        """Yield aliases in the order of their ids, each with its entity."""
        for alias_id in self._view.list_children(ENTITY_ALIAS, after, limit):
            entity = self.find_entity_of_alias(alias_id)
            alias = entity and next((alias for alias in entity.aliases if alias.id == alias_id), None)
            if entity and alias:
                yield entity, alias

    # -- groups -------------------------------------------------------------------------------------------------------

    def find_group(self, group_id: str) -> Group | None:
        """Return the group with this id."""
        entry = self._view.get(GROUP + group_id) if is_id(group_id) else None
        return None if entry is None else entry.decode(decode_group)

    def find_group_named(self, name: str) -> Group | None:
        """Return the group with this name."""
        return self.find_group(self._find_id(GROUP_NAME + fold(name)))

    def find_group_called(self, accessor: str, name: str) -> Group | None:
        """Return the external group that an auth method calls so."""
        return self.find_group(self._find_id(f"{GROUP_KEY}{accessor}/{fold(name)}")) if is_id(accessor) else None

    def find_group_of_alias(self, alias_id: str) -> Group | None:
        """Return the group with this alias."""
        return self.find_group(self._find_id(GROUP_ALIAS + alias_id)) if is_id(alias_id) else None

    def put_group(self, group: Group, former: Group | None = None) -> None:
        """Store a group in place of what it was, and keep the ways to find it."""
        if former is None or former.name != group.name:
            self._claim_name(GROUP_NAME, group.id, group.name, None if former is None else former.name, "group")
        before = None if former is None else former.alias
        if before is not None and before != group.alias:
            self._view.delete(_group_key(before))
            self._view.delete(GROUP_ALIAS + before.id)
        if group.alias is not None and before != group.alias:
            self._view.put(_group_key(group.alias), group.id.encode())
            self._view.put(GROUP_ALIAS + group.alias.id, group.id.encode())
        self._view.put(GROUP + group.id, msgspec.json.encode(group))

    def touch_group(self, group_id: str, now_ns: int) -> None:
        """Note that the members of a group have changed."""
        group = self.find_group(group_id)
        if group is not None:
            self.put_group(replace(group, updated_ns=now_ns, modify_index=group.modify_index + 1), group)

    def guard_group(self, group_id: str) -> None:
        """Let the transaction commit only if this group is as it was read."""
        self._view.guard(GROUP + group_id)

    def delete_group(self, group: Group) -> None:
        """Forget a group; its members and relatives are the caller's to change."""
        self._view.delete(GROUP_NAME + fold(group.name))
        if group.alias is not None:
            self._view.delete(_group_key(group.alias))
            self._view.delete(GROUP_ALIAS + group.alias.id)
        self._view.delete(GROUP + group.id)

    def list_groups(self, after: str, limit: int | None) -> Iterator[Group]:
        """Yield groups in the order of their ids."""
        for group_id in self._view.list_children(GROUP, after, limit):
            group = self.find_group(group_id)
            if group is not None:
                yield group

    def list_group_aliases(self, after: str, limit: int | None) -> Iterator[Group]:
        """Yield the groups that have an alias, in the order of the aliases' ids."""
        for alias_id in self._view.list_children(GROUP_ALIAS, after, limit):
            group = self.find_group_of_alias(alias_id)
            if group is not None and group.alias is not None:
                yield group

    # -- membership ---------------------------------------------------------------------------------------------------

    def list_members(self, group_id: str) -> tuple[str, ...]:
        """Return the ids of the entities that are in a group directly, in order."""
        return self._view.list_children(f"{MEMBER}{group_id}/")

    def add_member(self, group_id: str, entity_id: str) -> None:
        """Note that an entity is in a group."""
        self._view.put(f"{MEMBER}{group_id}/{entity_id}", b"")

    def follow_members(self, former: Entity, entity: Entity) -> None:
        """Note where an entity is in now, of the groups that it was in.

        A group that it comes into is held as it was read: whoever empties it meanwhile comes first or second, never unseen.
        """
        before, now = set(former.direct_group_ids), set(entity.direct_group_ids)
        for group_id in before - now:
            self.remove_member(group_id, entity.id)
        for group_id in now - before:
            self.guard_group(group_id)
            self.add_member(group_id, entity.id)

    def remove_member(self, group_id: str, entity_id: str) -> None:
        """Note that an entity is in a group no more."""
        self._view.delete(f"{MEMBER}{group_id}/{entity_id}")

    # -- names --------------------------------------------------------------------------------------------------------

    def _find_id(self, place: str) -> str:
        entry = self._view.get(place)
        return "" if entry is None else entry.value.decode()

    def _claim_name(self, folder: str, own_id: str, name: str, former: str | None, what: str) -> None:
        place = folder + fold(name)
        if self._find_id(place) not in {"", own_id}:
            raise InvalidRequest(f"{what} name is already in use")
        if former is not None and fold(former) != fold(name):
            self._view.delete(folder + fold(former))
        self._view.put(place, own_id.encode())


def _entity_key(alias: Alias) -> str:
    return f"{ENTITY_KEY}{alias.mount_accessor}/{fold(alias.name)}"


def _group_key(alias: Alias) -> str:
    return f"{GROUP_KEY}{alias.mount_accessor}/{fold(alias.name)}"
