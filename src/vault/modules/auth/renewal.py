"""Renewing a token: the same rules whether it is named by id, accessor or lease.

The auth method that made the token is asked again: what its user or role says now decides, and where they are gone, nothing is renewed.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from msgspec import structs

from vault.errors import InvalidRequest
from vault.logical.context import Context, SystemContext
from vault.logical.login import Login
from vault.logical.mount import Mount
from vault.logical.token import Token, TokenKind
from vault.modules.auth.tokens import TokenStore
from vault.modules.auth.ttl import grant_ttl
from vault.modules.policy.name import DEFAULT, parse_policy_names
from vault.mounts import Mounts
from vault.storage.transaction import Transaction
from vault.storage.view import View

POLICIES_CHANGED = "policies have changed, not renewing"


class Groups(Protocol):
    """What a renewal needs of the identity store."""

    def follow_groups(self, transaction: Transaction, mount: Mount, entity_id: str, groups: tuple[str, ...]) -> None:
        """Make the external groups that an entity is in through a mount those with these names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewed:
    """A token with its new expiry, and what the caller is told."""

    token: Token
    ttl_seconds: int
    warnings: tuple[str, ...]


def require_same_policies(login: Login, token: Token) -> None:
    """Refuse a renewal where the policies that a login would get now are not those of the token; raises InvalidRequest."""
    now = {*parse_policy_names((*login.parameters.token_policies, *login.policies))} - {DEFAULT}
    if now != {*token.policies} - {DEFAULT}:
        raise InvalidRequest(POLICIES_CHANGED)


class Renewer:
    """Renews tokens within a transaction."""

    def __init__(self, tokens: TokenStore, mounts: Mounts, groups: Groups) -> None:
        self._tokens = tokens
        self._mounts = mounts
        self._groups = groups

    def prepare(self, context: SystemContext, token: Token) -> Any:
        """Do the slow work that the token's auth method has to do, before the transaction."""
        mount = self._find_mount(context, token)
        ask = None if mount is None else self._mounts.registry.find(mount).prepare_renewal
        return None if ask is None or mount is None else ask(_enter(context, mount), token)

    def renew(self, context: SystemContext, token: Token, *, increment_seconds: int) -> Renewed:
        """Store and return the token with a new expiry, counted from now; raises InvalidRequest when it may not be renewed.

        The maximum of the mount that made the token holds for the token's whole life.
        """
        if token.kind is TokenKind.BATCH:
            raise InvalidRequest("batch tokens cannot be renewed")
        # As stored now: what the caller holds may be older than a revocation, another renewal or a use.
        current = self._tokens.find_key(context.transaction, token.key)
        if current is None:
            raise InvalidRequest("token not found")
        token = current
        if not token.renewable or token.expires_at is None:
            raise InvalidRequest("lease is not renewable")
        mount = self._find_mount(context, token)
        if mount is None:  # nobody can be asked whether its holder is still there
            raise InvalidRequest("the auth method of the token is gone, not renewing")
        login = self._ask(context, mount, token)
        max_seconds = 0 if login is None else login.parameters.token_max_ttl
        if login is not None:
            # As it would be made now: with the times of its user or role.
            token = structs.replace(token, period_seconds=login.parameters.token_period)
        grant = grant_ttl(
            mount,
            requested_seconds=increment_seconds or (token.ttl_seconds if login is None else login.parameters.token_ttl),
            max_seconds=max_seconds,
            period_seconds=token.period_seconds,
            explicit_max_seconds=token.explicit_max_ttl_seconds,
            age_seconds=max(0, int(context.now) - token.creation_time),
        )
        if grant.ttl_seconds <= 0:
            raise InvalidRequest("past the max TTL, cannot renew")
        expires_at = min(context.now + grant.ttl_seconds, *_bounds(token, mount, max_seconds))
        renewed = structs.replace(token, expires_at=expires_at, ttl_seconds=grant.ttl_seconds, last_renewal=int(context.now))
        self._tokens.update(context.transaction, renewed)
        return Renewed(token=renewed, ttl_seconds=grant.ttl_seconds, warnings=grant.warnings)

    def _find_mount(self, context: SystemContext, token: Token) -> Mount | None:
        return self._mounts.table(context.transaction).router.find(token.path)

    def _ask(self, context: SystemContext, mount: Mount, token: Token) -> Login | None:
        ask = self._mounts.registry.find(mount).renew
        if ask is None:
            return None
        login = ask(_enter(context, mount), token)
        if token.entity_id and not login.keeps_groups:
            self._groups.follow_groups(context.transaction, mount, token.entity_id, login.groups)
        return login


def _enter(context: SystemContext, mount: Mount) -> Context:
    """Return the call as the auth method sees it: its own mount's storage, nothing else."""
    return Context(
        request=context.request,
        mount=mount,
        path="",
        storage=View(context.transaction, mount.storage_prefix),
        token=context.token,
        now=context.now,
        now_ns=context.now_ns,
        prepared=context.prepared,
    )


def _bounds(token: Token, mount: Mount, max_seconds: int) -> tuple[float, ...]:
    """Return the exact ends of the token's life; the whole seconds of a grant may reach a fraction beyond them."""
    lengths = [token.explicit_max_ttl_seconds, *((max_seconds, mount.max_lease_seconds) if not token.period_seconds else ())]
    return tuple(token.issued_ns / 1e9 + seconds for seconds in lengths if seconds) or (float("inf"),)
