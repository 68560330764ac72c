"""Logins by the password of a directory, and renewals: a person is looked for again, as no password is kept.

The directory is asked before the transaction; the transaction sees that the configuration is still that by which it was asked.
"""

from dataclasses import dataclass

import msgspec

from vault.errors import InvalidRequest, LoginFailed
from vault.logical.args import SECRET, STRING, arg
from vault.logical.context import Context
from vault.logical.login import Login
from vault.logical.response import Response
from vault.logical.token import Token
from vault.modules.auth.methods.ldap.config import Config, find_config
from vault.modules.auth.methods.ldap.directory import open_directory
from vault.modules.auth.methods.ldap.mapping import find_standing
from vault.modules.auth.methods.ldap.name import spell_name
from vault.modules.auth.methods.ldap.person import Person, describe, find_entry, log_in
from vault.modules.auth.renewal import require_same_policies
from vault.secret import Secret

_CHANGED = "the configuration has changed meanwhile, try again"
_GONE = "the user is not in the directory any more, not renewing"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginArgs:
    """A name and a password."""

    username: str = arg(STRING, "Name of the user.")
    password: Secret = arg(SECRET, "The password.", default=Secret(""))


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the directory said, and by which configuration it was asked. Nobody could be asked: no person."""

    config: Config
    person: Person | None


def guess(_: Context, args: LoginArgs) -> str:
    """Return whose password is tried: in one spelling even where names are told apart by case, as the directory may not do so."""
    return spell_name(args.username, case_sensitive=False).casefold()


def prepare(context: Context, args: LoginArgs) -> Asked:
    """Ask the directory; raises InvalidRequest or LoginFailed."""
    password = args.password.reveal()
    if not password:
        raise InvalidRequest("missing password")
    if "\0" in password:
        raise InvalidRequest("invalid password")
    config = _get_config(context)
    name = spell_name(args.username, case_sensitive=config.case_sensitive_names)
    with open_directory(config) as directory:
        return Asked(config=config, person=log_in(directory, config, name, password))


def login(context: Context, args: LoginArgs) -> Response:
    """Recognise the person."""
    asked: Asked = context.prepared
    if asked.person is None or find_config(context.storage) != asked.config:
        raise InvalidRequest(_CHANGED)
    name = spell_name(args.username, case_sensitive=asked.config.case_sensitive_names)
    return Response(login=_recognise(context, asked.config, name, asked.person))


def prepare_renewal(context: Context, token: Token) -> Asked:
    """Look for the person of a token again, where somebody may search; raises InvalidRequest."""
    config = _get_config(context)
    name = token.memory.get("name", "")
    if not config.can_search:
        return Asked(config=config, person=None)
    with open_directory(config) as directory:
        directory.bind_searcher()
        entry = find_entry(directory, config, name)
        if entry is None:
            raise InvalidRequest(_GONE)
        try:
            return Asked(config=config, person=describe(directory, config, name, entry))
        except LoginFailed:
            raise InvalidRequest(_GONE) from None


def renew(context: Context, token: Token) -> Login:
    """Return what holds for the person now; raises InvalidRequest where that is not what the token has."""
    asked: Asked = context.prepared
    if find_config(context.storage) != asked.config:
        raise InvalidRequest(_CHANGED)
    then = Person(alias=token.memory.get("alias", ""), groups=msgspec.json.decode(token.memory.get("groups", "[]"), type=tuple[str, ...]))
    person = asked.person or then
    # Another person may have got the name since.
    if person.alias != then.alias:
        raise InvalidRequest(_GONE)
    now = _recognise(context, asked.config, token.memory.get("name", ""), person)
    require_same_policies(now, token)
    return now


def _get_config(context: Context) -> Config:
    config = find_config(context.storage)
    if config is None:
        raise InvalidRequest("ldap backend not configured")
    return config


def _recognise(context: Context, config: Config, name: str, person: Person) -> Login:
    standing = find_standing(context.storage, config, name, person.groups)
    return Login(
        alias=spell_name(person.alias, case_sensitive=config.case_sensitive_names),
        alias_metadata={"name": name},
        groups=standing.groups,
        display_name=name,
        metadata={"username": name},
        policies=standing.policies,
        parameters=config.parameters,
        memory={"name": name, "alias": person.alias, "groups": msgspec.json.encode(person.groups).decode()},
    )
