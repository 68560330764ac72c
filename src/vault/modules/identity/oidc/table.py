"""What the tables of paths of keys, roles, scopes, assignments, clients and providers have in common."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import Kind, NoArgs, arg, parse_list, parse_string
from vault.logical.backend import Endpoint, Handler, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import list_response
from vault.modules.identity.oidc.rows import Table, is_name


def _parse_name(value: Any) -> str:
    name = parse_string(value)
    if not is_name(name):
        raise ValueError("expected letters, digits, `_`, and within the name `-` and `.`")
    return name


def _parse_items(value: Any) -> tuple[str, ...]:
    items = parse_list(value)
    if len(items) > limits.OIDC_ITEMS_MAX:
        raise ValueError(f"expected at most {limits.OIDC_ITEMS_MAX} items")
    return items


NAME = Kind("string", {"type": "string"}, _parse_name)
ITEMS = Kind("comma list", {"type": "array", "items": {"type": "string"}}, _parse_items)
SET = Kind("comma list", ITEMS.schema, lambda value: tuple(sorted(set(_parse_items(value)))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """What the path names."""

    name: str = arg(NAME, "Its name.")


def list_changes(args: Named) -> dict[str, Any]:
    """Return the given fields but for the name."""
    given = ((item.name, getattr(args, item.name)) for item in dataclasses.fields(args))
    return {name: value for name, value in given if value is not None and name != "name"}


def resource_paths(
    noun: str,
    table: Table[Any],
    *,
    read: Handler,
    write: Handler,
    write_args: type,
    delete: Handler,
    list_rows: Handler | None = None,
    list_args: type = NoArgs,
    prepare: Callable[[Any, Any], Any] | None = None,
) -> tuple[Path, ...]:
    """Return the rows of one kind of thing that is written, read, listed and deleted by name."""

    def exists(context: SystemContext, args: Named) -> bool:
        return table.find(context.storage, args.name) is not None

    def list_names(context: SystemContext, _: Any) -> Any:
        return list_response(table.list_names(context.storage))

    return (
        path(f"oidc/{noun}", help=f"List each {noun}.", list=Endpoint(handler=list_rows or list_names, args=list_args)),
        path(
            f"oidc/{noun}/{{name}}",
            help=f"Write, read or delete a {noun}.",
            exists=exists,
            exists_args=Named,
            read=Endpoint(handler=read, args=Named),
            update=Endpoint(handler=write, args=write_args, prepare=prepare),
            delete=Endpoint(handler=delete, args=Named),
        ),
    )


def refuse_referenced(noun: str, name: str, referrers: list[str], kind: str) -> None:
    """Raise InvalidRequest where something is still needed."""
    if referrers:
        raise InvalidRequest(f'unable to delete {noun} "{name}" because it is currently referenced by these {kind}: {", ".join(referrers)}')
