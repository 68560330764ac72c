"""The claims of a token: those of the service, and what templates add to them."""

from collections.abc import Iterable, Mapping
from typing import Any

from vault.logical import json

REALM = "root"


def make_payload(*, issuer: str, subject: str, audience: str, now: float, ttl_seconds: int, more: Iterable[Mapping[str, Any]]) -> bytes:
    """Return the claims of a token as JSON; nothing of `more` takes the place of what is said before it."""
    issued_at = int(now)
    claims: dict[str, Any] = {
        "iss": issuer,
        "namespace": REALM,
        "sub": subject,
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + ttl_seconds,
    }
    for added in more:
        claims = {**added, **claims}
    return json.encode(claims)
