"""From a recognised caller to a token: identity, policies, life time. The one place where logins make tokens."""

from collections.abc import Callable

from msgspec import structs

from vault.errors import InvalidRequest, PermissionDenied, SecondFactorFailed
from vault.logical.context import SystemContext
from vault.logical.login import Login
from vault.logical.request import SecondFactor
from vault.logical.response import Auth, Response
from vault.logical.standing import Standing
from vault.logical.token import Token, TokenKind
from vault.modules.auth.cidr import is_bound_to
from vault.modules.auth.parameters import choose_kind
from vault.modules.auth.tokens import Issued, TokenStore
from vault.modules.auth.ttl import Grant, grant_ttl
from vault.modules.identity.mfa.check import Runner, SecondFactors
from vault.modules.identity.mfa.pending import Pending, PendingLogins
from vault.modules.identity.mfa.table import Enforcement
from vault.modules.identity.store import IdentityStore
from vault.modules.policy.name import DEFAULT, ROOT, parse_policy_names
from vault.mounts import Mounts
from vault.secret import Secret
from vault.storage.transaction import Transaction
from vault.wrapping import Wrapping

_NO_TOKEN = Auth(
    client_token=Secret(""), accessor="", policies=(), token_policies=(), lease_duration_seconds=0, renewable=False, orphan=False
)
_NOT_NEEDED = "Found MFA header but failed to find MFA Enforcement Config"
_UNFINISHED = (
    "A login request was issued that is subject to MFA validation. Please make sure to validate the login by sending another request to "
    "mfa/validate endpoint."
)


class Logins:
    """Completes logins within their transaction."""

    def __init__(self, tokens: TokenStore, identity: IdentityStore, mounts: Mounts, wrapping: Wrapping, store: Runner) -> None:
        self._tokens = tokens
        self._identity = identity
        self._mounts = mounts
        self._wrapping = wrapping
        self._factors = SecondFactors(store)
        self._pending = PendingLogins(tokens.hash_id)

    def complete(self, context: SystemContext, login: Login, response: Response) -> Response:
        """Return the answer with a token in place of the login, or with what is still asked for one.

        Raises PermissionDenied for those who may not have one.
        """
        _require_address(context, login)
        self._mounts.hold(context.transaction, context.mount)
        standing = self._identity.recognise(context.transaction, context.mount, login) if login.alias else None
        enforcements = self._list_enforcements(context, standing)
        if standing is not None and enforcements:
            if not context.request.second_factors:
                return self._postpone(context, login, standing, enforcements, response)
            try:
                self._factors.require(context, standing.entity_id, enforcements, context.request.second_factors)
            except SecondFactorFailed:
                raise PermissionDenied from None
        elif context.request.second_factors:
            response = structs.replace(response, warnings=(*response.warnings, _NOT_NEEDED))
        return self._issue(context, login, standing, response)

    def finish(self, context: SystemContext, request_id: str, factors: tuple[SecondFactor, ...]) -> Response:
        """Return the token of a login that waited for its second factor, as the login would have: what holds now decides."""
        pending = self._pending.take(context.transaction, request_id, context.now)
        mount = next((row for row in self._mounts.table(context.transaction).mounts if row.uuid == pending.mount_uuid), None)
        standing = self._identity.find_standing(context.transaction, pending.entity_id)
        if mount is None or mount.tainted or not pending.path.startswith(mount.path) or standing is None:
            raise PermissionDenied
        wrap = context.request.wrap_ttl_seconds or pending.wrap_ttl_seconds
        request = structs.replace(context.request, path=pending.path, wrap_ttl_seconds=wrap)
        inner = structs.replace(context, request=request, mount=mount)
        _require_address(inner, pending.login)
        self._mounts.hold(inner.transaction, mount)
        if pending.login.session and _find_stamp(inner, pending.login.session) != pending.stamp:
            raise PermissionDenied  # what was shown at the login is good no more
        self._factors.require(inner, standing.entity_id, self._list_enforcements(inner, standing), factors)
        response = self._issue(inner, pending.login, standing, Response())
        return self._wrapping.wrap(inner.transaction, response, request) if wrap else response

    def tidy(self, run: Callable[[Callable[[Transaction], bool]], bool], now: Callable[[], float]) -> None:
        """Forget the logins that nobody has finished in time."""
        while run(lambda transaction: self._pending.tidy(transaction, now())):
            pass

    def _list_enforcements(self, context: SystemContext, standing: Standing | None) -> tuple[Enforcement, ...]:
        """Return what a login has to satisfy; raises PermissionDenied for those who never can, whatever they bring."""
        if standing is not None and standing.disabled:
            raise PermissionDenied
        enforcements = self._factors.list_enforcements(context.transaction, context.mount, standing)
        if enforcements and standing is None:  # nobody's secret could be asked for
            raise PermissionDenied
        return enforcements

    def _postpone(
        self, context: SystemContext, login: Login, standing: Standing, enforcements: tuple[Enforcement, ...], response: Response
    ) -> Response:
        pending = Pending(
            entity_id=standing.entity_id,
            mount_uuid=context.mount.uuid,
            path=context.request.path,
            login=login,
            stamp=_find_stamp(context, login.session) if login.session else "",
            wrap_ttl_seconds=context.request.wrap_ttl_seconds,
        )
        requirement = {
            "mfa_request_id": self._pending.put(context.transaction, pending, context.now),
            "mfa_constraints": self._factors.describe(context.transaction, enforcements),
        }
        return structs.replace(
            response, login=None, auth=structs.replace(_NO_TOKEN, mfa_requirement=requirement), warnings=(*response.warnings, _UNFINISHED)
        )

    def _issue(self, context: SystemContext, login: Login, standing: Standing | None, response: Response) -> Response:
        token, grant = _draft(context, login, standing)
        if login.session:
            token = _bind(context, login.session, token)
        issued = self._tokens.create(context.transaction, token)
        return structs.replace(response, login=None, auth=to_auth(issued, standing, login), warnings=(*response.warnings, *grant.warnings))


def _require_address(context: SystemContext, login: Login) -> None:
    if not is_bound_to(login.parameters.token_bound_cidrs, context.request.remote_address):
        raise PermissionDenied


def _draft(context: SystemContext, login: Login, standing: Standing | None) -> tuple[Token, Grant]:
    """Return the token to be made, and what its holder is told about its time."""
    parameters = login.parameters
    kind = TokenKind(choose_kind(parameters, context.mount.config.token_type))
    is_service = kind is TokenKind.SERVICE
    period = parameters.token_period if is_service else 0
    grant = grant_ttl(
        context.mount,
        requested_seconds=parameters.token_ttl,
        max_seconds=parameters.token_max_ttl,
        period_seconds=period,
        explicit_max_seconds=parameters.token_explicit_max_ttl,
    )
    if grant.ttl_seconds <= 0:  # no time at all must never be read as no end
        raise InvalidRequest("the effective max_ttl leaves no time to live")
    address = context.request.remote_address
    token = Token(
        key="",
        kind=kind,
        policies=_choose_policies(login),
        path=context.request.path,
        display_name=name_display(context.mount.path, login.display_name),
        meta=dict(login.metadata),
        entity_id="" if standing is None else standing.entity_id,
        creation_time=context.now_ns // 10**9,
        issued_ns=context.now_ns,
        creation_ttl_seconds=grant.ttl_seconds,
        ttl_seconds=grant.ttl_seconds,
        explicit_max_ttl_seconds=parameters.token_explicit_max_ttl,
        period_seconds=period,
        expires_at=context.now + grant.ttl_seconds,
        renewable=is_service,
        uses_left=(parameters.token_num_uses or None) if is_service else None,
        bound_cidrs=(address,) if parameters.token_strictly_bind_ip else parameters.token_bound_cidrs,
        memory=dict(login.memory) if is_service else {},
        login_role=login.role,
    )
    return token, grant


def _bind(context: SystemContext, session: str, token: Token) -> Token:
    """Return a token that is good as long as a row of its mount stays as it is."""
    return structs.replace(token, session=context.mount.storage_prefix + session, stamp=_find_stamp(context, session))


def _find_stamp(context: SystemContext, session: str) -> str:
    """Return what a session's row says now; raises PermissionDenied where it has ended."""
    entry = context.transaction.get(context.mount.storage_prefix + session)
    if entry is None:
        raise PermissionDenied
    return entry.value.decode()


def _choose_policies(login: Login) -> tuple[str, ...]:
    names = {*parse_policy_names((*login.parameters.token_policies, *login.policies))}
    if ROOT in names:
        raise InvalidRequest("auth methods cannot create root tokens")
    return tuple(sorted(names if login.parameters.token_no_default_policy else names | {DEFAULT}))


def name_display(mount_path: str, name: str) -> str:
    """Return the display name of a token: its mount's, then the caller's."""
    return f"{mount_path.removeprefix('auth/').strip('/').replace('/', '-')}-{name}".rstrip("-")


def to_auth(issued: Issued, standing: Standing | None, login: Login) -> Auth:
    """Return a new token as it is handed to its holder."""
    token = issued.token
    own = () if standing is None else standing.policies
    return Auth(
        client_token=issued.id,
        accessor=token.accessor,
        policies=tuple(sorted({*token.policies, *own})),
        token_policies=token.policies,
        identity_policies=own,
        metadata=login.metadata,
        lease_duration_seconds=token.ttl_seconds,
        renewable=token.renewable,
        entity_id=token.entity_id,
        token_type=token.kind.value,
        orphan=True,
        num_uses=token.uses_left or 0,
        display_name=token.display_name,
    )
