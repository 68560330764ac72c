"""Methods and enforcements of login MFA: one encrypted row, so that a login reads one cached value and a change holds everywhere at once.

One row also decides between a method that is deleted and an enforcement that begins to use it: one of the two writers comes second.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from vault.logical.mount import Mount
from vault.logical.standing import Standing
from vault.modules.identity.mfa.totp import TotpSettings
from vault.storage.transaction import Transaction

ROW = "core/mfa/table"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """A second factor. TOTP is the only kind that there is."""

    id: str
    name: str = ""
    settings: TotpSettings
    qr_size: int = 200
    max_validation_attempts: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """Which logins need one of which methods: those that any of its targets names."""

    id: str
    name: str
    method_ids: tuple[str, ...]
    accessors: tuple[str, ...] = ()  # of auth mounts
    kinds: tuple[str, ...] = ()  # of auth methods
    group_ids: tuple[str, ...] = ()
    entity_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """The row."""

    methods: Mapping[str, Method] = field(default_factory=dict)  # by id
    enforcements: Mapping[str, Enforcement] = field(default_factory=dict)  # by name


class Table:
    """The row, ready to be asked."""

    def __init__(self, stored: Stored) -> None:
        self.stored = stored
        self._by_name = {method.name: method for method in stored.methods.values() if method.name}
        self._targets: dict[tuple[str, str], list[Enforcement]] = {}
        for enforcement in stored.enforcements.values():
            for target in _targets_of(enforcement):
                self._targets.setdefault(target, []).append(enforcement)

    @classmethod
    def decode(cls, value: bytes) -> "Table":
        """Return the table stored as `value`."""
        return cls(msgspec.json.decode(value, type=Stored))

    def find_method(self, name: str) -> Method | None:
        """Return the method with this id or name."""
        return self.stored.methods.get(name) or self._by_name.get(name)

    def find_named(self, name: str) -> Method | None:
        """Return the method with this name."""
        return self._by_name.get(name)

    def find_user(self, method_id: str) -> Enforcement | None:
        """Return an enforcement that uses a method."""
        return next((rule for rule in self.stored.enforcements.values() if method_id in rule.method_ids), None)

    def list_enforcements(self, mount: Mount, standing: Standing | None) -> tuple[Enforcement, ...]:
        """Return what a login has to satisfy, all of them, by name."""
        if not self._targets:
            return ()
        keys = [("accessor", mount.accessor), ("kind", mount.kind)]
        if standing is not None:
            keys += [("entity", standing.entity_id), *(("group", group_id) for group_id in standing.group_ids)]
        found = {rule.name: rule for key in keys for rule in self._targets.get(key, ())}
        return tuple(found[name] for name in sorted(found))


def _targets_of(rule: Enforcement) -> Iterable[tuple[str, str]]:
    for kind, names in (("accessor", rule.accessors), ("kind", rule.kinds), ("group", rule.group_ids), ("entity", rule.entity_ids)):
        for name in names:
            yield kind, name


_EMPTY = Table(Stored())


def read_table(transaction: Transaction) -> Table:
    """Return the table; parsed once per change and worker."""
    entry = transaction.get(ROW)
    return _EMPTY if entry is None else entry.decode(Table.decode)


def save_table(transaction: Transaction, stored: Stored) -> None:
    """Store the table."""
    transaction.put(ROW, msgspec.json.encode(stored))
