"""What verified tokens say, and what a role makes of it. Nothing here verifies a signature; no refusal repeats a claim's value."""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import Number

if TYPE_CHECKING:
    from vault.modules.auth.methods.jwt.role import Role

DEFAULT_LEEWAY_SECONDS = 150
DEFAULT_SKEW_SECONDS = 60
_SECONDS_MAX = 2**40  # beyond any date that a token has


def find_claim(claims: Mapping[str, Any], name: str) -> Any:
    """Return a claim by its name, or by a JSON pointer (RFC 6901) where the name starts with a slash; None where it is missing."""
    if not name.startswith("/"):
        return claims.get(name)
    value: Any = claims
    for part in name[1:].split("/"):
        step = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, list):
            index = int(step) if re.fullmatch(r"0|[1-9][0-9]{0,6}", step, re.ASCII) else len(value)
            value = value[index] if index < len(value) else None
        else:
            value = value.get(step) if isinstance(value, dict) else None
    return value


def list_values(value: Any) -> list[Any] | None:
    """Return a claim's value as a list: providers turn lists of one into the one. None for what is neither scalar nor list of them."""
    values = value if isinstance(value, list) else [value]
    return values if all(isinstance(item, str | bool | int | float | Number) for item in values) else None


# -- who it is ---------------------------------------------------------------------------------------------------------


def read_user(claims: Mapping[str, Any], role: "Role") -> str:
    """Return the caller's name; raises InvalidRequest."""
    name = role.user_claim
    value = find_claim(claims, name) if role.user_claim_json_pointer else claims.get(name)
    if value is None:
        raise InvalidRequest(f'claim "{name}" not found in token')
    if not isinstance(value, str):
        raise InvalidRequest(f'claim "{name}" could not be converted to string')
    _check_name(value, name)
    return value


def _check_name(value: str, claim: str) -> None:
    if not value or len(value.encode()) > limits.JWT_NAME_BYTES_MAX or not value.isprintable():
        raise InvalidRequest(f'claim "{claim}" holds a name that is empty, too long or not printable')


def read_groups(claims: Mapping[str, Any], role: "Role") -> tuple[str, ...]:
    """Return the names of the caller's groups; raises InvalidRequest."""
    name = role.groups_claim
    if not name:
        return ()
    value = find_claim(claims, name)
    if value is None:
        raise InvalidRequest(f'failed to fetch groups: "{name}" claim not found in token')
    values = list_values(value)
    if values is None or len(values) > limits.JWT_GROUPS_MAX:
        raise InvalidRequest(f'"{name}" claim could not be converted to string list')
    groups = []
    for group in values:
        if not isinstance(group, str):
            raise InvalidRequest("a value in groups claim could not be parsed as string")
        if group:
            _check_name(group, name)
            groups.append(group)
    return tuple(dict.fromkeys(groups))


def read_metadata(claims: Mapping[str, Any], role: "Role") -> dict[str, str]:
    """Return the metadata that a role takes from claims; raises InvalidRequest."""
    found = {}
    for source, target in role.claim_mappings.items():
        value = find_claim(claims, source)
        if value is None:
            continue
        if not isinstance(value, str):
            raise InvalidRequest(f"error converting claim '{source}' to string")
        found[target] = value
    return found


# -- whether it may ----------------------------------------------------------------------------------------------------


def check_bound_claims(claims: Mapping[str, Any], role: "Role") -> None:
    """Refuse a token that has not all the claims that a role asks for; raises InvalidRequest."""
    for name, wanted in role.bound_claims.items():
        value = find_claim(claims, name)
        if value is None:
            raise InvalidRequest(f'error validating claims: claim "{name}" is missing')
        values = list_values(value)
        if values is None:
            raise InvalidRequest(f'error validating claims: claim "{name}" is not a string, bool, int or list')
        allowed = list_values(wanted) or ()
        if not any(_matches(one, other, role.bound_claims_type) for one in allowed for other in values):
            raise InvalidRequest(f'error validating claims: claim "{name}" does not match any associated bound claim values')


def _matches(wanted: Any, value: Any, kind: str) -> bool:
    if kind == "glob":
        return isinstance(wanted, str) and isinstance(value, str) and _compile_glob(wanted).fullmatch(value) is not None
    if isinstance(wanted, bool) or isinstance(value, bool):  # true is no 1
        return wanted is value
    return bool(wanted == value)


@lru_cache(maxsize=1024)
def _compile_glob(glob: str) -> re.Pattern[str]:
    # Each piece is taken where it stands first, and never again (atomic groups): linear on any input.
    first, *rest = (re.escape(piece) for piece in re.split(r"\*+", glob))
    if not rest:
        return re.compile(first)
    return re.compile(f"{first}{''.join(f'(?>.*?{piece})' for piece in rest[:-1])}.*{rest[-1]}", re.DOTALL)


def list_audiences(claims: Mapping[str, Any]) -> tuple[str, ...]:
    """Return whom a token is for: a string, or a list of strings and of nothing else; raises InvalidRequest."""
    value = claims.get("aud", [])
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(item, str) for item in values):
        raise InvalidRequest("error validating token: invalid audience (aud) claim: expected string or array of strings")
    return tuple(values)


def check_claims(claims: Mapping[str, Any], role: "Role", bound_issuer: str, now: float) -> None:
    """Refuse a token that is not from, for or of whom it has to be, or not at this time; raises InvalidRequest."""
    audiences = list_audiences(claims)
    for name in ("iss", "sub"):
        if not isinstance(claims.get(name, ""), str):
            raise InvalidRequest(f"error validating token: the {name} claim is not a string")
    if bound_issuer and claims.get("iss") != bound_issuer:
        raise InvalidRequest("error validating token: invalid issuer (iss) claim")
    if role.bound_subject and claims.get("sub") != role.bound_subject:
        raise InvalidRequest("error validating token: invalid subject (sub) claim")
    if role.bound_audiences and not {*role.bound_audiences} & {*audiences}:
        raise InvalidRequest("error validating token: invalid audience (aud) claim: audience claim does not match any expected audience")
    check_times(claims, role, now)
    if audiences and not role.bound_audiences:
        raise InvalidRequest("audience claim found in JWT but no audiences bound to the role")


def read_time(claims: Mapping[str, Any], name: str) -> float:
    """Return a time claim in seconds; 0 where it is missing. Raises InvalidRequest."""
    value = claims.get(name)
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not -_SECONDS_MAX < value < _SECONDS_MAX:
        raise InvalidRequest(f"error validating token: the {name} claim is not a time")
    return int(value)


def _leeway(seconds: int, default: int) -> int:
    return default if seconds == 0 else max(seconds, 0)


def check_times(claims: Mapping[str, Any], role: "Role", now: float) -> None:
    """Refuse a token before or after its time. Vault's rules: one of the three claims is enough, the others follow from it."""
    issued, begins, ends = (read_time(claims, name) for name in ("iat", "nbf", "exp"))
    if not (issued or begins or ends):
        raise InvalidRequest("error validating token: no issued at (iat), not before (nbf), or expiration time (exp) claims in token")
    ends = ends or max(issued, begins) + _leeway(role.expiration_leeway, DEFAULT_LEEWAY_SECONDS)
    begins = begins or issued or ends - _leeway(role.not_before_leeway, DEFAULT_LEEWAY_SECONDS)
    skew = _leeway(role.clock_skew_leeway, DEFAULT_SKEW_SECONDS)
    if now + skew < begins:
        raise InvalidRequest("error validating token: invalid not before (nbf) claim: token not yet valid")
    if now - skew > ends:
        raise InvalidRequest("error validating token: invalid expiration time (exp) claim: token is expired")
    if now + skew < issued:
        raise InvalidRequest("error validating token: invalid issued at (iat) claim: token issued in the future")
