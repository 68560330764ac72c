"""Who is asking, and may they: token to principal, compiled ACL, sudo. The only place that decides both.

One use of a use-limited token is taken as soon as the token is recognised, whatever is decided afterwards: a denied request
costs a use like an allowed one.
"""

from collections.abc import Callable
from typing import Protocol

import msgspec
from msgspec import structs

from vault.clock import Clock
from vault.errors import DeniedByPolicy, PermissionDenied
from vault.logical.backend import Endpoint
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.standing import Standing
from vault.logical.token import Token, TokenKind
from vault.modules.auth.cidr import is_bound_to
from vault.modules.auth.tokens import TokenStore
from vault.modules.policy.acl import EMPTY_ACL, Acl
from vault.modules.policy.store import PolicyStore
from vault.storage.transaction import Store, Transaction


class Principal(msgspec.Struct, frozen=True, kw_only=True):
    """The caller of one request, and the request as it was allowed (an update may have become a create)."""

    request: Request
    token: Token | None
    acl: Acl
    granting_policies: tuple[str, ...] = ()


Exists = Callable[[Principal], bool]


class Identity(Protocol):
    """What the authority needs of the identity store."""

    def find_standing(self, transaction: Transaction, entity_id: str) -> Standing | None:
        """Return what an entity gives to its tokens now; the same object as long as nothing of it has changed."""


class Authority:
    """Turns a request into a principal, or refuses it."""

    def __init__(self, store: Store, tokens: TokenStore, policies: PolicyStore, identity: Identity, clock: Clock) -> None:
        self._store = store
        self._tokens = tokens
        self._policies = policies
        self._identity = identity
        self._clock = clock

    def identify(self, request: Request, endpoint: Endpoint, reader: Transaction) -> Token | None:
        """Return whose request it is, with one use taken; None only where a path is open to all. Raises PermissionDenied."""
        if endpoint.is_public(request):
            return self._find_caller(request, endpoint, reader)
        try:
            token = self.authenticate(request, reader)
        except PermissionDenied:
            if endpoint.stranger is None:
                raise
            raise endpoint.stranger(request) from None
        if token.uses_left is not None:
            key = token.key
            token = self._store.run(lambda transaction: self._tokens.spend_use(transaction, key))
        return token

    def authorize(self, request: Request, endpoint: Endpoint, token: Token | None, reader: Transaction, exists: Exists | None) -> Principal:
        """Return the principal of a request that may go on; raises PermissionDenied, the same for every cause."""
        acl = EMPTY_ACL if token is None else self.acl(reader, token)
        if endpoint.is_public(request):
            return Principal(request=request, token=token, acl=acl)
        if exists is not None and not exists(Principal(request=request, token=token, acl=acl)):
            request = structs.replace(request, operation=Operation.CREATE)
        return self._decide(request, token, acl, endpoint)

    def authenticate(self, request: Request, reader: Transaction) -> Token:
        """Return the live token of a request; raises PermissionDenied."""
        if request.token is None:
            raise PermissionDenied
        token = self._tokens.find(reader, request.token)
        if token is None or not is_bound_to(token.bound_cidrs, request.remote_address):
            raise PermissionDenied
        self._find_standing(reader, token)
        return token

    def _find_standing(self, reader: Transaction, token: Token) -> Standing | None:
        """Return what the entity of a token gives to it now; raises PermissionDenied where it is gone or disabled."""
        if not token.entity_id:
            return None
        standing = self._identity.find_standing(reader, token.entity_id)
        if standing is None or standing.disabled:
            raise PermissionDenied
        return standing

    def bind(self, transaction: Transaction, token: Token) -> None:
        """Let a transaction commit only while this token is not revoked; raises PermissionDenied."""
        if token.kind is TokenKind.SERVICE:
            self._tokens.bind(transaction, token)

    def acl(self, reader: Transaction, token: Token) -> Acl:
        """Return the compiled policies of a token and of its entity; raises PermissionDenied where that may do nothing."""
        return self._policies.acl(reader, token.policies, self._find_standing(reader, token))

    def _find_caller(self, request: Request, endpoint: Endpoint, reader: Transaction) -> Token | None:
        if endpoint.sealed or request.token is None:
            return None
        try:
            return self.authenticate(request, reader)
        except PermissionDenied:
            return None

    def _decide(self, request: Request, token: Token | None, acl: Acl, endpoint: Endpoint) -> Principal:
        decision = acl.decide(request.operation, request.path, request.data, request.wrap_ttl_seconds, self._clock.now())
        if not decision.allowed or (endpoint.sudo and not decision.sudo):
            raise DeniedByPolicy
        if decision.pagination_limit is not None:  # the page that the policy allows, whatever was asked for
            request = structs.replace(request, data={**request.data, "limit": decision.pagination_limit})
        return Principal(request=request, token=token, acl=acl, granting_policies=decision.granting_policies)
