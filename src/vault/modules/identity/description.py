"""How entities, groups and aliases are shown."""

from collections.abc import Callable
from typing import Any

from vault.clock import format_rfc3339_nano
from vault.modules.identity.record import Alias, Group
from vault.modules.identity.store import Circle
from vault.mounts import Mounts
from vault.storage.transaction import Transaction

NAMESPACE = "root"
FindMount = Callable[[str], dict[str, str]]


def find_mounts(mounts: Mounts, transaction: Transaction) -> FindMount:
    """Return how to describe a mount by its accessor; one that is gone has neither path nor type."""
    known = {mount.accessor: {"mount_path": mount.path, "mount_type": mount.kind} for mount in mounts.table(transaction).mounts}
    return lambda accessor: known.get(accessor, {"mount_path": "", "mount_type": ""})


def _times(record: Any) -> dict[str, str]:
    return {"creation_time": format_rfc3339_nano(record.created_ns), "last_update_time": format_rfc3339_nano(record.updated_ns)}


def describe_alias(alias: Alias, owner_id: str, find_mount: FindMount) -> dict[str, Any]:
    """Return an alias as its entity shows it."""
    return {
        "id": alias.id,
        "name": alias.name,
        "canonical_id": owner_id,
        "mount_accessor": alias.mount_accessor,
        **find_mount(alias.mount_accessor),
        "metadata": alias.metadata,
        "custom_metadata": alias.custom_metadata,
        "local": False,
        "merged_from_canonical_ids": list(alias.merged_from) or None,
        **_times(alias),
    }


def describe_entity(circle: Circle, find_mount: FindMount) -> dict[str, Any]:
    """Return an entity."""
    entity = circle.entity
    direct, inherited = (sorted(group.id for group in groups) for groups in (circle.direct, circle.inherited))
    return {
        "id": entity.id,
        "name": entity.name,
        "aliases": [describe_alias(alias, entity.id, find_mount) for alias in entity.aliases],
        "policies": list(entity.policies),
        "metadata": entity.metadata,
        "disabled": entity.disabled,
        "direct_group_ids": direct,
        "inherited_group_ids": inherited,
        "group_ids": [*direct, *inherited],
        "merged_entity_ids": list(entity.merged_ids) or None,
        "namespace_id": NAMESPACE,
        **_times(entity),
    }


def describe_group(group: Group, member_ids: tuple[str, ...], find_mount: FindMount) -> dict[str, Any]:
    """Return a group."""
    return {
        "id": group.id,
        "name": group.name,
        "type": group.type,
        "policies": None if group.policies is None else list(group.policies),
        "metadata": group.metadata,
        "member_entity_ids": list(member_ids) if member_ids or group.members_set else None,
        "member_group_ids": list(group.member_group_ids) or None,
        "parent_group_ids": list(group.parent_group_ids) or None,
        "alias": _describe_group_alias(group, find_mount),
        "modify_index": group.modify_index,
        "namespace_id": NAMESPACE,
        **_times(group),
    }


def _describe_group_alias(group: Group, find_mount: FindMount) -> dict[str, Any]:
    if group.alias is None:
        return {}
    shown = describe_alias(group.alias, group.id, find_mount)
    return {name: value for name, value in shown.items() if name not in {"custom_metadata", "local"}}


def summarise_alias(alias: Alias, find_mount: FindMount) -> dict[str, Any]:
    """Return what listings of entities and groups tell of an alias."""
    return {"id": alias.id, "name": alias.name, "mount_accessor": alias.mount_accessor, **find_mount(alias.mount_accessor)}


def list_alias(alias: Alias, owner_id: str, find_mount: FindMount) -> dict[str, Any]:
    """Return what listings of aliases tell of one."""
    return {
        "name": alias.name,
        "canonical_id": owner_id,
        "mount_accessor": alias.mount_accessor,
        **find_mount(alias.mount_accessor),
        "metadata": alias.metadata,
        "custom_metadata": alias.custom_metadata,
        "local": False,
    }
