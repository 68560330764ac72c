"""The token parameters that all auth methods share: read from requests, checked, shown.

Their older names (`policies`, `ttl`, ...) are taken where a method had them; of both, the new name decides. An empty
`token_policies` beside the older name decides nothing: a web client sends both.
"""

from dataclasses import dataclass, replace
from typing import Any

from vault.errors import InvalidRequest
from vault.logical.args import BOOL, COUNT, LIST, STRING, TTL, Kind, arg
from vault.logical.login import TokenParameters
from vault.modules.auth.cidr import parse_cidrs
from vault.modules.policy.name import ROOT, parse_policy_names

TOKEN_TYPES = frozenset({"", "default", "service", "batch", "default-service", "default-batch"})
_OLDER = {
    "policies": "token_policies",
    "ttl": "token_ttl",
    "max_ttl": "token_max_ttl",
    "period": "token_period",
    "num_uses": "token_num_uses",
    "bound_cidrs": "token_bound_cidrs",
}
_FIELDS = (
    "token_ttl",
    "token_max_ttl",
    "token_explicit_max_ttl",
    "token_period",
    "token_policies",
    "token_bound_cidrs",
    "token_no_default_policy",
    "token_num_uses",
    "token_type",
    "token_strictly_bind_ip",
)


def _older(kind: Kind[Any], name: str) -> Any:
    return arg(kind, f"Older name of {name}.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenParameterArgs:
    """The fields; absent ones keep their value."""

    token_ttl: int | None = arg(TTL, "Life time of tokens where no request names one.", default=None)
    token_max_ttl: int | None = arg(TTL, "Longest life time of tokens.", default=None)
    token_explicit_max_ttl: int | None = arg(TTL, "Longest life time, renewals included, whatever else is said.", default=None)
    token_period: int | None = arg(TTL, "Make periodic tokens with this period.", default=None)
    token_policies: tuple[str, ...] | None = arg(LIST, "Policies of tokens.", default=None)
    token_bound_cidrs: tuple[str, ...] | None = arg(LIST, "Addresses from which logins and tokens are accepted.", default=None)
    token_no_default_policy: bool | None = arg(BOOL, "Do not add the default policy.", default=None)
    token_num_uses: int | None = arg(COUNT, "How many requests a token is good for; 0: unlimited.", default=None)
    token_type: str | None = arg(STRING, "default, service, batch, default-service or default-batch.", default=None)
    token_strictly_bind_ip: bool | None = arg(BOOL, "Accept a token only from the address that logged in.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class LegacyTokenParameterArgs(TokenParameterArgs):
    """The same, with the older names beside them."""

    policies: tuple[str, ...] | None = _older(LIST, "token_policies")
    ttl: int | None = _older(TTL, "token_ttl")
    max_ttl: int | None = _older(TTL, "token_max_ttl")
    period: int | None = _older(TTL, "token_period")
    num_uses: int | None = _older(COUNT, "token_num_uses")
    bound_cidrs: tuple[str, ...] | None = _older(LIST, "token_bound_cidrs")


def change_parameters(current: TokenParameters, args: TokenParameterArgs) -> TokenParameters:
    """Return the parameters with what a request says; raises InvalidRequest."""
    given = {name: value for name in _FIELDS if (value := getattr(args, name)) is not None}
    older = {name: value for old, name in _OLDER.items() if (value := getattr(args, old, None)) is not None}
    if older.get("token_policies") and not given.get("token_policies"):
        given.pop("token_policies", None)
    given = older | given
    if "token_policies" in given:
        given["token_policies"] = parse_policy_names(given["token_policies"])
    if "token_bound_cidrs" in given:
        given["token_bound_cidrs"] = parse_cidrs(given["token_bound_cidrs"])
    changed = replace(current, **given)
    _check(changed)
    return replace(changed, token_type=changed.token_type or "default")


def _check(parameters: TokenParameters) -> None:
    if ROOT in parameters.token_policies:
        raise InvalidRequest("root policy cannot be granted by an auth method")
    if parameters.token_type not in TOKEN_TYPES:
        raise InvalidRequest(f"invalid 'token_type' value \"{parameters.token_type}\"")
    if parameters.token_max_ttl and parameters.token_ttl > parameters.token_max_ttl:
        raise InvalidRequest("'token_ttl' cannot be greater than 'token_max_ttl'")
    if parameters.token_type.endswith("batch"):
        _check_batch(parameters)


def _check_batch(parameters: TokenParameters) -> None:
    if parameters.token_type == "batch" and parameters.token_period:  # noqa: S105 - the name of a kind
        raise InvalidRequest("'token_type' cannot be 'batch' when set to generate periodic tokens")
    if parameters.token_num_uses:
        raise InvalidRequest("'token_type' cannot be 'batch' or 'default-batch' when set to generate tokens with limited use count")


def note_older(shown: tuple[str, ...], args: TokenParameterArgs) -> tuple[str, ...]:
    """Return the older names that were the last ones to say something: Vault shows those beside the new names, and no others."""
    used = {old for old, name in _OLDER.items() if getattr(args, old, None) is not None and getattr(args, name) is None}
    replaced = {old for old, name in _OLDER.items() if getattr(args, name) is not None}
    return tuple(sorted({*shown} - replaced | used))


def describe_parameters(parameters: TokenParameters, *, legacy: bool = False, older: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the parameters in the wire's names, beside them all older ones that say something, or only some."""
    data: dict[str, Any] = {name: _show(getattr(parameters, name)) for name in _FIELDS}
    data |= {old: data[_OLDER[old]] for old in older if data[_OLDER[old]]}
    if legacy:
        data |= {old: data[name] for old, name in _OLDER.items() if data[name]}
    return data


def _show(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def choose_kind(parameters: TokenParameters, mount_type: str) -> str:
    """Return `service` or `batch`: a fixed type of the mount decides over the parameters, a default of it under them."""
    asked = parameters.token_type
    if mount_type in {"service", "batch"}:
        return mount_type
    if asked in {"", "default"}:
        return "batch" if mount_type == "default-batch" else "service"
    return asked.removeprefix("default-")
