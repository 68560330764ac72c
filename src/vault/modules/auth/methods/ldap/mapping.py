"""What the mount says of groups of the directory and of users: policies, and groups that a user is in beside those of the directory."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from vault.errors import InvalidRequest, NotFound
from vault.logical.args import LIST, STRING, arg
from vault.logical.context import Context
from vault.logical.page import Page
from vault.logical.response import Response, list_response
from vault.modules.auth.methods.ldap.config import Config, find_config
from vault.modules.auth.methods.ldap.name import spell_name
from vault.modules.policy.name import ROOT, parse_policy_names
from vault.storage.view import View

_GROUPS, _USERS = "group/", "user/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group as stored."""

    policies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class User(Group):
    """A user as stored."""

    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """The group or user that the path names."""

    name: str = arg(STRING, "Name of it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteGroup(Named):
    """Policies of a group; absent: none."""

    policies: tuple[str, ...] = arg(LIST, "Policies of the members.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteUser(Named):
    """Policies and groups of a user; absent fields keep their value."""

    policies: tuple[str, ...] | None = arg(LIST, "Policies of the user.", default=None)
    groups: tuple[str, ...] | None = arg(LIST, "Further groups that the user is in.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the mount gives to a user."""

    groups: tuple[str, ...]  # in the directory's spelling, or that of the mount
    policies: tuple[str, ...]


def _decode_group(value: bytes) -> Group:
    return msgspec.json.decode(value, type=Group)


def _decode_user(value: bytes) -> User:
    return msgspec.json.decode(value, type=User)


def find_group(storage: View, name: str) -> Group | None:
    """Return the group with this name in its one spelling."""
    entry = storage.get(_GROUPS + name)
    return None if entry is None else entry.decode(_decode_group)


def find_user(storage: View, name: str) -> User | None:
    """Return the user with this name in its one spelling."""
    entry = storage.get(_USERS + name)
    return None if entry is None else entry.decode(_decode_user)


def find_standing(storage: View, config: Config, name: str, groups: tuple[str, ...]) -> Standing:
    """Return what the mount gives to a user who is in these groups of the directory."""
    user = find_user(storage, name) or User()
    everything = tuple(dict.fromkeys((*user.groups, *groups)))
    policies: dict[str, None] = {}
    for group in _spell_all(everything, config):
        found = find_group(storage, group)
        policies |= dict.fromkeys(found.policies if found else ())
    return Standing(groups=everything, policies=tuple(policies | dict.fromkeys(user.policies)))


def _spell_all(groups: Iterable[str], config: Config) -> Iterable[str]:
    for group in groups:
        try:
            yield spell_name(group, case_sensitive=config.case_sensitive_names)
        except InvalidRequest:
            continue  # a name of the directory that no group here can have


def _spell(context: Context, args: Named) -> str:
    config = find_config(context.storage) or Config()
    return spell_name(args.name, case_sensitive=config.case_sensitive_names)


def _parse_policies(names: tuple[str, ...]) -> tuple[str, ...]:
    parsed = parse_policy_names(names)
    if ROOT in parsed:
        raise InvalidRequest("root policy cannot be granted by an auth method")
    return parsed


# -- groups -----------------------------------------------------------------------------------------------------------


def list_groups(context: Context, args: Page) -> Response | None:
    """List the groups."""
    return list_response(context.storage.list_children(_GROUPS, args.after, args.size))


def read_group(context: Context, args: Named) -> Response:
    """Answer a group."""
    found = find_group(context.storage, _spell(context, args))
    if found is None:
        raise NotFound
    return Response(data={"policies": list(found.policies)})


def write_group(context: Context, args: WriteGroup) -> None:
    """Create or replace a group."""
    context.storage.put(_GROUPS + _spell(context, args), msgspec.json.encode(Group(policies=_parse_policies(args.policies))))


def delete_group(context: Context, args: Named) -> None:
    """Delete a group; a missing one is no error."""
    context.storage.delete(_GROUPS + _spell(context, args))


# -- users ------------------------------------------------------------------------------------------------------------


def list_users(context: Context, args: Page) -> Response | None:
    """List the users that the mount says something of."""
    return list_response(context.storage.list_children(_USERS, args.after, args.size))


def read_user(context: Context, args: Named) -> Response:
    """Answer a user."""
    found = find_user(context.storage, _spell(context, args))
    if found is None:
        raise NotFound
    return Response(data={"policies": list(found.policies), "groups": ",".join(found.groups)})


def write_user(context: Context, args: WriteUser) -> None:
    """Create or change a user."""
    name = _spell(context, args)
    user = find_user(context.storage, name) or User()
    if args.policies is not None:
        user = replace(user, policies=_parse_policies(args.policies))
    if args.groups is not None:
        config = find_config(context.storage) or Config()
        groups = tuple(spell_name(group, case_sensitive=config.case_sensitive_names) for group in args.groups)
        user = replace(user, groups=tuple(sorted({*groups})))
    context.storage.put(_USERS + name, msgspec.json.encode(user))


def delete_user(context: Context, args: Named) -> None:
    """Delete what the mount says of a user; a missing one is no error."""
    context.storage.delete(_USERS + _spell(context, args))
