"""The auth method `kubernetes`: pods log in by the token of their service account."""

from vault.logical.backend import Backend, Endpoint, path
from vault.logical.page import Page
from vault.modules.auth.methods.kubernetes.config import ConfigPaths, Pod, WriteConfig
from vault.modules.auth.methods.kubernetes.login import LoginArgs, Logins, name_role
from vault.modules.auth.methods.kubernetes.role import WriteRole, delete_role, list_roles, read_role, role_exists, write_role
from vault.modules.auth.role_name import RoleName


def build(pod: Pod | None = None) -> Backend:
    """Return the method; `pod` are the files of the pod that the server runs in."""
    files = pod or Pod()
    logins, config = Logins(files), ConfigPaths(files)
    return Backend(
        kind="kubernetes",
        help="Pods log in by the token of their service account.",
        renew=logins.renew,
        prepare_renewal=logins.prepare_renewal,
        paths=(
            path(
                "login",
                help="Log in by the token of a service account.",
                update=Endpoint(handler=logins.login, args=LoginArgs, public=True, prepare=logins.prepare, role=name_role),
            ),
            path(
                "config",
                help="Say where the API is, and whom to believe.",
                read=Endpoint(handler=config.read),
                update=Endpoint(handler=config.write, args=WriteConfig, prepare=config.prepare),
            ),
            path("role", help="List the roles.", list=Endpoint(handler=list_roles, args=Page)),
            path(
                "role/{name}",
                help="Say which service accounts may log in.",
                exists=role_exists,
                exists_args=RoleName,
                create=Endpoint(handler=write_role, args=WriteRole),
                update=Endpoint(handler=write_role, args=WriteRole),
                read=Endpoint(handler=read_role, args=RoleName),
                delete=Endpoint(handler=delete_role, args=RoleName),
            ),
        ),
    )
