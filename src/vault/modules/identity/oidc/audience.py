"""Who may sign in to a client, and what a client is told of them."""

from collections.abc import Iterable, Mapping
from typing import Any

import structlog

from vault.errors import InvalidRequest
from vault.modules.identity.oidc.oauth import INVALID_REQUEST, Refused
from vault.modules.identity.oidc.person import Person
from vault.modules.identity.oidc.rows import ALLOW_ALL, ASSIGNMENTS, SCOPES, Client, Provider
from vault.modules.identity.oidc.template import read_claims
from vault.storage.view import View

OPENID = "openid"

_log = structlog.get_logger(__name__)


def is_assigned(storage: View, client: Client, person: Person) -> bool:
    """Return whether an entity may sign in to a client: it is not disabled, and an assignment names it or one of its groups."""
    if person.disabled:
        return False
    groups = frozenset(person.group_ids)
    for name in client.assignments:
        row = ASSIGNMENTS.find(storage, name)
        if row is not None and (name == ALLOW_ALL or person.id in row.entity_ids or not groups.isdisjoint(row.group_ids)):
            return True
    return False


def require_scopes(scope: str, provider: Provider) -> tuple[str, ...]:
    """Return the scopes that are asked for and known; raises Refused where it is not OpenID Connect that is asked for."""
    wanted = tuple(dict.fromkeys(scope.split(" ")))
    if OPENID not in wanted:
        raise Refused(INVALID_REQUEST, f'scope parameter must contain the "{OPENID}" value')
    return list_supported(wanted, provider)


def list_supported(scopes: Iterable[str], provider: Provider) -> tuple[str, ...]:
    """Return the scopes that a provider knows."""
    return tuple(name for name in scopes if name == OPENID or name in provider.scopes_supported)


def read_scope_claims(storage: View, scopes: Iterable[str], person: Person | None, now: float) -> Mapping[str, Any]:
    """Return what scopes claim of somebody; raises Refused where two of them claim the same."""
    claimed: dict[str, tuple[str, Any]] = {}
    for name in scopes:
        scope = SCOPES.find(storage, name)
        if scope is None:
            continue
        try:
            claims = read_claims(scope.template, person, now)
        except InvalidRequest:  # it tells of entities, and this is about none
            _log.warning("a scope has no claims here", scope=name)
            continue
        for claim, value in claims.items():
            if claim in claimed:
                others = f'claim "{claim}" in scopes "{name}", "{claimed[claim][0]}"'
                raise Refused(INVALID_REQUEST, f"found scopes with conflicting top-level claim: {others}")
            claimed[claim] = (name, value)
    return {claim: value for claim, (_, value) in claimed.items()}
