"""The `ldap` auth method: people of a directory log in with their password there.

A wrong name, a wrong password and a name that is found twice are one answer, and take the same steps. No password is stored: a renewal
looks for the person and its groups again, with the rights of `binddn`.
"""

from dataclasses import dataclass
from typing import Any

import msgspec

from vault.errors import InvalidRequest, LoginFailed
from vault.logical.args import SECRET, STRING, arg
from vault.logical.backend import Backend, Endpoint, path
from vault.logical.context import Context
from vault.logical.login import Login
from vault.logical.response import Response
from vault.logical.token import Token
from vault.modules.auth.methods.ldap.config import Config, config_paths, find_config, require_config
from vault.modules.auth.methods.ldap.directory import Directory, Person, WrongCredentials
from vault.modules.auth.methods.ldap.mapping import GROUPS, USERS, find_mapping, mapping_paths, parse_name
from vault.modules.auth.renewal import require_same_policies
from vault.secret import Secret
from vault.storage.view import View

WRONG = "ldap operation failed: failed to bind as user"
GONE = "the directory does not know this user any more"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginArgs:
    """A name and a password."""

    username: str = arg(STRING, "The name.")
    password: Secret = arg(SECRET, "The password.", default=Secret(""))


def name_guess(context: Context, args: LoginArgs) -> str:
    """Return under which name the failures of a login count."""
    config = find_config(context.storage) or Config()
    return config.spell(args.username)


def ask(context: Context, args: LoginArgs) -> Person:
    """Ask the directory; raises LoginFailed, the same for every cause that a caller could use."""
    config = require_config(context.storage)
    password = args.password.reveal()
    try:
        parse_name(config, args.username)
    except InvalidRequest:
        raise LoginFailed(WRONG) from None
    if not password or "\0" in password:  # a directory takes an empty one for an anonymous login, which succeeds
        raise LoginFailed(WRONG)
    try:
        return Directory(config).authenticate(args.username, password)
    except WrongCredentials:
        raise LoginFailed(WRONG) from None


def log_in(context: Context, args: LoginArgs) -> Response:
    """Recognise whoever the directory has recognised."""
    person: Person = context.prepared
    config = require_config(context.storage)
    return Response(login=_recognise(context.storage, config, config.spell(args.username), person))


def _recognise(storage: View, config: Config, name: str, person: Person) -> Login:
    mapping = find_mapping(storage, USERS, name)
    groups = tuple(sorted({*(config.spell(group) for group in person.groups), *mapping.groups}))
    policies = {*mapping.policies, *(policy for group in groups for policy in find_mapping(storage, GROUPS, group).policies)}
    alias = name if config.username_as_alias or not person.attribute else config.spell(person.attribute)
    return Login(
        alias=alias,
        groups=groups,
        display_name=name,
        metadata={"username": name},
        policies=tuple(sorted(policies)),
        parameters=config.parameters,
        memory={
            "username": name,
            "dn": person.dn,
            "attribute": person.attribute,
            "groups": msgspec.json.encode(person.groups).decode(),
        },
    )


def prepare_renewal(context: Context, token: Token) -> Person | None:
    """Look for the holder of a token in the directory; None where the mount has no rights to search, or nobody is found."""
    config = require_config(context.storage)
    return Directory(config).look_up(token.memory.get("username", "")) if config.searches else None


def renew(context: Context, token: Token) -> Login:
    """Return what holds for a token now; raises InvalidRequest where its holder is gone or has other policies."""
    config = require_config(context.storage)
    person: Any = context.prepared
    if config.searches:
        if person is None or person.dn.lower() != token.memory.get("dn", "").lower():
            raise InvalidRequest(GONE)
    else:  # nobody may search: what the directory said at the login, and what is said here now
        groups = msgspec.json.decode(token.memory.get("groups", "[]"), type=tuple[str, ...])
        person = Person(dn=token.memory.get("dn", ""), attribute=token.memory.get("attribute", ""), groups=groups)
    login = _recognise(context.storage, config, token.memory.get("username", ""), person)
    require_same_policies(login, token)
    return login


def build() -> Backend:
    """Return the backend."""
    login = Endpoint(handler=log_in, args=LoginArgs, public=True, prepare=ask, guess=name_guess)
    rows = (
        path("login/{username*}", help="Log in with a name and a password of the directory.", update=login),
        *config_paths(),
        *mapping_paths(),
    )
    return Backend(
        kind="ldap",
        paths=rows,
        help="People of a directory log in with their password there.",
        renew=renew,
        prepare_renewal=prepare_renewal,
    )
