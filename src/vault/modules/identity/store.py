"""Who is who: recognises callers at their logins, and says at each request what their entities give them.

A standing is good as long as the rows that it was made of are the same, so nobody has to be told that a group has changed.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from vault import limits
from vault.clock import Clock
from vault.logical.login import Login
from vault.logical.mount import Mount
from vault.logical.standing import Standing
from vault.modules.identity.record import Alias, Entity, Group, decode_entity, decode_group
from vault.modules.identity.rows import ENTITY, GROUP, MERGED, Rows, make_id, require_name
from vault.mounts import Mounts
from vault.storage.cache import Entry
from vault.storage.sources import Sources
from vault.storage.transaction import Transaction
from vault.storage.view import View


@dataclass(frozen=True, slots=True)
class _Known(Sources):
    """A standing and what it was made of."""

    standing: Standing | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Circle:
    """An entity with all groups that it is in: those that hold it, then those that hold them."""

    entity: Entity
    direct: tuple[Group, ...]
    inherited: tuple[Group, ...]

    @property
    def groups(self) -> tuple[Group, ...]:
        """Return all of them."""
        return (*self.direct, *self.inherited)


class Groups(Protocol):
    """Where groups are found."""

    def find_group(self, group_id: str) -> Group | None:
        """Return the group with this id."""


def walk_up(entity: Entity, rows: Groups) -> Circle:
    """Return an entity with its groups, each once, whatever their depth."""
    direct = tuple(group for group_id in entity.direct_group_ids if (group := rows.find_group(group_id)) is not None)
    return Circle(entity=entity, direct=direct, inherited=tuple(_iterate_above(direct, rows)))


def _iterate_above(groups: tuple[Group, ...], rows: Groups) -> Iterator[Group]:
    met = {group.id for group in groups}
    waiting = [parent for group in groups for parent in group.parent_group_ids]
    while waiting:
        group_id = waiting.pop()
        if group_id in met:
            continue
        met.add(group_id)
        group = rows.find_group(group_id)
        if group is not None:
            yield group
            waiting += group.parent_group_ids


class IdentityStore:
    """Recognises callers, and says what their entities give them."""

    def __init__(self, mounts: Mounts, clock: Clock) -> None:
        self._mounts = mounts
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._lock = threading.Lock()

    def rows(self, transaction: Transaction) -> Rows:
        """Return the rows of the identity store."""
        return Rows(View(transaction, self._prefix(transaction)))

    def _prefix(self, transaction: Transaction) -> str:
        return self._mounts.require(transaction, "identity/").storage_prefix

    def forget_known(self) -> None:
        """Drop what was made of rows: nothing of the barrier outlives the seal."""
        with self._lock:
            self._known.clear()

    # -- every request ------------------------------------------------------------------------------------------------

    def find_standing(self, transaction: Transaction, entity_id: str) -> Standing | None:
        """Return what an entity gives to its tokens now; the same object as long as nothing of it has changed.

        Tokens of an entity that was merged into another are that one's.
        """
        known = self._known.get(entity_id)
        if known is not None and known.is_current(transaction):
            return known.standing
        return self._make_standing(transaction, entity_id)

    def _make_standing(self, transaction: Transaction, entity_id: str) -> Standing | None:
        reading = _Reading(transaction, self._prefix(transaction))
        circle = reading.find_circle(entity_id)
        known = _Known(tuple(reading.sources.items()), None if circle is None else describe_standing(circle))
        with self._lock:
            self._known.pop(entity_id, None)
            while len(self._known) >= limits.KNOWN_STANDINGS_MAX:
                del self._known[next(iter(self._known))]
            self._known[entity_id] = known
        return known.standing

    def find_circle(self, transaction: Transaction, entity_id: str) -> Circle | None:
        """Return an entity with its groups; that into which it was merged, if it was."""
        return _Reading(transaction, self._prefix(transaction)).find_circle(entity_id)

    def knows_group(self, transaction: Transaction, group_id: str) -> bool:
        """Return whether there is a group with this id."""
        return self.rows(transaction).find_group(group_id) is not None

    # -- logins -------------------------------------------------------------------------------------------------------

    def recognise(self, transaction: Transaction, mount: Mount, login: Login) -> Standing:
        """Return the standing of whoever logs in; the first login of an alias makes its entity."""
        rows = self.rows(transaction)
        require_name(login.alias, "alias")
        found = rows.find_entity_called(mount.accessor, login.alias)
        now_ns = self._clock.now_ns()
        entity = _introduce(mount, login, now_ns) if found is None else _follow_alias(found, mount, login, now_ns)
        if entity is not found:
            rows.put_entity(entity, found)
        if login.groups or mount.accessor in entity.external_group_ids:
            self._follow_groups(rows, mount, entity, login.groups)
        standing = self.find_standing(transaction, entity.id)
        if standing is None:
            raise RuntimeError("an entity is gone within the transaction that met it")
        return standing

    def follow_groups(self, transaction: Transaction, mount: Mount, entity_id: str, groups: tuple[str, ...]) -> None:
        """Make the external groups that an entity is in through a mount those with these names.

        An entity whose alias at the mount is gone, or another's by now, comes into no group by an old token.
        """
        rows = self.rows(transaction)
        circle = self.find_circle(transaction, entity_id)
        if circle is not None:
            known = circle.entity.find_alias(mount.accessor) is not None
            self._follow_groups(rows, mount, circle.entity, groups if known else ())

    def _follow_groups(self, rows: Rows, mount: Mount, entity: Entity, names: tuple[str, ...]) -> None:
        found = (rows.find_group_called(mount.accessor, name) for name in names)
        now = tuple(sorted({group.id for group in found if group is not None}))
        before = entity.external_group_ids.get(mount.accessor, ())
        if now == before:
            return
        external = {accessor: ids for accessor, ids in entity.external_group_ids.items() if accessor != mount.accessor}
        changed = replace(entity, external_group_ids=external | ({mount.accessor: now} if now else {}))
        rows.follow_members(entity, changed)
        rows.put_entity(changed, entity)


class _Reading:
    """Reads rows and remembers which."""

    def __init__(self, transaction: Transaction, prefix: str) -> None:
        self._transaction = transaction
        self._prefix = prefix
        self.sources: dict[str, Entry | None] = {}

    def _get(self, path: str) -> Entry | None:
        path = self._prefix + path
        entry = self.sources[path] = self._transaction.get(path)
        return entry

    def find_circle(self, entity_id: str) -> Circle | None:
        """Return an entity with its groups, and note every row that was asked for."""
        entry = self._get(ENTITY + entity_id)
        if entry is None:
            merged = self._get(MERGED + entity_id)
            entry = None if merged is None else self._get(ENTITY + merged.value.decode())
        return None if entry is None else walk_up(entry.decode(decode_entity), self)

    def find_group(self, group_id: str) -> Group | None:
        """Return a group."""
        entry = self._get(GROUP + group_id)
        return None if entry is None else entry.decode(decode_group)


def describe_standing(circle: Circle) -> Standing:
    """Return what an entity and its groups give to tokens."""
    entity = circle.entity
    policies = {*entity.policies, *(name for group in circle.groups for name in group.policies or ())}
    return Standing(
        entity_id=entity.id,
        disabled=entity.disabled,
        policies=tuple(sorted(policies)),
        group_ids=tuple(sorted(group.id for group in circle.groups)),
        values=dict(_iterate_values(circle)),
    )


def _iterate_values(circle: Circle) -> Iterator[tuple[str, str]]:
    """Yield what placeholders in policies stand for. An alias is named by its mount alone: no other mount can speak for it."""
    entity = circle.entity
    yield "identity.entity.id", entity.id
    yield "identity.entity.name", entity.name
    for key, value in (entity.metadata or {}).items():
        yield f"identity.entity.metadata.{key}", value
    for alias in entity.aliases:
        place = f"identity.entity.aliases.{alias.mount_accessor}"
        yield f"{place}.id", alias.id
        yield f"{place}.name", alias.name
        for key, value in (alias.metadata or {}).items():
            yield f"{place}.metadata.{key}", value
        for key, value in (alias.custom_metadata or {}).items():
            yield f"{place}.custom_metadata.{key}", value
    for group in circle.groups:
        yield f"identity.groups.ids.{group.id}.name", group.name
        yield f"identity.groups.names.{group.name}.id", group.id
        for key, value in (group.metadata or {}).items():
            yield f"identity.groups.ids.{group.id}.metadata.{key}", value
            yield f"identity.groups.names.{group.name}.metadata.{key}", value


def make_entity(name: str, now_ns: int) -> Entity:
    """Return a new entity; without a name it gets one."""
    entity_id = make_id()
    return Entity(id=entity_id, name=name or f"entity_{entity_id[:8]}", created_ns=now_ns, updated_ns=now_ns)


def make_alias(name: str, accessor: str, now_ns: int) -> Alias:
    """Return a new alias."""
    return Alias(id=make_id(), name=name, mount_accessor=accessor, created_ns=now_ns, updated_ns=now_ns)


def _introduce(mount: Mount, login: Login, now_ns: int) -> Entity:
    alias = replace(make_alias(login.alias, mount.accessor, now_ns), metadata=dict(login.alias_metadata) or None)
    return replace(make_entity("", now_ns), aliases=(alias,))


def _follow_alias(entity: Entity, mount: Mount, login: Login, now_ns: int) -> Entity:
    """Return the entity with what the auth method says of its alias now; the same object where that is nothing new."""
    metadata = dict(login.alias_metadata) or None
    alias = entity.find_alias(mount.accessor)
    if alias is None or alias.metadata == metadata:
        return entity
    changed = replace(alias, metadata=metadata, updated_ns=now_ns)
    return replace(entity, aliases=tuple(changed if other.id == alias.id else other for other in entity.aliases))
