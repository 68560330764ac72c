"""Who is asking, and may they: token to principal, compiled ACL, sudo. The only place that decides both.

One use of a use-limited token is taken as soon as the token is recognised, whatever is decided afterwards: a denied request
costs a use like an allowed one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

from vault.clock import Clock
from vault.errors import DeniedByPolicy, PermissionDenied
from vault.logical.backend import Endpoint
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.token import Token
from vault.modules.auth.cidr import is_bound_to
from vault.modules.auth.tokens import TokenStore
from vault.modules.policy.acl import EMPTY_ACL, Acl
from vault.modules.policy.store import PolicyStore
from vault.storage.transaction import Store, Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The caller of one request, and the request as it was allowed (an update may have become a create)."""

    request: Request
    token: Token | None
    acl: Acl
    granting_policies: tuple[str, ...] = ()

    @property
    def spent(self) -> bool:
        """Return whether this request was the token's last."""
        return self.token is not None and self.token.uses_left == 0

    @property
    def token_key(self) -> str:
        """Return the key of the token; empty without one."""
        return self.token.key if self.token is not None else ""


Exists = Callable[[Principal], bool]


class Authority:
    """Turns a request into a principal, or refuses it."""

    def __init__(self, store: Store, tokens: TokenStore, policies: PolicyStore, clock: Clock) -> None:
        self._store = store
        self._tokens = tokens
        self._policies = policies
        self._clock = clock

    def admit(self, request: Request, endpoint: Endpoint, reader: Transaction, exists: Exists | None) -> Principal:
        """Return the principal of a request that may go on; raises PermissionDenied, the same for every cause."""
        if endpoint.public:
            return self._admit_anyone(request, endpoint, reader)
        try:
            token = self.authenticate(request, reader)
        except PermissionDenied:
            if endpoint.stranger is None:
                raise
            raise endpoint.stranger(request) from None
        if token.uses_left is not None:
            key = token.key
            token = self._store.run(lambda transaction: self._tokens.spend_use(transaction, self._require_row(transaction, key)))
        acl = self.acl(reader, token)
        if exists is not None and not exists(Principal(request=request, token=token, acl=acl)):
            request = replace(request, operation=Operation.CREATE)
        return self._authorize(request, token, acl, endpoint)

    def authenticate(self, request: Request, reader: Transaction) -> Token:
        """Return the live token of a request; raises PermissionDenied."""
        if request.token is None:
            raise PermissionDenied
        token = self._tokens.find(reader, request.token)
        if token is None or not is_bound_to(token.bound_cidrs, request.remote_address):
            raise PermissionDenied
        return token

    def acl(self, reader: Transaction, token: Token) -> Acl:
        """Return the compiled policies of a token."""
        return self._policies.acl(reader, token.policies)

    def _admit_anyone(self, request: Request, endpoint: Endpoint, reader: Transaction) -> Principal:
        anonymous = Principal(request=request, token=None, acl=EMPTY_ACL)
        if endpoint.sealed or request.token is None:
            return anonymous
        try:
            token = self.authenticate(request, reader)
        except PermissionDenied:
            return anonymous
        return Principal(request=request, token=token, acl=self.acl(reader, token))

    def _authorize(self, request: Request, token: Token, acl: Acl, endpoint: Endpoint) -> Principal:
        decision = acl.decide(request.operation, request.path, request.data, request.wrap_ttl_seconds, self._clock.now())
        if not decision.allowed or (endpoint.sudo and not decision.sudo):
            raise DeniedByPolicy
        if decision.pagination_limit is not None:  # the page that the policy allows, whatever was asked for
            request = replace(request, data={**request.data, "limit": decision.pagination_limit})
        return Principal(request=request, token=token, acl=acl, granting_policies=decision.granting_policies)

    def _require_row(self, transaction: Transaction, key: str) -> Token:
        token = self._tokens.find_key(transaction, key)
        if token is None:
            raise PermissionDenied
        return token
