"""Policies for names of the directory: `groups/<name>`, `users/<name>`. Names are hexadecimal in paths: none reaches another row."""

from dataclasses import dataclass

import msgspec

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import INT, LIST, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import Context
from vault.logical.response import Response, list_response
from vault.modules.auth.methods.ldap.config import Config, find_config
from vault.modules.policy.name import ROOT, parse_policy_names
from vault.storage.view import View

GROUPS = "group/"
USERS = "user/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mapping:
    """What a name of the directory gives."""

    policies: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()  # of users only


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """The name in the path."""

    name: str = arg(STRING, "Name in the directory.")


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteGroup(Name):
    """What a group gives."""

    policies: tuple[str, ...] = arg(LIST, "Policies of its members.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteUser(Name):
    """What a user gets."""

    policies: tuple[str, ...] = arg(LIST, "Policies of the user.", default=())
    groups: tuple[str, ...] = arg(LIST, "Groups of the user beside those of the directory.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ListArgs:
    """A page of names."""

    after: str = arg(STRING, "List what comes after this name.", default="", query=True)
    limit: int = arg(INT, "List at most so many; 0 or less: all.", default=0, query=True)


def _decode(value: bytes) -> Mapping:
    return msgspec.json.decode(value, type=Mapping)


def find_mapping(storage: View, folder: str, name: str) -> Mapping:
    """Return what a name gives; nothing where nobody said."""
    entry = storage.get(folder + name.encode("utf-8", "replace").hex())
    return Mapping() if entry is None else entry.decode(_decode)


def parse_name(config: Config, name: str) -> str:
    """Return a name in its one spelling; raises InvalidRequest for what can be none."""
    if not name.isprintable() or not 0 < len(name.encode("utf-8", "replace")) <= limits.LDAP_NAME_BYTES_MAX:
        raise InvalidRequest("invalid name")
    return config.spell(name)


class _Folder:
    """Handlers of one of the two kinds of names."""

    def __init__(self, folder: str, *, has_groups: bool) -> None:
        self._folder = folder
        self._has_groups = has_groups

    def _place(self, context: Context, name: str) -> str:
        spelled = parse_name(find_config(context.storage) or Config(), name)
        return self._folder + spelled.encode("utf-8", "replace").hex()

    def list_names(self, context: Context, args: ListArgs) -> Response | None:
        """List the names."""
        after = args.after.encode("utf-8", "replace").hex()
        found = context.storage.list_children(self._folder, after, args.limit if args.limit > 0 else None)
        return list_response(tuple(bytes.fromhex(name).decode("utf-8", "replace") for name in found))

    def read(self, context: Context, args: Name) -> Response | None:
        """Answer what a name gives."""
        entry = context.storage.get(self._place(context, args.name))
        if entry is None:
            return None
        mapping = entry.decode(_decode)
        groups = {"groups": ",".join(mapping.groups)} if self._has_groups else {}
        return Response(data={"policies": list(mapping.policies), **groups})

    def write(self, context: Context, args: WriteGroup | WriteUser) -> None:
        """Say what a name gives."""
        policies = parse_policy_names(args.policies)
        if ROOT in policies:
            raise InvalidRequest("root policy cannot be granted by an auth method")
        config = find_config(context.storage) or Config()
        groups = tuple(sorted({parse_name(config, name) for name in getattr(args, "groups", ())}))
        context.storage.put(self._place(context, args.name), msgspec.json.encode(Mapping(policies=policies, groups=groups)))

    def delete(self, context: Context, args: Name) -> None:
        """Forget a name; a missing one is no error."""
        context.storage.delete(self._place(context, args.name))

    def paths(self, word: str, schema: type) -> tuple[Path, ...]:
        """Return the table of one kind."""
        return (
            path(word, help=f"List {word}.", list=Endpoint(handler=self.list_names, args=ListArgs)),
            path(
                f"{word}/{{name*}}",
                help=f"Say what {word} of the directory give.",
                read=Endpoint(handler=self.read, args=Name),
                update=Endpoint(handler=self.write, args=schema),
                delete=Endpoint(handler=self.delete, args=Name),
            ),
        )


def mapping_paths() -> tuple[Path, ...]:
    """Return the table."""
    return (*_Folder(GROUPS, has_groups=False).paths("groups", WriteGroup), *_Folder(USERS, has_groups=True).paths("users", WriteUser))
