"""Signed tokens: taken apart strictly, verified by PyJWT. Keys come from the configuration, never from the token.

What a token says of its own keys (jwk, jku, x5u, x5c) is not even read; its key id only chooses among known keys. Its algorithm must be
one that the mount takes and that fits the key, so no public key is ever used as a shared secret.
"""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jwt import PyJWS
from jwt.exceptions import PyJWTError

from vault import limits
from vault.crypto.public_key import ALGORITHMS
from vault.errors import InvalidRequest
from vault.logical import json
from vault.modules.auth.methods.jwt.key import Key
from vault.modules.auth.outbound import Unreachable

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_UNVERIFIED = "error verifying token signature: "
_JWS = PyJWS(algorithms=sorted(ALGORITHMS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a token says, and how it was signed."""

    claims: dict[str, Any]
    algorithm: str


def verify(token: str, list_keys: Callable[[str], tuple[Key, ...]], algorithms: frozenset[str]) -> Verified:
    """Return what a token says; raises InvalidRequest, which repeats nothing of it. `list_keys` gets the key id that it names."""
    if len(token) > limits.JWT_BYTES_MAX:
        raise InvalidRequest(f"{_UNVERIFIED}the token is too large")
    if not _COMPACT.fullmatch(token):
        raise InvalidRequest(f"{_UNVERIFIED}compact JWS format must have three parts")
    header = _decode(token.partition(".")[0])
    algorithm, key_id = header.get("alg"), header.get("kid", "")
    if "crit" in header or "b64" in header:
        raise InvalidRequest(f"{_UNVERIFIED}the token has extensions that are not supported")
    if not isinstance(key_id, str):
        raise InvalidRequest(f"{_UNVERIFIED}the key id is not a string")
    if not isinstance(algorithm, str) or algorithm not in algorithms & ALGORITHMS:
        raise InvalidRequest(f"{_UNVERIFIED}token signed with unexpected algorithm")
    try:
        keys = list_keys(key_id)
    except Unreachable as failure:
        raise InvalidRequest(f"{_UNVERIFIED}the keys are not available: {failure}") from None
    if not any(_has_signed(key, token, algorithm) for key in keys if key.fits(key_id, algorithm)):
        raise InvalidRequest(f"{_UNVERIFIED}no known key successfully validated the token signature")
    return Verified(claims=_decode(token.split(".")[1]), algorithm=algorithm)


def _has_signed(key: Key, token: str, algorithm: str) -> bool:
    try:
        _JWS.decode_complete(token, key.key, algorithms=[algorithm])
    except (PyJWTError, ValueError, TypeError):
        return False
    return True


def _decode(segment: str) -> dict[str, Any]:
    """Return the object of one part of a token: read once and strictly, so that doubled names mean nothing to anybody."""
    try:
        value = json.decode(base64.b64decode(segment + "=" * (-len(segment) % 4), altchars=b"-_", validate=True))
    except (InvalidRequest, binascii.Error, ValueError):
        raise InvalidRequest(f"{_UNVERIFIED}a part of the token is not strict JSON") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"{_UNVERIFIED}a part of the token is not an object")
    return value


def has_hashed(verified: Verified, access_token: str) -> bool:
    """Return whether the `at_hash` of an ID token is that of an access token; one that has none says nothing against it."""
    expected = verified.claims.get("at_hash")
    if expected is None:
        return True
    digest = _JWS.get_algorithm_by_name(verified.algorithm).compute_hash_digest(access_token.encode())
    return bool(expected == base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode())


def choose_algorithms(names: tuple[str, ...], default: frozenset[str]) -> frozenset[str]:
    """Return the algorithms that a mount takes."""
    return frozenset(names) or default
