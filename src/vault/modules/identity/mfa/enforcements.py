"""`identity/mfa/login-enforcement`: which logins need a second factor. In force on every worker at its next request."""

import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from vault import limits
from vault.crypto.random import random_bytes
from vault.errors import InvalidRequest
from vault.logical.args import LIST, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, list_response
from vault.logical.standing import Standing
from vault.modules.identity.mfa.table import Enforcement, Table, read_table, save_table
from vault.mounts import Mounts
from vault.storage.transaction import Transaction

_NAME = re.compile(r"\w(?:[\w.-]{0,254}\w)?", re.ASCII)


class Directory(Protocol):
    """What is asked about entities and groups."""

    def find_standing(self, transaction: Transaction, entity_id: str) -> Standing | None:
        """Return an entity as it stands."""

    def knows_group(self, transaction: Transaction, group_id: str) -> bool:
        """Return whether there is a group with this id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcementPath:
    """The enforcement that the path names."""

    name: str = arg(STRING, "Name of the enforcement.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnforcementArgs(EnforcementPath):
    """What it asks of whom; targets that are not given stay."""

    mfa_method_ids: tuple[str, ...] = arg(LIST, "Ids of methods, one of which is needed.", required="missing method ids")
    auth_method_accessors: tuple[str, ...] | None = arg(LIST, "Accessors of auth mounts.", default=None)
    auth_method_types: tuple[str, ...] | None = arg(LIST, "Types of auth methods.", default=None)
    identity_group_ids: tuple[str, ...] | None = arg(LIST, "Ids of groups.", default=None)
    identity_entity_ids: tuple[str, ...] | None = arg(LIST, "Ids of entities.", default=None)


class EnforcementPaths:
    """Handlers of enforcements."""

    def __init__(self, directory: Directory, mounts: Mounts) -> None:
        self._directory = directory
        self._mounts = mounts

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path("mfa/login-enforcement", help="List the enforcements.", list=Endpoint(handler=self.list_all)),
            path(
                "mfa/login-enforcement/{name}",
                help="Ask logins for a second factor.",
                read=Endpoint(handler=self.read, args=EnforcementPath),
                update=Endpoint(handler=self.write, args=EnforcementArgs),
                delete=Endpoint(handler=self.delete, args=EnforcementPath),
            ),
        )

    def list_all(self, context: SystemContext, _: Any) -> Response | None:
        """List the enforcements with what they ask."""
        rules = read_table(context.transaction).stored.enforcements
        return list_response(tuple(sorted(rules)), {name: _describe(rule) for name, rule in rules.items()})

    def read(self, context: SystemContext, args: EnforcementPath) -> Response | None:
        """Answer an enforcement."""
        rule = read_table(context.transaction).stored.enforcements.get(args.name)
        return None if rule is None else Response(data=_describe(rule))

    def write(self, context: SystemContext, args: EnforcementArgs) -> None:
        """Make or change an enforcement."""
        if _NAME.fullmatch(args.name) is None:
            raise InvalidRequest("the name of an enforcement consists of letters, digits, '_', '-' and '.'")
        table = read_table(context.transaction)
        stored = table.stored
        before = stored.enforcements.get(args.name)
        if before is None:
            if len(stored.enforcements) >= limits.MFA_ENFORCEMENTS_MAX:
                raise InvalidRequest(f"more than {limits.MFA_ENFORCEMENTS_MAX} enforcements")
            unique = str(uuid.UUID(bytes=random_bytes(16), version=4))
            before = Enforcement(id=unique, name=args.name, method_ids=())
        rule = replace(
            before,
            method_ids=args.mfa_method_ids,
            accessors=_choose(args.auth_method_accessors, before.accessors),
            kinds=_choose(args.auth_method_types, before.kinds),
            group_ids=_choose(args.identity_group_ids, before.group_ids),
            entity_ids=_choose(args.identity_entity_ids, before.entity_ids),
        )
        self._check(context, table, rule, before)
        save_table(context.transaction, replace(stored, enforcements={**stored.enforcements, args.name: rule}))

    def _check(self, context: SystemContext, table: Table, rule: Enforcement, before: Enforcement) -> None:
        """Refuse what names nothing. What was there when it was named may be gone: it stays, and is met by nobody."""
        if not rule.method_ids:
            raise InvalidRequest("missing method ids")
        auth = [mount for mount in self._mounts.table(context.transaction).mounts if mount.is_auth]
        kinds, accessors = {mount.kind for mount in auth}, {mount.accessor for mount in auth}
        checks: tuple[tuple[tuple[str, ...], tuple[str, ...], Callable[[str], bool], str], ...] = (
            (rule.method_ids, (), table.stored.methods.__contains__, "one of the provided method ids doesn't exist"),
            (rule.kinds, before.kinds, kinds.__contains__, "one of the auth method types provided is invalid"),
            (rule.accessors, before.accessors, accessors.__contains__, "one of the auth method accessors provided is invalid"),
            (
                *(rule.group_ids, before.group_ids, lambda name: self._directory.knows_group(context.transaction, name)),
                "one of the provided group ids doesn't exist",
            ),
            (
                *(rule.entity_ids, before.entity_ids, lambda name: self._knows_entity(context, name)),
                "one of the provided entity ids doesn't exist",
            ),
        )
        for names, known, exists, refusal in checks:
            if len(names) > limits.MFA_TARGETS_MAX:
                raise InvalidRequest(f"more than {limits.MFA_TARGETS_MAX} of one kind")
            if any("/" in name or (name not in known and not exists(name)) for name in names):
                raise InvalidRequest(refusal)
        if not any((rule.accessors, rule.kinds, rule.group_ids, rule.entity_ids)):
            raise InvalidRequest(
                "One of auth_method_accessors, auth_method_types, identity_group_ids, identity_entity_ids must be specified"
            )

    def _knows_entity(self, context: SystemContext, entity_id: str) -> bool:
        return self._directory.find_standing(context.transaction, entity_id) is not None

    def delete(self, context: SystemContext, args: EnforcementPath) -> None:
        """Delete an enforcement; a missing one is no error."""
        stored = read_table(context.transaction).stored
        if args.name in stored.enforcements:
            rest = {name: rule for name, rule in stored.enforcements.items() if name != args.name}
            save_table(context.transaction, replace(stored, enforcements=rest))


def _choose(asked: tuple[str, ...] | None, before: tuple[str, ...]) -> tuple[str, ...]:
    return before if asked is None else tuple(dict.fromkeys(asked))


def _describe(rule: Enforcement) -> dict[str, Any]:
    return {
        "auth_method_accessors": list(rule.accessors),
        "auth_method_types": list(rule.kinds),
        "id": rule.id,
        "identity_entity_ids": list(rule.entity_ids),
        "identity_group_ids": list(rule.group_ids),
        "mfa_method_ids": list(rule.method_ids),
        "name": rule.name,
        "namespace_id": "root",
        "namespace_path": "",
    }
