"""What a service account's token says of itself. Only with keys of the mount's own is it verified here; the API has the last word.

Kubernetes has two ways to write it: flat names in tokens of secrets, a nested object in those that a pod is given.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jwt
from jwt.types import Options

from vault import limits
from vault.crypto.certificate import extract_public_key
from vault.errors import PermissionDenied

_ALGORITHMS = ("RS256", "RS384", "RS512", "ES256", "ES384", "ES512")
_FLAT = "kubernetes.io/serviceaccount/"
_DEFAULT_ISSUER = "kubernetes/serviceaccount"
_NO_SIGNATURE: Options = {"verify_signature": False}
# Times, issuer and audience are judged below, by the request's own time.
_ONLY_SIGNATURE: Options = {
    "verify_signature": True,
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}
_TIMES = (("exp", "token is expired"), ("nbf", "token is not valid yet"), ("iat", "token was issued in the future"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A service account, by its own word."""

    name: str
    namespace: str
    uid: str
    secret_name: str
    audiences: tuple[str, ...]


def read_account(token: str, keys: tuple[str, ...], *, issuer: str | None, audience: str, now: float) -> Account:
    """Return whose token this is; raises PermissionDenied where it does not hold. `issuer` None: any; without keys no signature counts."""
    claims = _decode(token, keys)
    for name, refusal in _TIMES:
        _require_time(name, claims.get(name), refusal, now)
    if issuer is not None and claims.get("iss") != (issuer or _DEFAULT_ISSUER):
        raise PermissionDenied("invalid issuer (iss) claim")
    audiences = _read_audiences(claims.get("aud"))
    if audience and audience not in audiences:
        raise PermissionDenied("invalid audience (aud) claim: audience claim does not match any expected audience")
    return _read_names(claims, audiences)


def _decode(token: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    if len(token) > limits.JWT_BYTES_MAX:
        raise PermissionDenied
    try:
        if jwt.get_unverified_header(token).get("alg") not in _ALGORITHMS:
            raise PermissionDenied
        if not keys:
            return jwt.decode(token, algorithms=[*_ALGORITHMS], options=_NO_SIGNATURE)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise PermissionDenied from None
    for key in keys:
        try:
            return jwt.decode(token, extract_public_key(key), algorithms=[*_ALGORITHMS], options=_ONLY_SIGNATURE)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            continue
    raise PermissionDenied


def _require_time(name: str, value: Any, refusal: str, now: float) -> None:
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < limits.DURATION_SECONDS_MAX:
        raise PermissionDenied(f"invalid {name} claim")
    late = value + limits.JWT_SKEW_SECONDS < now if name == "exp" else value - limits.JWT_SKEW_SECONDS > now
    if late:
        raise PermissionDenied(f"invalid {name} claim: {refusal}")


def _read_audiences(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(one, str) for one in listed):
        raise PermissionDenied("invalid audience (aud) claim")
    return tuple(listed)


def _read_names(claims: Mapping[str, Any], audiences: tuple[str, ...]) -> Account:
    nested = claims.get("kubernetes.io")
    if isinstance(nested, dict):
        account = nested.get("serviceaccount")
        parts = account if isinstance(account, dict) else {}
        found = (parts.get("name"), nested.get("namespace"), parts.get("uid"), "")
    else:
        found = tuple(claims.get(_FLAT + name, "") for name in ("service-account.name", "namespace", "service-account.uid", "secret.name"))
    if not all(isinstance(part, str) and part.isprintable() and len(part) <= limits.KUBERNETES_NAME_MAX for part in found):
        raise PermissionDenied
    name, namespace, uid, secret_name = map(str, found)
    return Account(name=name, namespace=namespace, uid=uid, secret_name=secret_name, audiences=audiences)
