"""The auth methods `jwt` and `oidc`: one backend under two names. Others say who somebody is, by signed tokens or on their web page."""

from dataclasses import replace
from typing import Any

from vault.clock import Clock
from vault.errors import InvalidRequest
from vault.logical.backend import Backend, Endpoint, Path, path
from vault.logical.context import Context
from vault.logical.response import Response
from vault.modules.auth.methods.jwt import role
from vault.modules.auth.methods.jwt.config import WriteConfig, describe_config, find_config, parse_config, put_config
from vault.modules.auth.methods.jwt.flow import AuthUrlArgs, CallbackArgs, Commit, Flow
from vault.modules.auth.methods.jwt.login import JwtLogin, LoginArgs, name_role, renew
from vault.modules.auth.methods.jwt.source import Fetch, Sources, check_source
from vault.modules.auth.methods.jwt.state import Keys, States
from vault.modules.auth.outbound import Unreachable

_PROVIDER_STORED = "provider_config is stored, but every provider is treated as a standard one"


class ConfigPaths:
    """Reads and writes the configuration."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def prepare_read(self, context: Context, _: Any) -> str:
        """Return why the source of keys cannot be used; empty: it can."""
        config = find_config(context.storage)
        try:
            if config is not None:
                self._sources.list_keys(config)
        except Unreachable as failure:
            return str(failure)
        return ""

    def read(self, context: Context, _: Any) -> Response | None:
        """Answer the configuration without its secrets."""
        config = find_config(context.storage)
        if config is None:
            return None
        failure = context.prepared
        data = describe_config(config) | {"status": "invalid" if failure else "valid"}
        return Response(data=data, warnings=(f"the keys are not available: {failure}",) if failure else ())

    def prepare_write(self, _: Context, args: WriteConfig) -> str:
        """Return what to warn of; raises InvalidRequest for what cannot be used."""
        failure = check_source(self._sources, parse_config(args))
        if failure and not args.skip_jwks_validation:
            raise InvalidRequest(failure)
        return failure

    def write(self, context: Context, args: WriteConfig) -> Response | None:
        """Store the configuration."""
        config, current = parse_config(args), find_config(context.storage)
        kept = True if current is None else current.namespace_in_state
        put_config(
            context.storage, replace(config, namespace_in_state=kept if args.namespace_in_state is None else args.namespace_in_state)
        )
        warnings = tuple(filter(None, (context.prepared, _PROVIDER_STORED if config.provider_config else "")))
        return Response(warnings=warnings) if warnings else None


def build(kind: str, *, fetch: Fetch, keys: Keys, commit: Commit, clock: Clock) -> Backend:
    """Return the backend under one of its names. `commit` runs work on a mount's storage in a transaction of its own."""
    sources = Sources(fetch, clock)
    rows = (
        *_config_paths(ConfigPaths(sources)),
        *_role_paths(),
        *_login_paths(JwtLogin(sources)),
        *_flow_paths(Flow(sources, States(keys), commit)),
    )
    return Backend(
        kind=kind, paths=rows, help="Logins by signed tokens of others (JWT), or through the web page of an OpenID provider.", renew=renew
    )


def _config_paths(config: ConfigPaths) -> tuple[Path, ...]:
    return (
        path(
            "config",
            help="Where the keys of tokens come from.",
            read=Endpoint(handler=config.read, prepare=config.prepare_read),
            update=Endpoint(handler=config.write, args=WriteConfig, prepare=config.prepare_write),
        ),
    )


def _role_paths() -> tuple[Path, ...]:
    return (
        path("role", help="List roles.", list=Endpoint(handler=role.list_roles, args=role.ListRoles)),
        path(
            "role/{name}",
            help="Which tokens let somebody in, and what its token shall be.",
            exists=role.role_exists,
            exists_args=role.RoleName,
            read=Endpoint(handler=role.read_role, args=role.RoleName),
            update=Endpoint(handler=role.write_role, args=role.WriteRole),
            delete=Endpoint(handler=role.delete_role, args=role.RoleName),
        ),
    )


def _login_paths(jwt: JwtLogin) -> tuple[Path, ...]:
    return (
        path(
            "login",
            help="Log in by a signed token.",
            update=Endpoint(handler=jwt.login, args=LoginArgs, public=True, prepare=jwt.prepare, role=name_role),
        ),
    )


def _flow_paths(flow: Flow) -> tuple[Path, ...]:
    return (
        path(
            "oidc/auth_url",
            help="Ask for the URL of the provider's login page.",
            update=Endpoint(handler=flow.answer_url, args=AuthUrlArgs, public=True, prepare=flow.prepare_url, role=name_role),
        ),
        path(
            "oidc/callback",
            help="Log in with what the provider's login page sends back.",
            read=Endpoint(handler=flow.answer_callback, args=CallbackArgs, public=True, prepare=flow.prepare_callback, free=True),
            update=Endpoint(handler=flow.forward_form, args=CallbackArgs, public=True, free=True),
        ),
    )
