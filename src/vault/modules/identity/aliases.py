"""`identity/entity-alias`: what entities are called at mounts. One entity has one name at a mount, one name belongs to one entity.

Writing an alias never merges entities: who may write aliases could otherwise come by the rights of others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vault.errors import InvalidRequest
from vault.logical.args import STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.page import Page
from vault.logical.response import Response
from vault.modules.identity.arguments import ById
from vault.modules.identity.description import NAMESPACE, describe_alias, find_mounts, list_alias
from vault.modules.identity.metadata import METADATA, require_metadata
from vault.modules.identity.record import Alias, Entity
from vault.modules.identity.rows import Rows, fold, require_name
from vault.modules.identity.store import make_alias, make_entity
from vault.mounts import Mounts

_TAKEN = "Alias already exists for requested entity and mount accessor"
_HAS_ONE = "Alias cannot be updated as the given entity already has an alias for this mount "


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasFields:
    """What can be said of an alias."""

    name: str = arg(STRING, "The name at the mount.", default="")
    canonical_id: str = arg(STRING, "The entity that it belongs to.", default="")
    entity_id: str = arg(STRING, "Older name of canonical_id.", default="")
    mount_accessor: str = arg(STRING, "Accessor of the mount.", default="")
    custom_metadata: Mapping[str, str] | None = arg(METADATA, "String pairs of free choice.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteAlias(AliasFields):
    """An alias by id, else by mount and name; a new one where neither is known."""

    id: str = arg(STRING, "Id of an alias that is there.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteAliasById(AliasFields):
    """The alias that the path names."""

    id: str = arg(STRING, "Its id.")


class AliasPaths:
    """Handlers of aliases of entities."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts

    def paths(self) -> tuple[Path, ...]:
        """Return the table. Of the older spellings Vault still knows `alias` whole, and of `persona` all but its first path."""
        names = ("entity-alias", "alias")
        return (
            path(*names, help="Make or change an alias.", update=Endpoint(handler=self.write, args=WriteAlias)),
            path(
                *(f"{name}/id" for name in (*names, "persona")),
                help="List aliases by their ids.",
                list=Endpoint(handler=self.list_ids, args=Page),
            ),
            path(
                *(f"{name}/id/{{id}}" for name in (*names, "persona")),
                help="Read, change and delete an alias.",
                read=Endpoint(handler=self.read, args=ById),
                update=Endpoint(handler=self.write, args=WriteAliasById),
                delete=Endpoint(handler=self.delete, args=ById),
            ),
        )

    def read(self, context: SystemContext, args: ById) -> Response | None:
        """Answer an alias."""
        owner, alias = _find(Rows(context.storage), args.id)
        if owner is None or alias is None:
            return None
        described = describe_alias(alias, owner.id, find_mounts(self._mounts, context.transaction))
        return Response(data={**described, "namespace_id": NAMESPACE})

    def list_ids(self, context: SystemContext, args: Page) -> Response | None:
        """List aliases."""
        find_mount = find_mounts(self._mounts, context.transaction)
        found = Rows(context.storage).list_aliases(args.after, args.size)
        info = {alias.id: list_alias(alias, owner.id, find_mount) for owner, alias in found}
        return Response(data={"keys": list(info), "key_info": info}) if info else None

    def delete(self, context: SystemContext, args: ById) -> None:
        """Delete an alias; a missing one is no error."""
        rows = Rows(context.storage)
        owner, alias = _find(rows, args.id)
        if owner is not None and alias is not None:
            drop_alias(rows, owner, alias, context.now_ns)

    def write(self, context: SystemContext, args: WriteAlias | WriteAliasById) -> Response | None:
        """Make or change an alias."""
        rows = Rows(context.storage)
        require_name(args.name, "alias")
        owner, alias = self._find_meant(context, rows, args)
        canonical_id = args.canonical_id or args.entity_id
        if alias is None or owner is None:
            return self._make(context, rows, args, canonical_id)
        changed = replace(
            alias,
            name=args.name or alias.name,
            mount_accessor=args.mount_accessor or alias.mount_accessor,
            custom_metadata=_read_metadata(args, empty=None if args.id else {}),
        )
        target = owner if canonical_id in {"", owner.id} else rows.find_entity(canonical_id)
        if target is None:
            raise InvalidRequest("invalid canonical ID")
        if changed == alias and target is owner:
            return None
        _require_free(rows, target, changed)
        _move(rows, owner, target, replace(changed, updated_ns=context.now_ns), alias)
        return Response(data={"id": alias.id, "canonical_id": target.id})

    def _find_meant(self, context: SystemContext, rows: Rows, args: WriteAlias | WriteAliasById) -> tuple[Entity | None, Alias | None]:
        if args.id:
            owner, alias = _find(rows, args.id)
            if alias is None:
                raise InvalidRequest("invalid alias ID provided")
        elif not args.name or not args.mount_accessor:
            raise InvalidRequest("'id' or 'mount_accessor' and 'name' must be provided")
        else:
            owner = rows.find_entity_called(args.mount_accessor, args.name)
            alias = None if owner is None else owner.find_alias(args.mount_accessor)
        if args.mount_accessor:
            require_accessor(self._mounts, context, args.mount_accessor)
        return owner, alias

    def _make(self, context: SystemContext, rows: Rows, args: AliasFields, canonical_id: str) -> Response:
        former = rows.find_entity(canonical_id) if canonical_id else None
        if canonical_id and former is None:
            raise InvalidRequest("invalid canonical ID")
        owner = former or make_entity("", context.now_ns)
        if owner.find_alias(args.mount_accessor) is not None:
            raise InvalidRequest(_TAKEN)
        made = make_alias(args.name, args.mount_accessor, context.now_ns)
        alias = replace(made, custom_metadata=_read_metadata(args, empty={}))
        rows.put_entity(replace(owner, aliases=(*owner.aliases, alias)), former)
        return Response(data={"id": alias.id, "canonical_id": owner.id})


def require_accessor(mounts: Mounts, context: SystemContext, accessor: str) -> None:
    """Refuse an accessor that no mount has; raises InvalidRequest."""
    if not any(mount.accessor == accessor for mount in mounts.table(context.transaction).mounts):
        raise InvalidRequest(f'invalid mount accessor "{accessor}"')


def _find(rows: Rows, alias_id: str) -> tuple[Entity | None, Alias | None]:
    owner = rows.find_entity_of_alias(alias_id)
    return owner, None if owner is None else next((alias for alias in owner.aliases if alias.id == alias_id), None)


def _read_metadata(args: AliasFields, *, empty: dict[str, str] | None) -> dict[str, str] | None:
    return empty if args.custom_metadata is None else require_metadata(args.custom_metadata, "alias")


def _require_free(rows: Rows, target: Entity, alias: Alias) -> None:
    other = target.find_alias(alias.mount_accessor)
    if other is not None and other.id != alias.id:
        raise InvalidRequest(_HAS_ONE)
    holder = rows.find_entity_called(alias.mount_accessor, alias.name)
    namesake = None if holder is None else holder.find_alias(alias.mount_accessor)
    if namesake is not None and namesake.id != alias.id:
        raise InvalidRequest("alias with combination of mount accessor and name already exists")


def drop_alias(rows: Rows, owner: Entity, alias: Alias, now_ns: int) -> None:
    """Take an alias from its entity, and that out of the groups that the alias's mount had put it into."""
    aliases = tuple(other for other in owner.aliases if other.id != alias.id)
    _put(rows, replace(owner, aliases=aliases, updated_ns=now_ns), owner, alias.mount_accessor)


def _put(rows: Rows, changed: Entity, owner: Entity, accessor: str = "") -> None:
    """Store an entity; what the mount with this accessor said of its groups is no longer true."""
    if accessor in owner.external_group_ids:
        external = {other: ids for other, ids in owner.external_group_ids.items() if other != accessor}
        changed = replace(changed, external_group_ids=external)
        rows.follow_members(owner, changed)
    rows.put_entity(changed, owner)


def _move(rows: Rows, owner: Entity, target: Entity, changed: Alias, alias: Alias) -> None:
    if target is owner:
        aliases = tuple(changed if other.id == alias.id else other for other in owner.aliases)
        is_renamed = (changed.mount_accessor, fold(changed.name)) != (alias.mount_accessor, fold(alias.name))
        _put(rows, replace(owner, aliases=aliases), owner, alias.mount_accessor if is_renamed else "")
        return
    drop_alias(rows, owner, alias, changed.updated_ns)
    rows.put_entity(replace(target, aliases=(*target.aliases, changed)), target)
