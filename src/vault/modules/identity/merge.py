"""Merging entities: aliases and groups of some become those of one, and their tokens as well. Policies and metadata end with them.

Two aliases of one mount cannot both be kept. Which of them stays has to be said, and only for one entity at a time. What a mount
says of its groups goes with the alias that it is said of.
"""

from dataclasses import dataclass, replace

from vault.errors import InvalidRequest
from vault.logical.args import BOOL, LIST, STRING, arg
from vault.modules.identity.record import Alias, Entity
from vault.modules.identity.rows import Rows


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeArgs:
    """What is merged into what."""

    from_entity_ids: tuple[str, ...] = arg(LIST, "Entities that end.", default=())
    to_entity_id: str = arg(STRING, "The entity that goes on.", default="")
    force: bool = arg(
        BOOL, "Keep the secrets for MFA of the entity that goes on, where others have some of the same method.", default=False
    )
    conflicting_alias_ids_to_keep: tuple[str, ...] = arg(LIST, "Which of two aliases of one mount stay.", default=())


def merge(rows: Rows, args: MergeArgs, now_ns: int) -> None:
    """Merge entities; raises InvalidRequest."""
    if not args.to_entity_id:
        raise InvalidRequest("missing entity id to merge to")
    if not args.from_entity_ids:
        raise InvalidRequest("missing entity ids to merge from")
    if args.to_entity_id in args.from_entity_ids:
        raise InvalidRequest("to_entity_id should not be present in from_entity_ids")
    target = _require(rows, args.to_entity_id, "to")
    sources = [_require(rows, entity_id, "from") for entity_id in dict.fromkeys(args.from_entity_ids)]
    _require_solvable(target, sources, args.conflicting_alias_ids_to_keep)
    merged = target
    for source in sources:
        merged = _absorb(rows, merged, source, args.conflicting_alias_ids_to_keep, now_ns)
    rows.put_entity(replace(merged, updated_ns=now_ns), target)


def _require(rows: Rows, entity_id: str, word: str) -> Entity:
    entity = rows.find_entity(entity_id)
    if entity is None:
        raise InvalidRequest(f"entity id to merge {word} is invalid")
    return entity


def _require_solvable(target: Entity, sources: list[Entity], kept: tuple[str, ...]) -> None:
    """Refuse a merge of which nobody said which of two aliases stays."""
    if kept and len(sources) > 1:
        raise InvalidRequest("conflicting_alias_ids_to_keep can only be used with exactly one entity to merge from")
    met: dict[str, Alias] = {alias.mount_accessor: alias for alias in target.aliases}
    clashes: list[str] = []
    for source in sources:
        for alias in source.aliases:
            other = met.setdefault(alias.mount_accessor, alias)
            if other is alias:
                continue
            if not kept:
                clashes.append(f"mountAccessor: {alias.mount_accessor}, toEntity ID: {target.id}, fromEntity ID: {source.id}")
            elif alias.id not in kept and other.id not in kept:
                raise InvalidRequest(
                    "conflicting mount accessors in following alias IDs and neither were present in "
                    f"conflicting_alias_ids_to_keep: {alias.id}, {other.id}"
                )
    if clashes:
        lines = "".join(f"\n\t* {clash}" for clash in clashes)
        raise InvalidRequest(
            f"{len(clashes) + 1} errors occurred:\n\t* toEntity and at least one fromEntity have aliases with the same mount accessor, "
            f"repeat the merge request specifying exactly one fromEntity, clashes: {lines}\n\n"
        )


def _absorb(rows: Rows, target: Entity, source: Entity, kept: tuple[str, ...], now_ns: int) -> Entity:
    rows.delete_entity(replace(source, updated_ns=now_ns))
    own = {alias.mount_accessor: alias for alias in target.aliases}
    external = dict(target.external_group_ids)
    for alias in source.aliases:
        other = own.get(alias.mount_accessor)
        # Of two that are both named, the one of the entity that goes on stays.
        if other is None or (alias.id in kept and other.id not in kept):
            own[alias.mount_accessor] = replace(alias, merged_from=(*alias.merged_from, source.id))
            external[alias.mount_accessor] = source.external_group_ids.get(alias.mount_accessor, ())
    for merged_id in (source.id, *source.merged_ids):
        rows.point_merged(merged_id, target.id)
    merged = replace(
        target,
        aliases=tuple(own.values()),
        group_ids=tuple(sorted({*target.group_ids, *source.group_ids})),
        external_group_ids={accessor: ids for accessor, ids in external.items() if ids},
        merged_ids=(*target.merged_ids, source.id, *source.merged_ids),
    )
    rows.follow_members(target, merged)
    return merged
