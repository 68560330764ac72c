"""`identity/entity` and `identity/lookup/entity`: people and services."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vault.errors import InvalidRequest
from vault.logical.args import BOOL, LIST, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.page import Page
from vault.logical.response import Response
from vault.modules.identity.arguments import ById, ByName, LookupArgs, require_one_way, require_policies
from vault.modules.identity.description import describe_entity, find_mounts, summarise_alias
from vault.modules.identity.merge import MergeArgs, merge
from vault.modules.identity.metadata import METADATA, require_metadata
from vault.modules.identity.mfa.enrolment import forget_entity, merge_entities
from vault.modules.identity.record import Entity
from vault.modules.identity.rows import Rows, require_name
from vault.modules.identity.store import make_entity, walk_up
from vault.mounts import Mounts


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityFields:
    """What can be said of an entity; absent fields keep their value."""

    metadata: Mapping[str, str] | None = arg(METADATA, "String pairs that policies and tokens may use.", default=None)
    policies: tuple[str, ...] | None = arg(LIST, "Policies of all tokens of the entity.", default=None)
    disabled: bool | None = arg(BOOL, "Whether its tokens and logins are refused.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteEntity(EntityFields):
    """An entity by id, else by name; a new one where neither is known."""

    id: str = arg(STRING, "Id of an entity that is there.", default="")
    name: str = arg(STRING, "Its name; one is chosen where none is given.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteEntityById(EntityFields):
    """The entity that the path names by its id."""

    id: str = arg(STRING, "Its id.")
    name: str = arg(STRING, "Its new name.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteEntityByName(EntityFields):
    """The entity that the path names by its name."""

    name: str = arg(STRING, "Its name.")
    id: str = arg(STRING, "Id of an entity that takes this name.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchArgs:
    """Entities to be deleted."""

    entity_ids: tuple[str, ...] = arg(LIST, "Their ids.", default=())


class EntityPaths:
    """Handlers of entities."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path("entity", help="Make or change an entity.", update=Endpoint(handler=self.write, args=WriteEntity)),
            path("entity/merge", help="Merge entities into one.", update=Endpoint(handler=self.merge, args=MergeArgs)),
            path("entity/batch-delete", help="Delete entities.", update=Endpoint(handler=self.delete_batch, args=BatchArgs)),
            path("entity/id", help="List entities by their ids.", list=Endpoint(handler=self.list_ids, args=Page)),
            path("entity/name", help="List entities by their names.", list=Endpoint(handler=self.list_names, args=Page)),
            path(
                "entity/id/{id}",
                help="Read, change and delete an entity.",
                read=Endpoint(handler=self.read_id, args=ById),
                update=Endpoint(handler=self.write, args=WriteEntityById),
                delete=Endpoint(handler=self.delete_id, args=ById),
            ),
            path(
                "entity/name/{name*}",
                help="Read, write and delete an entity by its name.",
                read=Endpoint(handler=self.read_name, args=ByName),
                update=Endpoint(handler=self.write, args=WriteEntityByName),
                delete=Endpoint(handler=self.delete_name, args=ByName),
            ),
            path("lookup/entity", help="Find an entity.", update=Endpoint(handler=self.look_up, args=LookupArgs)),
        )

    # -- reading ------------------------------------------------------------------------------------------------------

    def _describe(self, context: SystemContext, rows: Rows, entity: Entity | None) -> Response | None:
        if entity is None:
            return None
        return Response(data=describe_entity(walk_up(entity, rows), find_mounts(self._mounts, context.transaction)))

    def read_id(self, context: SystemContext, args: ById) -> Response | None:
        """Answer an entity."""
        rows = Rows(context.storage)
        return self._describe(context, rows, rows.find_entity(args.id))

    def read_name(self, context: SystemContext, args: ByName) -> Response | None:
        """Answer the entity with this name."""
        rows = Rows(context.storage)
        return self._describe(context, rows, rows.find_entity_named(args.name))

    def look_up(self, context: SystemContext, args: LookupArgs) -> Response | None:
        """Answer the entity that is named in one of four ways."""
        require_one_way(args)
        rows = Rows(context.storage)
        if args.id:
            found = rows.find_entity(args.id)
        elif args.name:
            found = rows.find_entity_named(args.name)
        elif args.alias_id:
            found = rows.find_entity_of_alias(args.alias_id)
        else:
            found = rows.find_entity_called(args.alias_mount_accessor, args.alias_name)
        return self._describe(context, rows, found)

    def list_ids(self, context: SystemContext, args: Page) -> Response | None:
        """List entities by id."""
        find_mount = find_mounts(self._mounts, context.transaction)
        info: dict[str, Any] = {}
        for entity in Rows(context.storage).list_entities(args.after, args.size):
            aliases = [summarise_alias(alias, find_mount) for alias in entity.aliases]
            info[entity.id] = {"name": entity.name, **({"aliases": aliases} if aliases else {})}
        return Response(data={"keys": list(info), "key_info": info}) if info else None

    def list_names(self, context: SystemContext, args: Page) -> Response | None:
        """List the names of entities, in the order of their ids."""
        names = [entity.name for entity in Rows(context.storage).list_entities(args.after, args.size)]
        return Response(data={"keys": names}) if names else None

    # -- changing -----------------------------------------------------------------------------------------------------

    def write(self, context: SystemContext, args: WriteEntity | WriteEntityById | WriteEntityByName) -> Response | None:
        """Make or change an entity; only a new one is answered."""
        rows = Rows(context.storage)
        former = rows.find_entity(args.id) if args.id else rows.find_entity_named(args.name) if args.name else None
        if args.id and former is None:
            raise InvalidRequest("entity not found from id")
        name = require_name(args.name, "entity")
        entity = former or make_entity(name, context.now_ns)
        entity = replace(entity, updated_ns=context.now_ns, **_read_fields(args))
        if args.id and name:
            entity = replace(entity, name=name)
        rows.put_entity(entity, former)
        return None if former else Response(data={"id": entity.id, "name": entity.name, "aliases": None})

    def delete_id(self, context: SystemContext, args: ById) -> None:
        """Delete an entity; a missing one is no error."""
        rows = Rows(context.storage)
        _delete(context, rows, rows.find_entity(args.id))

    def delete_name(self, context: SystemContext, args: ByName) -> None:
        """Delete the entity with this name; a missing one is no error."""
        rows = Rows(context.storage)
        _delete(context, rows, rows.find_entity_named(args.name))

    def delete_batch(self, context: SystemContext, args: BatchArgs) -> None:
        """Delete several entities; missing ones are no error."""
        if not args.entity_ids:
            raise InvalidRequest("missing entity ids to delete")
        rows = Rows(context.storage)
        for entity_id in args.entity_ids:
            _delete(context, rows, rows.find_entity(entity_id))

    def merge(self, context: SystemContext, args: MergeArgs) -> None:
        """Merge entities into one."""
        merge(Rows(context.storage), args, context.now_ns)
        merge_entities(context.transaction, args.from_entity_ids, args.to_entity_id, force=args.force)


def _read_fields(args: EntityFields) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if args.metadata is not None:
        fields["metadata"] = require_metadata(args.metadata, "entity")
    if args.policies is not None:
        fields["policies"] = require_policies(args.policies)
    if args.disabled is not None:
        fields["disabled"] = args.disabled
    return fields


def _delete(context: SystemContext, rows: Rows, entity: Entity | None) -> None:
    if entity is not None:
        rows.delete_entity(replace(entity, updated_ns=context.now_ns))
        forget_entity(context.transaction, entity.id)
