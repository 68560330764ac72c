"""The `approle` auth method: machines log in by a role id and a secret id.

A login reads the row of its role id, its role and its secret id, however many there are of them. Whatever is wrong with it, the same
rows are read and the answer is the same.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from vault.errors import InvalidRequest, LoginFailed
from vault.logical.args import SECRET, STRING, arg
from vault.logical.backend import Backend, Endpoint, path
from vault.logical.context import Context
from vault.logical.login import Login
from vault.logical.response import Response
from vault.logical.token import Token
from vault.modules.auth.cidr import is_bound_to
from vault.modules.auth.methods.approle.role import role_paths
from vault.modules.auth.methods.approle.rows import Role, Rows, SecretId, decode_role, make_key
from vault.modules.auth.methods.approle.secret_id import SecretIdPaths, Sweep, is_subset
from vault.secret import Secret

WRONG = "invalid role or secret ID"
_ANY = msgspec.json.encode(Role(name="any", uuid="", role_id=""))


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginArgs:
    """What a machine shows."""

    role_id: str = arg(STRING, "The role id.", required="missing role_id")
    secret_id: Secret = arg(SECRET, "The secret id.", default=Secret(""))


def find_role_name(context: Context, args: LoginArgs) -> str:
    """Return the name of the role that a login is for; nothing where there is none."""
    role = Rows(context.storage).find_role_by_id(args.role_id)
    return "" if role is None else role.name


def name_guess(_: Context, args: LoginArgs) -> str:
    """Return under which name the failures of a login count."""
    return args.role_id


def log_in(context: Context, args: LoginArgs) -> Response:
    """Recognise a machine."""
    rows = Rows(context.storage)
    role = rows.find_role_by_id(args.role_id)
    hashed, secret = rows.find_secret_id(role, args.secret_id.reveal(), args.role_id)
    if role is None or (role.bind_secret_id and secret is None):
        raise _refuse()
    if not role.bind_secret_id:
        secret = None
    if not _is_good(context, role, secret):
        raise _refuse()
    if secret is not None and secret.uses_left is not None:
        _spend(context, rows, role, hashed, secret)
    return Response(login=_recognise(role, secret))


def _refuse() -> LoginFailed:
    decode_role(_ANY)  # as does a login with a role that this worker has not met yet: or time would tell that there is one
    return LoginFailed(WRONG)


def _is_good(context: Context, role: Role, secret: SecretId | None) -> bool:
    address = context.request.remote_address
    bounds = [role.secret_id_bound_cidrs or (), role.parameters.token_bound_cidrs]
    if secret is not None:
        bounds += [secret.cidr_list, secret.token_bound_cidrs]
        # The role may have been narrowed since; an expired one waits for its removal.
        if secret.is_expired(context.now_ns) or not is_subset(secret.token_bound_cidrs, role.parameters.token_bound_cidrs):
            return False
    return all(is_bound_to(cidrs, address) for cidrs in bounds)


def _spend(context: Context, rows: Rows, role: Role, hashed: str, secret: SecretId) -> None:
    left = (secret.uses_left or 0) - 1
    if left > 0:
        rows.update_secret_id(role, hashed, replace(secret, uses_left=left, updated_ns=context.now_ns))
    else:
        rows.delete_secret_id(role, hashed, secret)


def _recognise(role: Role, secret: SecretId | None) -> Login:
    metadata: Mapping[str, str] = (secret.metadata if secret is not None else None) or {}
    parameters = role.parameters
    if secret is not None and secret.token_bound_cidrs:
        parameters = replace(parameters, token_bound_cidrs=secret.token_bound_cidrs)
    return Login(
        alias=role.role_id,
        metadata={**metadata, "role_name": role.name},
        parameters=parameters,
        role=role.name,
        memory={"role_name": role.name, "role_uuid": role.uuid},
    )


def renew(context: Context, token: Token) -> Login:
    """Return what holds for a token of a role now; raises InvalidRequest where that role is gone, were there another of its name."""
    name = token.memory.get("role_name", "")
    role = Rows(context.storage).find_role(name)
    if role is None or role.uuid != token.memory.get("role_uuid"):
        raise InvalidRequest(f"role {name} does not exist during renewal")
    return _recognise(role, None)


def build(sweep: Sweep) -> Backend:
    """Return the backend; `sweep` clears away what is due below a prefix, in transactions of its own."""
    login = Endpoint(handler=log_in, args=LoginArgs, public=True, guess=name_guess, role=find_role_name)
    return Backend(
        kind="approle",
        paths=(path("login", help="Log in with a role id and a secret id.", update=login), *SecretIdPaths(sweep).paths(), *role_paths()),
        help="Machines log in with a role id and a secret id.",
        on_mount=make_key,
        renew=renew,
    )
