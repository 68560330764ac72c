"""Roles of the method `kubernetes`: which service accounts may log in. Stored as `role/<name>`."""

from dataclasses import dataclass, replace
from typing import Any

import msgspec

from vault.errors import InvalidRequest, NotFound
from vault.logical.args import LIST, STRING, arg, format_duration
from vault.logical.context import Context
from vault.logical.login import TokenParameters
from vault.logical.page import Page
from vault.logical.response import Response, list_response
from vault.modules.auth.globs import matches_any
from vault.modules.auth.methods.kubernetes.selector import parse_selector
from vault.modules.auth.parameters import LegacyTokenParameterArgs, change_parameters, describe_parameters, note_older
from vault.modules.auth.role_name import ROLE_NAME, RoleName
from vault.storage.view import View

_ROLES = "role/"
BY_UID, BY_NAME = "serviceaccount_uid", "serviceaccount_name"
ALL = "*"
_TRUNCATED = "max_ttl is greater than the system or backend mount's maximum TTL value; issued tokens' max TTL value will be truncated"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role as stored."""

    name: str
    bound_service_account_names: tuple[str, ...] = ()
    bound_service_account_namespaces: tuple[str, ...] = ()
    bound_service_account_namespace_selector: str = ""
    audience: str = ""
    alias_name_source: str = BY_UID
    parameters: TokenParameters = TokenParameters()
    older: tuple[str, ...] = ()  # names of parameters that are shown beside the new ones

    def takes_name(self, name: str) -> bool:
        """Return whether service accounts of this name may log in."""
        return matches_any(name, self.bound_service_account_names)

    def takes_namespace(self, namespace: str) -> bool:
        """Return whether service accounts of this namespace may log in, whatever is written on it."""
        return matches_any(namespace, self.bound_service_account_namespaces)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole(LegacyTokenParameterArgs):
    """The fields of a role; absent ones keep their value."""

    name: str = arg(ROLE_NAME, "Name of the role.")
    bound_service_account_names: tuple[str, ...] | None = arg(LIST, "Names of service accounts, with globs.", default=None)
    bound_service_account_namespaces: tuple[str, ...] | None = arg(LIST, "Their namespaces, with globs.", default=None)
    bound_service_account_namespace_selector: str | None = arg(STRING, "Label selector for further namespaces, JSON.", default=None)
    audience: str | None = arg(STRING, "Audience that a token must be for.", default=None)
    alias_name_source: str | None = arg(STRING, f"{BY_UID} or {BY_NAME}: what names the alias.", default=None)


_OWN = (
    "bound_service_account_names",
    "bound_service_account_namespaces",
    "bound_service_account_namespace_selector",
    "audience",
    "alias_name_source",
)


def _decode(value: bytes) -> Role:
    return msgspec.json.decode(value, type=Role)


def find_role(storage: View, name: str) -> Role | None:
    """Return the role with this name."""
    entry = storage.get(_ROLES + name)
    return None if entry is None else entry.decode(_decode)


def role_exists(context: Context, args: RoleName) -> bool:
    """Tell create from update."""
    return find_role(context.storage, args.name) is not None


def read_role(context: Context, args: RoleName) -> Response:
    """Answer a role in the wire's names."""
    role = find_role(context.storage, args.name)
    if role is None:
        raise NotFound
    data: dict[str, Any] = {name: getattr(role, name) for name in _OWN}
    shown = {name: list(value) if isinstance(value, tuple) else value for name, value in data.items() if value or name != "audience"}
    return Response(data=shown | describe_parameters(role.parameters, older=role.older))


def write_role(context: Context, args: WriteRole) -> Response | None:
    """Create or change a role."""
    found = find_role(context.storage, args.name)
    current = found or Role(name=args.name)
    given = {name: value for name in _OWN if (value := getattr(args, name)) is not None}
    if found is None and not given.get("alias_name_source"):
        given["alias_name_source"] = BY_UID
    parameters = change_parameters(current.parameters, args)
    role = replace(current, **given, parameters=parameters, older=note_older(current.older, args))
    longest = context.mount.max_lease_seconds
    if parameters.token_period > longest:
        period = format_duration(parameters.token_period)
        raise InvalidRequest(f"token period of '{period}' is greater than the backend's maximum lease TTL of '{format_duration(longest)}'")
    _check(role)
    context.storage.put(_ROLES + role.name, msgspec.json.encode(role))
    return Response(warnings=(_TRUNCATED,)) if parameters.token_max_ttl > longest else None


def _check(role: Role) -> None:
    names, namespaces = role.bound_service_account_names, role.bound_service_account_namespaces
    selector = role.bound_service_account_namespace_selector
    if not names:
        raise InvalidRequest('"bound_service_account_names" can not be empty')
    if not namespaces and not selector:
        raise InvalidRequest('"bound_service_account_namespaces" can not be empty if "bound_service_account_namespace_selector" is not set')
    if any(ALL in globs and len(globs) > 1 for globs in (names, namespaces)):
        raise InvalidRequest('can not mix "*" with values')
    if names == namespaces == (ALL,):
        raise InvalidRequest('"bound_service_account_names" and "bound_service_account_namespaces" can not both be "*"')
    if role.alias_name_source not in (BY_UID, BY_NAME):
        raise InvalidRequest(f"invalid alias_name_source, must be one of: {BY_UID}, {BY_NAME}")
    try:
        if selector:
            parse_selector(selector)
    except ValueError:
        raise InvalidRequest('invalid "bound_service_account_namespace_selector" configured') from None


def delete_role(context: Context, args: RoleName) -> None:
    """Delete a role; a missing one is no error."""
    context.storage.delete(_ROLES + args.name)


def list_roles(context: Context, args: Page) -> Response | None:
    """List role names."""
    return list_response(context.storage.list_children(_ROLES, args.after, args.size))
