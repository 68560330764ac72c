"""Logins by the token of a service account: what it says, whether a role takes that, and whether the API agrees, in this order.

The API is asked before the transaction; the transaction only sees that role and configuration are still those by which it was asked.
"""

from dataclasses import dataclass

from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.args import SECRET, STRING, arg
from vault.logical.context import Context
from vault.logical.login import Login
from vault.logical.response import Response
from vault.logical.token import Token
from vault.modules.auth.cidr import is_bound_to
from vault.modules.auth.methods.kubernetes.api import Api
from vault.modules.auth.methods.kubernetes.claims import Account, read_account
from vault.modules.auth.methods.kubernetes.config import Config, Pod, find_config
from vault.modules.auth.methods.kubernetes.role import BY_NAME, Role, find_role
from vault.modules.auth.methods.kubernetes.selector import matches, parse_selector
from vault.secret import Secret

_CHANGED = "the role or the configuration has changed meanwhile, try again"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginArgs:
    """The role that is asked for, and the token."""

    role: str = arg(STRING, "Role to log in by.", default="")
    jwt: Secret = arg(SECRET, "Token of a service account.", default=Secret(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reviewed:
    """An account that the API vouches for, and by what it was asked."""

    role: Role
    config: Config
    account: Account


class Logins:
    """Logs in and renews."""

    def __init__(self, pod: Pod) -> None:
        self._pod = pod

    def prepare(self, context: Context, args: LoginArgs) -> Reviewed:
        """Return whose token it is; raises InvalidRequest or PermissionDenied."""
        if not args.role:
            raise InvalidRequest("missing role")
        token = args.jwt.reveal()
        if not token:
            raise InvalidRequest("missing jwt")
        role = find_role(context.storage, args.role.lower())
        if role is None:
            raise InvalidRequest(f'invalid role name "{args.role}"')
        if not is_bound_to(role.parameters.token_bound_cidrs, context.request.remote_address):
            raise PermissionDenied
        config = _get_config(context)
        issuer = None if config.disable_iss_validation else config.issuer
        account = read_account(token, config.pem_keys, issuer=issuer, audience=role.audience, now=context.now)
        api = Api(config, self._pod)
        _require_bound(role, account.name, account.namespace, api)
        api.review(token, account, role.audience)
        return Reviewed(role=role, config=config, account=account)

    def login(self, context: Context, _: LoginArgs) -> Response:
        """Recognise the service account."""
        reviewed: Reviewed = context.prepared
        role = reviewed.role
        if find_role(context.storage, role.name) != role or find_config(context.storage) != reviewed.config:
            raise InvalidRequest(_CHANGED)
        return Response(login=_recognise(role, reviewed.account))

    def prepare_renewal(self, context: Context, token: Token) -> Role:
        """Return the role of a token, if it still takes the service account; raises InvalidRequest or PermissionDenied."""
        role = find_role(context.storage, token.memory.get("role", ""))
        if role is None:
            raise InvalidRequest("the role of the login does not exist any more, not renewing")
        api = Api(_get_config(context), self._pod)
        _require_bound(role, token.memory.get("name", ""), token.memory.get("namespace", ""), api)
        return role

    def renew(self, context: Context, token: Token) -> Login:
        """Return what the role says now."""
        role: Role = context.prepared
        if find_role(context.storage, role.name) != role:
            raise InvalidRequest(_CHANGED)
        return Login(parameters=role.parameters, role=role.name)


def name_role(_: Context, args: LoginArgs) -> str:
    """Return the role that a login is for."""
    return args.role.lower()


def _get_config(context: Context) -> Config:
    config = find_config(context.storage)
    if config is None:
        raise InvalidRequest("could not load backend configuration")
    return config


def _require_bound(role: Role, name: str, namespace: str, api: Api) -> None:
    if not role.takes_name(name):
        raise PermissionDenied("service account name not authorized")
    selector = role.bound_service_account_namespace_selector
    if not role.takes_namespace(namespace) and not (selector and matches(parse_selector(selector), api.get_labels(namespace))):
        raise PermissionDenied("namespace not authorized")


def _recognise(role: Role, account: Account) -> Login:
    metadata = {
        "service_account_uid": account.uid,
        "service_account_name": account.name,
        "service_account_namespace": account.namespace,
        "service_account_secret_name": account.secret_name,
    }
    return Login(
        alias=f"{account.namespace}/{account.name}" if role.alias_name_source == BY_NAME else account.uid,
        alias_metadata=metadata,
        display_name=f"{account.namespace}-{account.name}",
        metadata=metadata | {"role": role.name},
        parameters=role.parameters,
        role=role.name,
        memory={"role": role.name, "name": account.name, "namespace": account.namespace},
    )
