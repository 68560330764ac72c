"""The `auth/token` backend: its path table, and everything about tokens but creating them."""

from dataclasses import dataclass
from typing import Any

from vault.clock import format_rfc3339_nano
from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.args import STRING, TOKEN, TTL, arg
from vault.logical.backend import Backend, Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.page import Page
from vault.logical.response import Response
from vault.logical.standing import Standing
from vault.logical.token import Token, TokenKind
from vault.modules.auth.methods.token import role as roles
from vault.modules.auth.methods.token.create import Create, CreateArgs, CreateByRoleArgs, Identity, to_auth
from vault.modules.auth.renewal import Renewer
from vault.modules.auth.tokens import Issued, TokenStore
from vault.modules.policy.store import PolicyStore
from vault.revocation import Revoker
from vault.secret import Secret

TIDY_STARTED = "Tidy operation successfully started. Any information from the operation will be printed to Health Vault's server logs."
_TIDY_PAGE = 500
_WAS_NOT_STORED = Secret("")


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenArgs:
    """A token by its id."""

    token: Secret = arg(TOKEN, "The token.", default=_WAS_NOT_STORED, query=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessorArgs:
    """A token by its accessor."""

    accessor: str = arg(STRING, "Accessor of the token.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class IncrementArgs:
    """How long a renewed token should live."""

    increment: int = arg(TTL, "Requested life time from now on.", default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewArgs(TokenArgs):
    """A token by its id, to be renewed."""

    increment: int = arg(TTL, "Requested life time from now on.", default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewAccessorArgs(AccessorArgs):
    """A token by its accessor, to be renewed."""

    increment: int = arg(TTL, "Requested life time from now on.", default=0)


class TokenBackend:
    """Handlers of lookups, renewals and revocations."""

    def __init__(self, tokens: TokenStore, renewer: Renewer, revoker: Revoker, identity: Identity) -> None:
        self._tokens = tokens
        self._identity = identity
        self._renewer = renewer
        self._revoker = revoker

    # -- finding ------------------------------------------------------------------------------------------------------

    def _caller(self, context: SystemContext) -> Token:
        if context.token is None:
            raise PermissionDenied
        return context.token

    def _by_id(self, context: SystemContext, secret: Secret, missing: Exception) -> Token:
        token = self._tokens.find(context.transaction, secret)
        if token is None:
            raise missing
        return token

    def _by_accessor(self, context: SystemContext, accessor: str) -> Token | None:
        if not accessor:
            raise InvalidRequest("1 error occurred:\n\t* missing accessor\n\n")
        return self._tokens.find_accessor(context.transaction, accessor)

    def _require_accessor(self, context: SystemContext, accessor: str) -> Token:
        token = self._by_accessor(context, accessor)
        if token is None:
            raise InvalidRequest("1 error occurred:\n\t* invalid accessor\n\n")
        return token

    # -- lookups ------------------------------------------------------------------------------------------------------

    def lookup(self, context: SystemContext, args: TokenArgs) -> Response:
        """Describe the named token; the caller's own if none is named."""
        if not args.token:
            return self.lookup_self(context, args)
        token = self._by_id(context, args.token, PermissionDenied("bad token"))
        return self._describe(context, token, args.token.reveal())

    def lookup_self(self, context: SystemContext, _: Any) -> Response:
        """Describe the caller's token."""
        own = context.request.token
        return self._describe(context, self._caller(context), own.reveal() if own else "")

    def lookup_accessor(self, context: SystemContext, args: AccessorArgs) -> Response:
        """Describe the token with this accessor, without its id."""
        return self._describe(context, self._require_accessor(context, args.accessor), "")

    def _describe(self, context: SystemContext, token: Token, token_id: str) -> Response:
        return _describe(context, token, token_id, self._find_standing(context, token))

    def _find_standing(self, context: SystemContext, token: Token) -> Standing | None:
        return self._identity.find_standing(context.transaction, token.entity_id) if token.entity_id else None

    def list_accessors(self, context: SystemContext, args: Page) -> Response:
        """List accessors."""
        return Response(data={"keys": list(self._tokens.list_accessors(context.transaction, args.after, args.size))})

    # -- renewals -----------------------------------------------------------------------------------------------------

    def prepare_renew(self, context: SystemContext, args: RenewArgs) -> Any:
        """Do the slow work of renewing the named token."""
        return self._prepare(context, self._tokens.find(context.transaction, args.token) if args.token else None)

    def prepare_renew_self(self, context: SystemContext, _: Any) -> Any:
        """Do the slow work of renewing the caller's token."""
        return self._prepare(context, context.token)

    def prepare_renew_accessor(self, context: SystemContext, args: RenewAccessorArgs) -> Any:
        """Do the slow work of renewing the token with this accessor."""
        return self._prepare(context, self._tokens.find_accessor(context.transaction, args.accessor))

    def _prepare(self, context: SystemContext, token: Token | None) -> Any:
        return None if token is None else self._renewer.prepare(context, token)

    def renew(self, context: SystemContext, args: RenewArgs) -> Response:
        """Renew the named token."""
        if not args.token:
            raise InvalidRequest("missing token ID")
        return self._renew(context, self._by_id(context, args.token, InvalidRequest("token not found")), args.token, args.increment)

    def renew_self(self, context: SystemContext, args: IncrementArgs) -> Response:
        """Renew the caller's token."""
        own = context.request.token or _WAS_NOT_STORED
        return self._renew(context, self._caller(context), own, args.increment)

    def renew_accessor(self, context: SystemContext, args: RenewAccessorArgs) -> Response:
        """Renew the token with this accessor; its id is not told."""
        return self._renew(context, self._require_accessor(context, args.accessor), Secret(""), args.increment)

    def _renew(self, context: SystemContext, token: Token, secret: Secret, increment: int) -> Response:
        if token.role and roles.find_role(context, token.role) is None:
            raise InvalidRequest(f'the role "{token.role}" of this token is gone: it cannot be renewed')
        done = self._renewer.renew(context, token, increment_seconds=increment)
        return Response(
            auth=to_auth(Issued(secret, done.token), self._find_standing(context, token), has_meta=bool(token.meta)), warnings=done.warnings
        )

    # -- revocations --------------------------------------------------------------------------------------------------

    def revoke(self, context: SystemContext, args: TokenArgs) -> None:
        """Revoke the named token and its children; an unknown one is no error."""
        if not args.token:
            raise InvalidRequest("missing token ID")
        self._revoke(context, self._tokens.find(context.transaction, args.token))

    def revoke_self(self, context: SystemContext, _: Any) -> None:
        """Revoke the caller's token and its children."""
        self._revoke(context, self._caller(context))

    def revoke_accessor(self, context: SystemContext, args: AccessorArgs) -> Response | None:
        """Revoke the token with this accessor and its children."""
        token = self._by_accessor(context, args.accessor)
        if token is None:
            return Response(warnings=("No token found with this accessor",))
        self._revoke(context, token)
        return None

    def revoke_orphan(self, context: SystemContext, args: TokenArgs) -> None:
        """Revoke the named token; its children become orphans."""
        if not args.token:
            raise InvalidRequest("missing token ID")
        if not context.acl.is_sudo(context.request.path, context.now):
            raise InvalidRequest("root or sudo privileges required to revoke and orphan")
        token = self._by_id(context, args.token, InvalidRequest("token to revoke not found"))
        _refuse_batch(token)
        self._tokens.mark_revoked(context.transaction, token.key, spares_children=True)
        context.after_commit.append(lambda: self._revoker.revoke_tree(token.key))

    def _revoke(self, context: SystemContext, token: Token | None) -> None:
        if token is None:
            return
        _refuse_batch(token)
        self._tokens.mark_revoked(context.transaction, token.key)
        context.after_commit.append(lambda: self._revoker.revoke_tree(token.key))

    def tidy(self, context: SystemContext, _: Any) -> Response:
        """Remove accessors whose token is gone."""
        context.after_commit.append(self._tidy)
        return Response(warnings=(TIDY_STARTED,), status=202)

    def _tidy(self) -> None:
        self._revoker.tidy_accessors(_TIDY_PAGE)


def _refuse_batch(token: Token) -> None:
    if token.kind is TokenKind.BATCH:
        raise InvalidRequest("batch tokens cannot be revoked")


def _describe(context: SystemContext, token: Token, token_id: str, standing: Standing | None) -> Response:
    expires = token.expires_at
    data: dict[str, Any] = {
        "id": token_id,
        "accessor": token.accessor,
        "policies": list(token.policies),
        "path": token.path,
        "meta": dict(token.meta) or None,
        "display_name": token.display_name,
        "num_uses": token.uses_left or 0,
        "orphan": token.orphan,
        "creation_time": token.creation_time,
        "creation_ttl": token.creation_ttl_seconds,
        "expire_time": None if expires is None else format_rfc3339_nano(int(expires * 1e9)),
        "ttl": 0 if expires is None else max(0, int(expires - context.now)),
        "explicit_max_ttl": token.explicit_max_ttl_seconds,
        "entity_id": token.entity_id,
        "type": token.kind.value,
        "renewable": token.renewable,
        "issue_time": format_rfc3339_nano(token.issued_ns),
    }
    optional = {
        "identity_policies": list(standing.policies) if standing is not None else [],
        "role": token.role,
        "period": token.period_seconds,
        "bound_cidrs": list(token.bound_cidrs),
        "last_renewal_time": token.last_renewal,
        "last_renewal": format_rfc3339_nano(token.last_renewal * 10**9) if token.last_renewal else None,
    }
    return Response(data=data | {name: value for name, value in optional.items() if value})


def build(tokens: TokenStore, policies: PolicyStore, renewer: Renewer, revoker: Revoker, identity: Identity) -> Backend:
    """Return the backend."""
    backend = TokenBackend(tokens, renewer, revoker, identity)
    rows = (*_create_paths(Create(tokens, policies, identity)), *_lookup_paths(backend), *_revoke_paths(backend), *_role_paths())
    return Backend(kind="token", paths=rows, help="The token backend makes, describes, renews and revokes tokens.", system=True)


def _create_paths(create: Create) -> tuple[Path, ...]:
    return (
        path("create", help="Create a child token.", update=Endpoint(handler=create.create, args=CreateArgs)),
        path("create-orphan", help="Create a token without a parent.", update=Endpoint(handler=create.create_orphan, args=CreateArgs)),
        path(
            "create/{role_name}", help="Create a token under a role.", update=Endpoint(handler=create.create_by_role, args=CreateByRoleArgs)
        ),
    )


def _lookup_paths(backend: TokenBackend) -> tuple[Path, ...]:
    return (
        path(
            "lookup",
            help="Describe a token.",
            read=Endpoint(handler=backend.lookup, args=TokenArgs),
            update=Endpoint(handler=backend.lookup, args=TokenArgs),
        ),
        path(
            "lookup-self",
            help="Describe the caller's token.",
            read=Endpoint(handler=backend.lookup_self),
            update=Endpoint(handler=backend.lookup_self),
        ),
        path(
            "lookup-accessor", help="Describe a token by its accessor.", update=Endpoint(handler=backend.lookup_accessor, args=AccessorArgs)
        ),
        path(
            "accessors",
            help="List accessors of all tokens.",
            list=Endpoint(handler=backend.list_accessors, args=Page, sudo=True),
        ),
        *_renew_paths(backend),
    )


def _renew_paths(backend: TokenBackend) -> tuple[Path, ...]:
    return (
        path("renew", help="Renew a token.", update=Endpoint(handler=backend.renew, args=RenewArgs, prepare=backend.prepare_renew)),
        path(
            "renew-self",
            help="Renew the caller's token.",
            update=Endpoint(handler=backend.renew_self, args=IncrementArgs, prepare=backend.prepare_renew_self),
        ),
        path(
            "renew-accessor",
            help="Renew a token by its accessor.",
            update=Endpoint(handler=backend.renew_accessor, args=RenewAccessorArgs, prepare=backend.prepare_renew_accessor),
        ),
    )


def _revoke_paths(backend: TokenBackend) -> tuple[Path, ...]:
    return (
        path("revoke", help="Revoke a token and its children.", update=Endpoint(handler=backend.revoke, args=TokenArgs)),
        path("revoke-self", help="Revoke the caller's token and its children.", update=Endpoint(handler=backend.revoke_self)),
        path(
            "revoke-accessor", help="Revoke a token by its accessor.", update=Endpoint(handler=backend.revoke_accessor, args=AccessorArgs)
        ),
        path("revoke-orphan", help="Revoke a token, not its children.", update=Endpoint(handler=backend.revoke_orphan, args=TokenArgs)),
        path("tidy", help="Remove what dead tokens left behind.", update=Endpoint(handler=backend.tidy)),
    )


def _role_paths() -> tuple[Path, ...]:
    return (
        path("roles", help="List token roles.", list=Endpoint(handler=roles.list_roles)),
        path(
            "roles/{role_name}",
            help="Rules under which tokens are made.",
            exists=roles.role_exists,
            exists_args=roles.RoleName,
            read=Endpoint(handler=roles.read_role, args=roles.RoleName),
            update=Endpoint(handler=roles.write_role, args=roles.WriteRole),
            delete=Endpoint(handler=roles.delete_role, args=roles.RoleName),
        ),
    )
