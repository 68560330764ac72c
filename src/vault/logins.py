"""From a recognised caller to a token: identity, policies, life time. The one place where logins make tokens."""

from dataclasses import replace

from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.context import SystemContext
from vault.logical.login import Login
from vault.logical.response import Auth, Response
from vault.logical.standing import Standing
from vault.logical.token import Token, TokenKind
from vault.modules.auth.cidr import is_bound_to
from vault.modules.auth.parameters import choose_kind
from vault.modules.auth.tokens import Issued, TokenStore
from vault.modules.auth.ttl import Grant, grant_ttl
from vault.modules.identity.store import IdentityStore
from vault.modules.policy.name import DEFAULT, ROOT, parse_policy_names


class Logins:
    """Completes logins within their transaction."""

    def __init__(self, tokens: TokenStore, identity: IdentityStore) -> None:
        self._tokens = tokens
        self._identity = identity

    def complete(self, context: SystemContext, login: Login, response: Response) -> Response:
        """Return the answer with a token in place of the login; raises PermissionDenied for those who may not have one."""
        parameters = login.parameters
        if not is_bound_to(parameters.token_bound_cidrs, context.request.remote_address):
            raise PermissionDenied
        standing = self._identity.recognise(context.transaction, context.mount, login) if login.alias else None
        if standing is not None and standing.disabled:
            raise PermissionDenied
        token, grant = _draft(context, login, standing)
        if login.session:
            token = _bind(context, login.session, token)
        issued = self._tokens.create(context.transaction, token)
        return replace(response, login=None, auth=to_auth(issued, standing, login), warnings=(*response.warnings, *grant.warnings))


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
    )
    return token, grant


def _bind(context: SystemContext, session: str, token: Token) -> Token:
    """Return a token that is good as long as a row of its mount stays as it is."""
    place = context.mount.storage_prefix + session
    entry = context.transaction.get(place)
    if entry is None:
        raise PermissionDenied
    return replace(token, session=place, stamp=entry.value.decode())


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
