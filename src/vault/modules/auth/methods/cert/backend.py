"""The auth method `cert`: clients log in by their TLS certificate."""

from vault.logical.backend import Backend, Endpoint, path
from vault.logical.page import Page
from vault.modules.auth.methods.cert.config import WriteConfig, read_config, write_config
from vault.modules.auth.methods.cert.login import LoginArgs, Logins, name_role
from vault.modules.auth.methods.cert.revocations import WriteList, delete_list, list_lists, prepare_write, read_list, write_list
from vault.modules.auth.methods.cert.role import WriteRole, delete_role, list_roles, read_role, write_role
from vault.modules.auth.role_name import RoleName


def build() -> Backend:
    """Return the method."""
    logins = Logins()
    return Backend(
        kind="cert",
        help="Clients log in by the certificate that they show in TLS.",
        renew=logins.renew,
        prepare_renewal=logins.prepare,
        paths=(
            path(
                "login",
                help="Log in by the certificate of this connection.",
                update=Endpoint(handler=logins.login, args=LoginArgs, public=True, prepare=logins.prepare, role=name_role),
            ),
            path(
                "config",
                help="Configure the method.",
                read=Endpoint(handler=read_config),
                update=Endpoint(handler=write_config, args=WriteConfig),
            ),
            path("certs", help="List the roles.", list=Endpoint(handler=list_roles, args=Page)),
            path(
                "certs/{name}",
                help="Trust an authority or a certificate.",
                read=Endpoint(handler=read_role, args=RoleName),
                update=Endpoint(handler=write_role, args=WriteRole),
                delete=Endpoint(handler=delete_role, args=RoleName),
            ),
            path("crls", help="List the revocation lists.", list=Endpoint(handler=list_lists, args=Page)),
            path(
                "crls/{name}",
                help="Keep a revocation list.",
                read=Endpoint(handler=read_list, args=RoleName),
                update=Endpoint(handler=write_list, args=WriteList, prepare=prepare_write),
                delete=Endpoint(handler=delete_list, args=RoleName),
            ),
        ),
    )
