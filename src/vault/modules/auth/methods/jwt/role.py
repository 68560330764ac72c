"""Roles: which tokens of others let somebody in, and what its token here shall be.

As in Vault a write that names no role type makes an `oidc` role, also where the role was another one before.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import msgspec

from vault import limits
from vault.errors import InvalidRequest, NotFound
from vault.logical.args import BOOL, COUNT, DURATION, INT, LIST, MAP, NAME, PAIRS, STRING, TTL, arg, format_duration
from vault.logical.context import Context
from vault.logical.login import TokenParameters
from vault.logical.page import Page
from vault.logical.response import Response, list_response
from vault.modules.auth.methods.jwt.claims import list_values
from vault.modules.auth.parameters import LegacyTokenParameterArgs, change_parameters, describe_parameters
from vault.storage.view import View

_FOLDER = "role/"
_NAME = re.compile(r"\w(?:[\w.-]*\w)?", re.ASCII)
JWT = "jwt"
OIDC = "oidc"
GLOB = "glob"
_OLDER = ("policies", "ttl", "max_ttl", "period", "num_uses", "bound_cidrs")
_RESERVED = "role"
_LONG = "token max ttl is greater than the system or backend mount's maximum TTL value; issued tokens' max TTL value will be truncated"
_VERBOSE = "verbose_oidc_logging is stored, but tokens and claims are never logged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role as stored. Times are seconds; of a leeway zero means the default, and less than zero none."""

    role_type: str = OIDC
    bound_audiences: tuple[str, ...] = ()
    bound_subject: str = ""
    bound_claims_type: str = "string"
    bound_claims: dict[str, Any] = field(default_factory=dict)
    claim_mappings: dict[str, str] = field(default_factory=dict)
    user_claim: str = ""
    user_claim_json_pointer: bool = False
    groups_claim: str = ""
    expiration_leeway: int = 0
    not_before_leeway: int = 0
    clock_skew_leeway: int = 0
    oidc_scopes: tuple[str, ...] = ()
    allowed_redirect_uris: tuple[str, ...] = ()
    verbose_oidc_logging: bool = False
    max_age: int = 0
    callback_mode: str = "client"
    parameters: TokenParameters = field(default_factory=TokenParameters)
    legacy: tuple[str, ...] = ()  # older names that were used, and are shown again


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleName:
    """The role that the path names."""

    name: str = arg(NAME, "Name of the role.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRole(LegacyTokenParameterArgs):
    """The fields of a role; absent ones keep their value, but for the two types and the callback mode."""

    name: str = arg(NAME, "Name of the role.")
    role_type: str = arg(STRING, "jwt or oidc.", default=OIDC)
    bound_audiences: tuple[str, ...] | None = arg(LIST, "Audiences of which a token must name one.", default=None)
    bound_subject: str | None = arg(STRING, "The `sub` claim that a token must have.", default=None)
    bound_claims_type: str = arg(STRING, "string or glob: how values of bound_claims are read.", default="string")
    bound_claims: Mapping[str, Any] | None = arg(MAP, "Claims and their allowed values.", default=None)
    claim_mappings: Mapping[str, str] | None = arg(PAIRS, "Claims that become metadata, and the names there.", default=None)
    user_claim: str | None = arg(STRING, "The claim that names the caller.", default=None)
    user_claim_json_pointer: bool | None = arg(BOOL, "Read user_claim as a JSON pointer.", default=None)
    groups_claim: str | None = arg(STRING, "The claim that names the caller's groups.", default=None)
    expiration_leeway: int | None = arg(DURATION, "For a token without expiry; 0: 150 s, -1: none.", default=None)
    not_before_leeway: int | None = arg(DURATION, "For a token without a begin; 0: 150 s, -1: none.", default=None)
    clock_skew_leeway: int | None = arg(DURATION, "Between the clocks; 0: 60 s, -1: none.", default=None)
    oidc_scopes: tuple[str, ...] | None = arg(LIST, "Scopes asked for besides openid.", default=None)
    allowed_redirect_uris: tuple[str, ...] | None = arg(LIST, "Where logins may return to.", default=None)
    verbose_oidc_logging: bool | None = arg(BOOL, "Stored only.", default=None)
    max_age: int | None = arg(TTL, "How long ago a person may have proved who it is.", default=None)
    callback_mode: str = arg(STRING, "client; the others are not supported.", default="client")
    poll_interval: int = arg(INT, "Not supported.", default=0)
    oauth2_metadata: tuple[str, ...] = arg(LIST, "Not supported.", default=())
    oidc_disable_confirmation: bool = arg(BOOL, "Not supported.", default=False)
    token_policies_template_claims: bool = arg(BOOL, "Not supported.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRoles(Page):
    """A page of role names."""

    # Stricter than the other listings and than Vault, which list all: clients have only ever seen a negative limit refused here.
    limit: int = arg(COUNT, "List at most so many; 0: all.", default=0, query=True)


_KEPT = tuple(
    item.name for item in fields(Role) if item.name not in {"role_type", "bound_claims_type", "callback_mode", "parameters", "legacy"}
)
_UNSUPPORTED = ("poll_interval", "oauth2_metadata", "oidc_disable_confirmation", "token_policies_template_claims")


def _decode(value: bytes) -> Role:
    return msgspec.json.decode(value, type=Role)


def find_role(storage: View, name: str) -> Role | None:
    """Return the role with this name; there is none under a name that no role can have."""
    if not _NAME.fullmatch(name) or len(name) > limits.JWT_NAME_BYTES_MAX:
        return None
    entry = storage.get(_FOLDER + name)
    return None if entry is None else entry.decode(_decode)


def role_exists(context: Context, args: RoleName) -> bool:
    """Tell create from update."""
    return find_role(context.storage, args.name) is not None


def read_role(context: Context, args: RoleName) -> Response:
    """Answer the role in the wire's names."""
    role = find_role(context.storage, args.name)
    if role is None:
        raise NotFound
    data: dict[str, Any] = {"role_type": role.role_type, "bound_claims_type": role.bound_claims_type, "callback_mode": role.callback_mode}
    data |= {name: _show(getattr(role, name)) for name in _KEPT}
    data |= {"oauth2_metadata": None, "oidc_disable_confirmation": False, "token_policies_template_claims": False}
    parameters = describe_parameters(role.parameters, legacy=True)
    return Response(data=data | {name: value for name, value in parameters.items() if name not in _OLDER or name in role.legacy})


def _show(value: Any) -> Any:
    """Return a value as Vault shows it: what was never set is null there."""
    if isinstance(value, tuple | dict):
        return (list(value) if isinstance(value, tuple) else value) or None
    return value


def write_role(context: Context, args: WriteRole) -> Response | None:
    """Create or change a role."""
    if not _NAME.fullmatch(args.name) or len(args.name) > limits.JWT_NAME_BYTES_MAX:
        raise InvalidRequest("invalid role name")
    current = find_role(context.storage, args.name) or Role()
    given = {name: value for name in _KEPT if (value := getattr(args, name)) is not None}
    legacy = {*current.legacy, *(name for name in _OLDER if getattr(args, name) is not None)}
    role = replace(
        current,
        **given,
        role_type=args.role_type or OIDC,
        bound_claims_type=args.bound_claims_type,
        callback_mode=args.callback_mode,
        parameters=change_parameters(current.parameters, args),
        legacy=tuple(sorted(legacy)),
    )
    _check_types(role, args)
    _check_claims(role)
    _check_bounds(role, context)
    context.storage.put(_FOLDER + args.name, msgspec.json.encode(role))
    warnings = ((_LONG,) if role.parameters.token_max_ttl > context.mount.max_lease_seconds else ()) + (
        (_VERBOSE,) if role.verbose_oidc_logging else ()
    )
    return Response(warnings=warnings) if warnings else None


def _check_types(role: Role, args: WriteRole) -> None:
    if role.role_type not in {JWT, OIDC}:
        raise InvalidRequest(f"invalid 'role_type': {role.role_type}")
    if role.bound_claims_type not in {"string", GLOB}:
        raise InvalidRequest(f"invalid 'bound_claims_type': {role.bound_claims_type}")
    if role.callback_mode in {"direct", "device"}:
        raise InvalidRequest(f"'callback_mode' {role.callback_mode} is not supported")
    if role.callback_mode != "client":
        raise InvalidRequest(f"invalid 'callback_mode': {role.callback_mode}")
    for name in _UNSUPPORTED:
        if getattr(args, name):
            raise InvalidRequest(f"'{name}' is not supported")


def _check_claims(role: Role) -> None:
    if not role.user_claim:
        raise InvalidRequest("a user claim must be defined on the role")
    for claim, wanted in role.bound_claims.items():
        values = list_values(wanted)
        if not values:  # it could never match: better said now than at every login
            raise InvalidRequest(f"bound claim '{claim}' is not a string, bool, number or list of these")
        if role.bound_claims_type == GLOB and not all(isinstance(value, str) for value in values):
            raise InvalidRequest(f"bound claim '{claim}' is not a string, which a glob has to be")
    targets = list(role.claim_mappings.values())
    if _RESERVED in targets:
        raise InvalidRequest(f'metadata key "{_RESERVED}" is reserved and may not be a mapping destination')
    for target in targets:
        if targets.count(target) > 1:
            raise InvalidRequest(f'multiple keys are mapped to metadata key "{target}"')


def _check_bounds(role: Role, context: Context) -> None:
    parameters, longest = role.parameters, context.mount.max_lease_seconds
    if role.role_type == OIDC and not role.allowed_redirect_uris:
        raise InvalidRequest("'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.")
    if any(len(uri) > limits.OIDC_URL_BYTES_MAX for uri in role.allowed_redirect_uris):
        raise InvalidRequest("'allowed_redirect_uris' has one that is too long")
    if role.role_type == JWT and not (role.bound_audiences or parameters.token_bound_cidrs or role.bound_subject or role.bound_claims):
        raise InvalidRequest("must have at least one bound constraint when creating/updating a role")
    if parameters.token_period > longest:
        raise InvalidRequest(
            f"'period' of '{format_duration(parameters.token_period)}' is greater than the backend's maximum lease TTL "
            f"of '{format_duration(longest)}'"
        )


def delete_role(context: Context, args: RoleName) -> None:
    """Delete a role; a missing one is no error."""
    if find_role(context.storage, args.name) is not None:
        context.storage.delete(_FOLDER + args.name)


def list_roles(context: Context, args: ListRoles) -> Response | None:
    """List role names."""
    return list_response(context.storage.list_children(_FOLDER, args.after, args.size))
