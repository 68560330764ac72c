"""`auth/jwt/login`, and what every way in has in common: from verified claims and a role to a login.

The signature is verified before the transaction; the handler looks again whether configuration and role are still those that it was
verified under.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vault.crypto.public_key import ALGORITHMS
from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.args import NAME, SECRET, arg
from vault.logical.context import Context
from vault.logical.login import Login
from vault.logical.response import Response
from vault.logical.token import Token
from vault.modules.auth.cidr import is_bound_to
from vault.modules.auth.methods.jwt.claims import check_bound_claims, check_claims, read_groups, read_metadata, read_user
from vault.modules.auth.methods.jwt.config import Config, find_config, require_config
from vault.modules.auth.methods.jwt.role import OIDC, Role, find_role
from vault.modules.auth.methods.jwt.signed import choose_algorithms, verify
from vault.modules.auth.methods.jwt.source import Sources
from vault.secret import Secret

CHANGED = "the configuration changed during this login, try again"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginArgs:
    """A token of somebody else, and the role that it is for."""

    role: str = arg(NAME, "Role of this login.", default="")
    jwt: Secret = arg(SECRET, "The signed token.", default=Secret(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Recognised:
    """Verified claims, and what they were verified under."""

    config: Config
    role_name: str
    role: Role
    claims: Mapping[str, Any]


def require_role(context: Context, config: Config, name: str) -> tuple[str, Role]:
    """Return the role that a request names, or the default one; raises InvalidRequest."""
    name = name or config.default_role
    if not name:
        raise InvalidRequest("missing role")
    role = find_role(context.storage, name)
    if role is None:
        raise InvalidRequest(f'role "{name}" could not be found')
    return name, role


def require_address(context: Context, role: Role) -> None:
    """Refuse who comes from an address that a role does not allow; raises PermissionDenied."""
    if not is_bound_to(role.parameters.token_bound_cidrs, context.request.remote_address):
        raise PermissionDenied


def name_role(context: Context, args: Any) -> str:
    """Return the role that a login is for."""
    config = find_config(context.storage)
    return str(args.role or ("" if config is None else config.default_role))


class JwtLogin:
    """Logins by a token of somebody else."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def prepare(self, context: Context, args: LoginArgs) -> Recognised:
        """Verify the token; raises InvalidRequest."""
        config = require_config(context.storage)
        name, role = require_role(context, config, args.role)
        if role.role_type == OIDC:
            raise InvalidRequest("role with oidc role_type is not allowed")
        if not args.jwt:
            raise InvalidRequest("missing token")
        require_address(context, role)
        algorithms = choose_algorithms(config.jwt_supported_algs, ALGORITHMS)
        try:
            verified = verify(args.jwt.reveal(), lambda key_id: self._sources.list_keys(config, key_id), algorithms)
        except InvalidRequest as refusal:
            raise InvalidRequest(f"error validating token: {refusal}") from None
        check_claims(verified.claims, role, config.bound_issuer, context.now)
        return Recognised(config=config, role_name=name, role=role, claims=verified.claims)

    def login(self, context: Context, args: LoginArgs) -> Response:
        """Let the caller in."""
        return Response(login=recognise(context, context.prepared))


def recognise(context: Context, found: Recognised) -> Login:
    """Return the login that a role makes of claims; raises InvalidRequest."""
    role = find_role(context.storage, found.role_name)
    if role != found.role or find_config(context.storage) != found.config:
        raise InvalidRequest(CHANGED)
    user = read_user(found.claims, found.role)
    metadata = {**read_metadata(found.claims, found.role), "role": found.role_name}
    groups = read_groups(found.claims, found.role)
    check_bound_claims(found.claims, found.role)
    return Login(
        alias=user,
        alias_metadata=metadata,
        groups=groups,
        display_name=user,
        metadata=metadata,
        parameters=found.role.parameters,
        role=found.role_name,
        memory={"role": found.role_name},
    )


def renew(context: Context, token: Token) -> Login:
    """Return what the role of a token says now; raises InvalidRequest where it is gone.

    Nobody can be asked for the groups of now, so they stay as the last login left them.
    """
    name = token.memory.get("role", "")
    role = find_role(context.storage, name)
    if role is None:
        raise InvalidRequest(f"role {name} does not exist during renewal")
    return Login(parameters=role.parameters, role=name, keeps_groups=True)
