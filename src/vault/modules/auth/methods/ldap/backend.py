"""The auth method `ldap`: people log in by the password that they have in a directory."""

from vault.logical.backend import Backend, Endpoint, path
from vault.logical.page import Page
from vault.modules.auth.methods.ldap.config import WriteConfig, read_config, write_config
from vault.modules.auth.methods.ldap.login import LoginArgs, guess, login, prepare, prepare_renewal, renew
from vault.modules.auth.methods.ldap.mapping import (
    Named,
    WriteGroup,
    WriteUser,
    delete_group,
    delete_user,
    list_groups,
    list_users,
    read_group,
    read_user,
    write_group,
    write_user,
)


def build() -> Backend:
    """Return the method."""
    return Backend(
        kind="ldap",
        help="People log in by the password that they have in an LDAP directory.",
        renew=renew,
        prepare_renewal=prepare_renewal,
        paths=(
            path(
                "login/{username}",
                help="Log in with a name and a password.",
                update=Endpoint(handler=login, args=LoginArgs, public=True, prepare=prepare, guess=guess),
            ),
            path(
                "config",
                help="Say where the directory is.",
                read=Endpoint(handler=read_config),
                update=Endpoint(handler=write_config, args=WriteConfig),
            ),
            path("groups", help="List the groups.", list=Endpoint(handler=list_groups, args=Page)),
            path(
                "groups/{name*}",
                help="Say which policies a group of the directory has.",
                read=Endpoint(handler=read_group, args=Named),
                update=Endpoint(handler=write_group, args=WriteGroup),
                delete=Endpoint(handler=delete_group, args=Named),
            ),
            path("users", help="List the users.", list=Endpoint(handler=list_users, args=Page)),
            path(
                "users/{name*}",
                help="Say which policies and groups a user has beside those of the directory.",
                read=Endpoint(handler=read_user, args=Named),
                update=Endpoint(handler=write_user, args=WriteUser),
                delete=Endpoint(handler=delete_user, args=Named),
            ),
        ),
    )
