"""`identity/group-alias`: what auth methods call external groups. A group has one such name, a name stands for one group."""

from dataclasses import dataclass, replace

from vault.errors import InvalidRequest
from vault.logical.args import STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.page import Page
from vault.logical.response import Response
from vault.modules.identity.aliases import require_accessor
from vault.modules.identity.arguments import ById
from vault.modules.identity.description import NAMESPACE, describe_alias, find_mounts, list_alias
from vault.modules.identity.groups import make_group, remove_member
from vault.modules.identity.record import EXTERNAL, Alias, Group
from vault.modules.identity.rows import Rows, require_name
from vault.modules.identity.store import make_alias
from vault.mounts import Mounts


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupAliasFields:
    """What can be said of an alias."""

    name: str = arg(STRING, "The name of the group at its auth method.", default="")
    mount_accessor: str = arg(STRING, "Accessor of the mount of the auth method.", default="")
    canonical_id: str = arg(STRING, "The external group that it stands for; a new one if empty.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteGroupAlias(GroupAliasFields):
    """An alias by id, or a new one."""

    id: str = arg(STRING, "Id of an alias that is there.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteGroupAliasById(GroupAliasFields):
    """The alias that the path names."""

    id: str = arg(STRING, "Its id.")


class GroupAliasPaths:
    """Handlers of aliases of groups."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path("group-alias", help="Make or change a group alias.", update=Endpoint(handler=self.write, args=WriteGroupAlias)),
            path("group-alias/id", help="List group aliases by their ids.", list=Endpoint(handler=self.list_ids, args=Page)),
            path(
                "group-alias/id/{id}",
                help="Read, change and delete a group alias.",
                read=Endpoint(handler=self.read, args=ById),
                update=Endpoint(handler=self.write, args=WriteGroupAliasById),
                delete=Endpoint(handler=self.delete, args=ById),
            ),
        )

    def read(self, context: SystemContext, args: ById) -> Response | None:
        """Answer an alias."""
        group = Rows(context.storage).find_group_of_alias(args.id)
        if group is None or group.alias is None:
            return None
        described = describe_alias(group.alias, group.id, find_mounts(self._mounts, context.transaction))
        return Response(data={**described, "namespace_id": NAMESPACE})

    def list_ids(self, context: SystemContext, args: Page) -> Response | None:
        """List aliases."""
        find_mount = find_mounts(self._mounts, context.transaction)
        groups = Rows(context.storage).list_group_aliases(args.after, args.size)
        info = {group.alias.id: list_alias(group.alias, group.id, find_mount) for group in groups if group.alias}
        return Response(data={"keys": list(info), "key_info": info}) if info else None

    def delete(self, context: SystemContext, args: ById) -> None:
        """Delete an alias, and with it the membership that it gave; a missing one is no error."""
        rows = Rows(context.storage)
        group = rows.find_group_of_alias(args.id)
        if group is not None:
            _set_alias(rows, group, None, context.now_ns)

    def write(self, context: SystemContext, args: WriteGroupAlias | WriteGroupAliasById) -> Response:
        """Make or change an alias."""
        rows = Rows(context.storage)
        holder = rows.find_group_of_alias(args.id) if args.id else None
        if args.id and holder is None:
            raise InvalidRequest("invalid group alias ID")
        if not args.name:
            raise InvalidRequest("missing alias name")
        if not args.mount_accessor:
            raise InvalidRequest("missing mount_accessor")
        require_name(args.name, "alias")
        require_accessor(self._mounts, context, args.mount_accessor)
        namesake = rows.find_group_called(args.mount_accessor, args.name)
        if namesake is not None and (holder is None or namesake.id != holder.id):
            raise InvalidRequest("combination of mount and group alias name is already in use")
        target = _choose_group(rows, args, holder, context.now_ns)
        alias = make_alias(args.name, args.mount_accessor, context.now_ns)
        if holder is not None and holder.alias is not None:
            alias = replace(holder.alias, name=args.name, mount_accessor=args.mount_accessor, updated_ns=context.now_ns)
            if target.id != holder.id:
                _set_alias(rows, holder, None, context.now_ns)
        _set_alias(rows, target, alias, context.now_ns)
        return Response(data={"id": alias.id, "canonical_id": target.id})


def _choose_group(rows: Rows, args: GroupAliasFields, holder: Group | None, now_ns: int) -> Group:
    if not args.canonical_id:
        if holder is not None:
            return holder
        made = replace(make_group("", EXTERNAL, now_ns), modify_index=0)
        rows.put_group(made)
        return made
    group = rows.find_group(args.canonical_id)
    if group is None:
        raise InvalidRequest("invalid group ID given in 'canonical_id'")
    if group.type != EXTERNAL:
        raise InvalidRequest("alias can't be set on an internal group")
    return group


def _set_alias(rows: Rows, group: Group, alias: Alias | None, now_ns: int) -> None:
    """Give a group another name. Who was in it by another name is so no longer: the next login says who is."""
    before = group.alias
    if before is not None and (alias is None or (alias.mount_accessor, alias.name) != (before.mount_accessor, before.name)):
        for entity_id in rows.list_members(group.id):
            remove_member(rows, group.id, entity_id)
    rows.put_group(replace(group, alias=alias, updated_ns=now_ns, modify_index=group.modify_index + 1), group)
