"""Creating tokens: what a caller may ask for, what a role decides, and how long the result lives."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.args import BOOL, DURATION, INT, LIST, PAIRS, STRING, Kind, arg, parse_list, parse_string
from vault.logical.context import SystemContext
from vault.logical.login import Login
from vault.logical.mount import Mount
from vault.logical.response import Auth, Response
from vault.logical.standing import Standing
from vault.logical.token import Token, TokenKind
from vault.modules.auth.methods.token.role import Role, find_role, with_default
from vault.modules.auth.tokens import Issued, TokenStore
from vault.modules.auth.ttl import Grant, grant_ttl
from vault.modules.policy.name import DEFAULT, ROOT, parse_policy_names
from vault.modules.policy.store import PolicyStore
from vault.storage.transaction import Transaction


def _parse_policies(value: Any) -> tuple[str, ...]:
    # Blank names stay until the choice is made: a list of them asks for no policy, which is not the same as asking for nothing.
    return tuple(parse_string(name) for name in value) if isinstance(value, list) else parse_list(value)


POLICIES: Kind[tuple[str, ...]] = Kind(LIST.name, LIST.schema, _parse_policies)


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateArgs:
    """What a caller may ask of a new token. Times are seconds."""

    id: str = arg(STRING, "Id of the token; needs sudo.", default="")
    policies: tuple[str, ...] | None = arg(POLICIES, "Policies; all of the caller's if absent.", default=None)
    meta: Any = arg(PAIRS, "String pairs that go into the audit log.", default=None)
    no_parent: bool = arg(BOOL, "Make an orphan; needs sudo.", default=False)
    no_default_policy: bool = arg(BOOL, "Do not add the default policy.", default=False)
    renewable: bool = arg(BOOL, "Whether the token can be renewed.", default=True)
    ttl: int = arg(DURATION, "Life time.", default=0)
    lease: int = arg(DURATION, "Older name of ttl.", default=0)
    type: str = arg(STRING, "service or batch.", default="")
    explicit_max_ttl: int = arg(DURATION, "Longest life time, renewals included.", default=0)
    display_name: str = arg(STRING, "Name shown in lookups and in the audit log.", default="")
    num_uses: int = arg(INT, "How many requests the token is good for; 0: unlimited.", default=0)
    period: int = arg(DURATION, "Makes the token periodic; needs sudo.", default=0)
    entity_alias: str = arg(STRING, "Entity alias; only with a role that allows it.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateByRoleArgs(CreateArgs):
    """The same, under a role."""

    role_name: str = arg(STRING, "Name of the role.")


class Identity(Protocol):
    """What a token with an alias needs of the identity store."""

    def recognise(self, transaction: Transaction, mount: Mount, login: Login) -> Standing:
        """Return the standing of whoever logs in."""

    def find_standing(self, transaction: Transaction, entity_id: str) -> Standing | None:
        """Return what an entity gives to its tokens now."""


class Create:
    """The three create endpoints: they differ in role and parent only."""

    def __init__(self, tokens: TokenStore, policies: PolicyStore, identity: Identity) -> None:
        self._identity = identity
        self._tokens = tokens
        self._policies = policies

    def create(self, context: SystemContext, args: CreateArgs) -> Response:
        """Create a child of the caller, or an orphan where asked for and allowed."""
        return self._create(context, args, None, orphan=args.no_parent)

    def create_orphan(self, context: SystemContext, args: CreateArgs) -> Response:
        """Create a token without a parent."""
        return self._create(context, args, None, orphan=True)

    def create_by_role(self, context: SystemContext, args: CreateByRoleArgs) -> Response:
        """Create a token under a role."""
        role = find_role(context, args.role_name)
        if role is None:
            raise InvalidRequest(f"unknown role {args.role_name}")
        return self._create(context, args, role, orphan=role.orphan)

    def _create(self, context: SystemContext, args: CreateArgs, role: Role | None, *, orphan: bool) -> Response:
        caller = _require_parent(context.token)
        sudo = context.acl.is_sudo(context.request.path, context.now)
        kind = _choose_kind(args, role)
        _check_numbers(args)
        _check_sudo(args, sudo=sudo, under_role=role is not None)
        _check_id(args.id)
        alias = _require_alias(args, role)
        names = _choose_policies(args, role, caller, sudo=sudo)
        if kind is TokenKind.BATCH:
            _check_batch(args, role, names)
        period = _least(args.period, role.token_period if role else 0) if kind is TokenKind.SERVICE else 0
        explicit_max = _least(args.explicit_max_ttl, role.token_explicit_max_ttl if role else 0)
        grant = _choose_ttl(context, args, caller, names, period_seconds=period, explicit_max_seconds=explicit_max)
        expires = grant.ttl_seconds > 0
        token = Token(
            key="",
            kind=kind,
            policies=names,
            path=_choose_path(context, role),
            display_name=_display_name(args.display_name),
            meta=args.meta if args.meta is not None else {},
            entity_id=self._find_entity(context, alias) if alias else "" if orphan else caller.entity_id,
            parent="" if orphan else caller.key,
            session="" if orphan else caller.session,
            stamp="" if orphan else caller.stamp,
            role=role.name if role else "",
            creation_time=context.now_ns // 10**9,
            issued_ns=context.now_ns,
            creation_ttl_seconds=grant.ttl_seconds,
            ttl_seconds=grant.ttl_seconds,
            explicit_max_ttl_seconds=explicit_max,
            period_seconds=period,
            expires_at=context.now + grant.ttl_seconds if expires else None,
            renewable=expires and args.renewable and (role is None or role.renewable) and kind is TokenKind.SERVICE,
            uses_left=_least(args.num_uses, role.token_num_uses if role else 0) or None,
            bound_cidrs=(role.token_bound_cidrs if role else ()) or caller.bound_cidrs,
        )
        issued = self._tokens.create(context.transaction, token, token_id=args.id if kind is TokenKind.SERVICE else "")
        warnings = (*grant.warnings, *self._name_missing(context, names))
        standing = self._identity.find_standing(context.transaction, token.entity_id) if token.entity_id else None
        return Response(auth=to_auth(issued, standing, has_meta=args.meta is not None), warnings=warnings)

    def _find_entity(self, context: SystemContext, alias: str) -> str:
        """Return whose token it is; the first token of an alias makes its entity."""
        standing = self._identity.recognise(context.transaction, context.mount, Login(alias=alias))
        if standing.disabled:
            raise PermissionDenied
        return standing.entity_id

    def _name_missing(self, context: SystemContext, names: tuple[str, ...]) -> Iterator[str]:
        for name in names:
            if name != ROOT and self._policies.find(context.transaction, name) is None:
                yield f'Policy "{name}" does not exist'


def _require_parent(caller: Token | None) -> Token:
    if caller is None or caller.kind is TokenKind.BATCH:
        raise InvalidRequest("batch tokens cannot create more tokens")
    if caller.uses_left is not None:
        raise InvalidRequest("restricted use token cannot generate child tokens")
    return caller


def to_auth(issued: Issued, standing: Standing | None, *, has_meta: bool = True) -> Auth:
    """Return a token as it is handed to its holder; `standing` is what its entity gives to it."""
    token = issued.token
    own = () if standing is None else standing.policies
    return Auth(
        client_token=issued.id,
        accessor=token.accessor,
        policies=tuple(sorted({*token.policies, *own})),
        token_policies=token.policies,
        identity_policies=own,
        metadata=token.meta if has_meta else {},
        lease_duration_seconds=token.ttl_seconds,
        renewable=token.renewable,
        entity_id=token.entity_id,
        token_type=token.kind.value,
        orphan=token.orphan,
        num_uses=token.uses_left or 0,
        display_name=token.display_name,
    )


def _least(*values: int) -> int:
    """Return the smallest value that is set."""
    return min((value for value in values if value), default=0)


def _choose_kind(args: CreateArgs, role: Role | None) -> TokenKind:
    if args.type not in {"", "service", "batch"}:
        raise InvalidRequest("invalid 'token_type' value")
    wanted = args.type
    if role is not None:
        wanted = role.token_type.removeprefix("default-") if role.token_type in {"service", "batch"} or not wanted else wanted
    return TokenKind.BATCH if wanted == "batch" else TokenKind.SERVICE


def _check_numbers(args: CreateArgs) -> None:
    for name in ("ttl", "lease", "explicit_max_ttl", "period"):
        if getattr(args, name) < 0:
            raise InvalidRequest(f"{name} must be positive")
    if args.num_uses < 0:
        raise InvalidRequest("number of uses cannot be negative")


def _check_sudo(args: CreateArgs, *, sudo: bool, under_role: bool) -> None:
    needs_sudo = (
        (args.id, "specify token id"),
        (args.no_parent and not under_role, "create orphan token"),  # under a role it is the role that decides
        (args.period, "create periodic token"),
    )
    for asked, what in needs_sudo:
        if asked and not sudo:
            raise InvalidRequest(f"root or sudo privileges required to {what}")


def _check_id(token_id: str) -> None:
    for prefix in ("s.", "hvs."):
        if token_id.startswith(prefix):
            raise InvalidRequest(f"custom token ID cannot have the '{prefix}' prefix")
    if "." in token_id:
        raise InvalidRequest("custom token ID cannot have a '.' in the value")
    if token_id and not re.fullmatch(r"[A-Za-z0-9_~+=-]{1,512}", token_id):
        # A token travels in a header and is compared byte by byte: only characters that no client or proxy rewrites.
        raise InvalidRequest("custom token ID contains a character that is not allowed")


def _require_alias(args: CreateArgs, role: Role | None) -> str:
    """Return the alias that is asked for; raises InvalidRequest for one that no role allows."""
    alias = args.entity_alias
    if alias and role is None:
        raise InvalidRequest("'entity_alias' is only allowed in combination with token role")
    if alias and role is not None and not role.allows_alias(alias.lower()):
        raise InvalidRequest("invalid 'entity_alias' value")
    return alias


def _check_batch(args: CreateArgs, role: Role | None, names: tuple[str, ...]) -> None:
    if ROOT in names:
        raise InvalidRequest("batch tokens cannot be root tokens")
    for name in ("period", "num_uses", "explicit_max_ttl"):
        # Nobody can count the uses of a token that is not stored: better no token than one without the role's limit.
        if getattr(args, name) or (name == "num_uses" and role is not None and role.token_num_uses):
            raise InvalidRequest(f'batch tokens cannot have "{name}" set')


def _choose_policies(args: CreateArgs, role: Role | None, caller: Token, *, sudo: bool) -> tuple[str, ...]:
    asked = parse_policy_names(args.policies) if args.policies else None
    wants_default = not args.no_default_policy
    if role is not None and role.decides_policies:
        names = role.choose_policies(asked, caller.policies, wants_default=wants_default)
    elif asked is None:
        names = with_default(caller.policies, adds=False)
    elif sudo:
        names = with_default(asked, adds=wants_default)
    elif set(asked) <= set(caller.policies):
        # A child never gains the default policy if its parent lacks it.
        names = with_default(asked, adds=wants_default and DEFAULT in caller.policies)
    else:
        raise InvalidRequest("child policies must be subset of parent")
    if args.no_default_policy:
        names = tuple(name for name in names if name != DEFAULT)
    if ROOT in names and not caller.is_root:
        raise InvalidRequest("root tokens may not be created without parent token being root")
    return names


def _choose_ttl(
    context: SystemContext, args: CreateArgs, caller: Token, names: tuple[str, ...], *, period_seconds: int, explicit_max_seconds: int
) -> Grant:
    requested = args.ttl or args.lease
    if ROOT in names and not requested and not period_seconds and not explicit_max_seconds:
        if caller.expires_at is not None:
            raise InvalidRequest("expiring root tokens cannot create non-expiring root tokens")
        return Grant(ttl_seconds=0)
    grant = grant_ttl(context.mount, requested_seconds=requested, period_seconds=period_seconds, explicit_max_seconds=explicit_max_seconds)
    if grant.ttl_seconds <= 0:  # no time at all must never be read as no end
        raise InvalidRequest("the effective max_ttl leaves no time to live")
    return grant


def _choose_path(context: SystemContext, role: Role | None) -> str:
    path = context.request.path
    if role is None or not role.path_suffix:
        return path
    return f"{path}/{role.path_suffix.rstrip('/')}"


def _display_name(asked: str) -> str:
    words = re.sub(r"[^A-Za-z0-9-]", "-", asked).strip("-")
    return f"token-{words}" if words else "token"
