"""Arguments that several paths of the identity store share."""

from dataclasses import dataclass

from vault.errors import InvalidRequest
from vault.logical.args import STRING, arg
from vault.modules.policy.name import ROOT, parse_policy_names


@dataclass(frozen=True, slots=True, kw_only=True)
class ById:
    """What the path names by its id."""

    id: str = arg(STRING, "Its id.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ByName:
    """What the path names by its name."""

    name: str = arg(STRING, "Its name.")


@dataclass(frozen=True, slots=True, kw_only=True)
class LookupArgs:
    """One way to name what is looked for."""

    id: str = arg(STRING, "Its id.", default="")
    name: str = arg(STRING, "Its name.", default="")
    alias_id: str = arg(STRING, "Id of its alias.", default="")
    alias_name: str = arg(STRING, "Name of its alias; together with alias_mount_accessor.", default="")
    alias_mount_accessor: str = arg(STRING, "Accessor of the mount of its alias.", default="")


def require_one_way(args: LookupArgs) -> None:
    """Refuse a lookup that names nothing, half of an alias, or several things; raises InvalidRequest."""
    if bool(args.alias_name) != bool(args.alias_mount_accessor):
        raise InvalidRequest("both 'alias_name' and 'alias_mount_accessor' needs to be set")
    ways = sum(bool(way) for way in (args.id, args.name, args.alias_id, args.alias_name))
    if ways == 0:
        raise InvalidRequest("query parameter not supplied")
    if ways > 1:
        raise InvalidRequest("query parameter conflict; please supply distinct set of query parameters")


def require_policies(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return policy names that an entity or a group may have; raises InvalidRequest."""
    found = parse_policy_names(names)
    if ROOT in found:
        raise InvalidRequest("policies cannot contain root")
    return found
