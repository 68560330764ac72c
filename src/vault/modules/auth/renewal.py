"""Renewing a token: the same rules whether it is named by id, accessor or lease."""

from dataclasses import dataclass, replace

from vault.errors import InvalidRequest
from vault.logical.mount import Mount
from vault.logical.token import Token, TokenKind
from vault.modules.auth.tokens import TokenStore
from vault.modules.auth.ttl import grant_ttl
from vault.storage.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """A token with its new expiry, and what the caller is told."""

    token: Token
    ttl_seconds: int
    warnings: tuple[str, ...]


def renew(tokens: TokenStore, transaction: Transaction, token: Token, *, increment_seconds: int, mount: Mount, now: float) -> Renewed:
    """Store and return the token with a new expiry, counted from now; raises InvalidRequest when it may not be renewed.

    `mount` is the mount that made the token: its maximum holds for the token's whole life.
    """
    if token.kind is TokenKind.BATCH:
        raise InvalidRequest("batch tokens cannot be renewed")
    # As stored now: what the caller holds may be older than a revocation, another renewal or a use.
    current = tokens.find_key(transaction, token.key)
    if current is None:
        raise InvalidRequest("token not found")
    token = current
    if not token.renewable or token.expires_at is None:
        raise InvalidRequest("lease is not renewable")
    grant = grant_ttl(
        mount,
        requested_seconds=increment_seconds or token.ttl_seconds,
        period_seconds=token.period_seconds,
        explicit_max_seconds=token.explicit_max_ttl_seconds,
        age_seconds=max(0, int(now) - token.creation_time),
    )
    if grant.ttl_seconds <= 0:
        raise InvalidRequest("past the max TTL, cannot renew")
    expires_at = min(now + grant.ttl_seconds, *_bounds(token, mount))
    renewed = replace(token, expires_at=expires_at, ttl_seconds=grant.ttl_seconds, last_renewal=int(now))
    tokens.update(transaction, renewed)
    return Renewed(token=renewed, ttl_seconds=grant.ttl_seconds, warnings=grant.warnings)


def _bounds(token: Token, mount: Mount) -> tuple[float, ...]:
    """Return the exact ends of the token's life; the whole seconds of a grant may reach a fraction beyond them."""
    explicit = token.explicit_max_ttl_seconds
    longest = (*((explicit,) if explicit else ()), *(() if token.period_seconds else (mount.max_lease_seconds,)))
    return tuple(token.issued_ns / 1e9 + seconds for seconds in longest) or (float("inf"),)
