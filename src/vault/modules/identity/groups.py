"""`identity/group` and `identity/lookup/group`: groups of entities and of groups.

Who changes a group reads all groups above it and holds them as they were read, so that two changes cannot close a circle together.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import LIST, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.page import Page
from vault.logical.response import Response
from vault.modules.identity.arguments import ById, ByName, LookupArgs, require_one_way, require_policies
from vault.modules.identity.description import describe_group, find_mounts, summarise_alias
from vault.modules.identity.metadata import METADATA, require_metadata
from vault.modules.identity.record import EXTERNAL, INTERNAL, Group
from vault.modules.identity.rows import Rows, make_id, require_name
from vault.mounts import Mounts


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFields:
    """What can be said of a group; absent fields keep their value."""

    type: str = arg(STRING, "internal or external; cannot be changed.", default="")
    metadata: Mapping[str, str] | None = arg(METADATA, "String pairs that policies and tokens may use.", default=None)
    policies: tuple[str, ...] | None = arg(LIST, "Policies of the tokens of all members.", default=None)
    member_group_ids: tuple[str, ...] | None = arg(LIST, "Groups whose members are members of this one.", default=None)
    member_entity_ids: tuple[str, ...] | None = arg(LIST, "Entities in the group.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteGroup(GroupFields):
    """A group by id, else by name; a new one where neither is known."""

    id: str = arg(STRING, "Id of a group that is there.", default="")
    name: str = arg(STRING, "Its name; one is chosen where none is given.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteGroupById(GroupFields):
    """The group that the path names by its id."""

    id: str = arg(STRING, "Its id.")
    name: str = arg(STRING, "Its new name.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteGroupByName(GroupFields):
    """The group that the path names by its name."""

    name: str = arg(STRING, "Its name.")


class GroupPaths:
    """Handlers of groups."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path("group", help="Make or change a group.", update=Endpoint(handler=self.write, args=WriteGroup)),
            path("group/id", help="List groups by their ids.", list=Endpoint(handler=self.list_ids, args=Page)),
            path("group/name", help="List groups by their names.", list=Endpoint(handler=self.list_names, args=Page)),
            path(
                "group/id/{id}",
                help="Read, change and delete a group.",
                read=Endpoint(handler=self.read_id, args=ById),
                update=Endpoint(handler=self.write, args=WriteGroupById),
                delete=Endpoint(handler=self.delete_id, args=ById),
            ),
            path(
                "group/name/{name*}",
                help="Read, write and delete a group by its name.",
                read=Endpoint(handler=self.read_name, args=ByName),
                update=Endpoint(handler=self.write, args=WriteGroupByName),
                delete=Endpoint(handler=self.delete_name, args=ByName),
            ),
            path("lookup/group", help="Find a group.", update=Endpoint(handler=self.look_up, args=LookupArgs)),
        )

    # -- reading ------------------------------------------------------------------------------------------------------

    def _describe(self, context: SystemContext, rows: Rows, group: Group | None) -> Response | None:
        if group is None:
            return None
        return Response(data=describe_group(group, rows.list_members(group.id), find_mounts(self._mounts, context.transaction)))

    def read_id(self, context: SystemContext, args: ById) -> Response | None:
        """Answer a group."""
        rows = Rows(context.storage)
        return self._describe(context, rows, rows.find_group(args.id))

    def read_name(self, context: SystemContext, args: ByName) -> Response | None:
        """Answer the group with this name."""
        rows = Rows(context.storage)
        return self._describe(context, rows, rows.find_group_named(args.name))

    def look_up(self, context: SystemContext, args: LookupArgs) -> Response | None:
        """Answer the group that is named in one of four ways."""
        require_one_way(args)
        rows = Rows(context.storage)
        if args.id:
            found = rows.find_group(args.id)
        elif args.name:
            found = rows.find_group_named(args.name)
        elif args.alias_id:
            found = rows.find_group_of_alias(args.alias_id)
        else:
            found = rows.find_group_called(args.alias_mount_accessor, args.alias_name)
        return self._describe(context, rows, found)

    def list_ids(self, context: SystemContext, args: Page) -> Response | None:
        """List groups by id."""
        rows, find_mount = Rows(context.storage), find_mounts(self._mounts, context.transaction)
        info: dict[str, Any] = {}
        for group in rows.list_groups(args.after, args.size):
            info[group.id] = {
                "name": group.name,
                "num_member_entities": len(rows.list_members(group.id)),
                "num_parent_groups": len(group.parent_group_ids),
                **({} if group.alias is None else {"alias": summarise_alias(group.alias, find_mount)}),
            }
        return Response(data={"keys": list(info), "key_info": info}) if info else None

    def list_names(self, context: SystemContext, args: Page) -> Response | None:
        """List the names of groups, in the order of their ids."""
        names = [group.name for group in Rows(context.storage).list_groups(args.after, args.size)]
        return Response(data={"keys": names}) if names else None

    # -- changing -----------------------------------------------------------------------------------------------------

    def write(self, context: SystemContext, args: WriteGroup | WriteGroupById | WriteGroupByName) -> Response | None:
        """Make or change a group; only a new one is answered."""
        rows = Rows(context.storage)
        given_id = "" if isinstance(args, WriteGroupByName) else args.id
        former = rows.find_group(given_id) if given_id else rows.find_group_named(args.name) if args.name else None
        if given_id and former is None:
            raise InvalidRequest("invalid group ID")
        _check_type(args, former)
        require_name(args.name, "group")
        group = former or make_group(args.name, args.type or INTERNAL, context.now_ns)
        changed = replace(group, name=args.name or group.name, updated_ns=context.now_ns, **_read_fields(args))
        if former is not None:
            changed = replace(changed, modify_index=former.modify_index + 1)
        if args.member_entity_ids is not None:
            _set_members(rows, changed.id, args.member_entity_ids)
        if args.member_group_ids is not None:
            changed = _set_member_groups(rows, changed, args.member_group_ids, context.now_ns)
        rows.put_group(changed, former)
        return None if former else Response(data={"id": changed.id, "name": changed.name})

    def delete_id(self, context: SystemContext, args: ById) -> None:
        """Delete a group; a missing one is no error."""
        rows = Rows(context.storage)
        _delete(rows, rows.find_group(args.id), context.now_ns)

    def delete_name(self, context: SystemContext, args: ByName) -> None:
        """Delete the group with this name; a missing one is no error."""
        rows = Rows(context.storage)
        _delete(rows, rows.find_group_named(args.name), context.now_ns)


def make_group(name: str, kind: str, now_ns: int) -> Group:
    """Return a new group; without a name it gets one."""
    group_id = make_id()
    return Group(id=group_id, name=name or f"group_{group_id[:8]}", type=kind, created_ns=now_ns, updated_ns=now_ns)


def _check_type(args: GroupFields, former: Group | None) -> None:
    if args.type not in {"", INTERNAL, EXTERNAL}:
        raise InvalidRequest(f'invalid group type "{args.type}"')
    if former is not None and args.type and args.type != former.type:
        raise InvalidRequest("group type cannot be changed")
    if (args.type or (former.type if former else INTERNAL)) == EXTERNAL:
        if args.member_entity_ids is not None:
            raise InvalidRequest("member entities can't be set manually for external groups")
        if args.member_group_ids is not None:
            raise InvalidRequest("member groups can't be set for external groups")


def _read_fields(args: GroupFields) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if args.metadata is not None:
        fields["metadata"] = require_metadata(args.metadata, "group") or None
    if args.policies is not None:
        fields["policies"] = require_policies(args.policies) or None
    if args.member_entity_ids is not None:
        fields["members_set"] = True
    return fields


def _set_members(rows: Rows, group_id: str, wanted: tuple[str, ...]) -> None:
    if len(wanted) > limits.GROUP_MEMBERS_MAX:
        raise InvalidRequest(f"a group cannot have more than {limits.GROUP_MEMBERS_MAX} member entities")
    before, now = set(rows.list_members(group_id)), set(wanted)
    for entity_id in sorted(now - before):
        entity = rows.find_entity(entity_id)
        if entity is None:
            raise InvalidRequest(f'1 error occurred:\n\t* invalid entity ID "{entity_id}"\n\n')
        rows.add_member(group_id, entity_id)
        rows.put_entity(replace(entity, group_ids=tuple(sorted({*entity.group_ids, group_id}))), entity)
    for entity_id in sorted(before - now):
        remove_member(rows, group_id, entity_id)


def remove_member(rows: Rows, group_id: str, entity_id: str) -> None:
    """Take an entity out of a group, whoever put it there."""
    rows.remove_member(group_id, entity_id)
    entity = rows.find_entity(entity_id)
    if entity is None:
        return
    external = {accessor: tuple(other for other in ids if other != group_id) for accessor, ids in entity.external_group_ids.items()}
    changed = replace(
        entity,
        group_ids=tuple(other for other in entity.group_ids if other != group_id),
        external_group_ids={accessor: ids for accessor, ids in external.items() if ids},
    )
    rows.put_entity(changed, entity)


def _set_member_groups(rows: Rows, group: Group, wanted: tuple[str, ...], now_ns: int) -> Group:
    """Return the group with other groups in it, whose own rows are changed here."""
    now = tuple(dict.fromkeys(wanted))
    if len(now) > limits.MEMBER_GROUPS_MAX:
        raise InvalidRequest(f"a group cannot have more than {limits.MEMBER_GROUPS_MAX} member groups")
    above = _guard_above(rows, group)
    for member_id in now:
        if member_id == group.id:
            raise InvalidRequest(f'1 error occurred:\n\t* member group ID "{member_id}" is same as the ID of the group\n\n')
        if rows.find_group(member_id) is None:
            raise InvalidRequest(f'1 error occurred:\n\t* invalid member group ID "{member_id}"\n\n')
        if member_id in above:
            raise InvalidRequest(f'cyclic relationship detected for member group ID "{member_id}"')
    for member_id in set(now) - set(group.member_group_ids):
        _change_parents(rows, member_id, lambda parents: {*parents, group.id}, now_ns)
    for member_id in set(group.member_group_ids) - set(now):
        _change_parents(rows, member_id, lambda parents: {*parents} - {group.id}, now_ns)
    return replace(group, member_group_ids=now)


def _guard_above(rows: Rows, group: Group) -> set[str]:
    """Return the ids of all groups above this one, which stay as they are until the commit."""
    met: set[str] = set()
    waiting = list(group.parent_group_ids)
    while waiting:
        group_id = waiting.pop()
        parent = None if group_id in met else rows.find_group(group_id)
        met.add(group_id)
        if parent is not None:
            rows.guard_group(group_id)
            waiting += parent.parent_group_ids
    return met


def _change_parents(rows: Rows, group_id: str, change: Callable[[tuple[str, ...]], set[str]], now_ns: int) -> None:
    group = rows.find_group(group_id)
    if group is not None:
        parents = tuple(sorted(change(group.parent_group_ids)))
        rows.put_group(replace(group, parent_group_ids=parents, updated_ns=now_ns, modify_index=group.modify_index + 1), group)


def _delete(rows: Rows, group: Group | None, now_ns: int) -> None:
    if group is None:
        return
    for entity_id in rows.list_members(group.id):
        remove_member(rows, group.id, entity_id)
    for member_id in group.member_group_ids:
        _change_parents(rows, member_id, lambda parents: {*parents} - {group.id}, now_ns)
    for parent_id in group.parent_group_ids:
        parent = rows.find_group(parent_id)
        if parent is not None:
            members = tuple(other for other in parent.member_group_ids if other != group.id)
            changed = replace(parent, member_group_ids=members, updated_ns=now_ns, modify_index=parent.modify_index + 1)
            rows.put_group(changed, parent)
    rows.delete_group(group)
