"""Quotas: which rule a request or a lease falls under, and whether the client of a request has one left.

The rules are one encrypted row; every worker sees a change at its next request. The counters of rate limits are in shared memory: a limit
holds over all workers of a host, each host counts for itself, and a restart of the server begins anew. Leases: see `lease_quota`.
"""

import math
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address
from typing import Generic, Protocol, TypeVar

import msgspec

from vault.clock import Clock
from vault.errors import RateLimited, VaultError
from vault.storage.cache import Entry
from vault.storage.transaction import Store, Transaction
from vault.windows import Turn, Windows

TABLE = "core/quotas"
# Vault's: what a sealed or struggling server must still answer.
EXEMPT = (
    "sys/generate-recovery-token/attempt",
    "sys/generate-recovery-token/update",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/seal-status",
    "sys/unseal",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A quota. `path` is empty (everything), a mount with its slash, a path, or a prefix with a star at its end."""

    name: str
    path: str = ""
    role: str = ""  # of the auth mount that is the path
    rate: float
    interval_seconds: int = 1
    block_seconds: int = 0
    inheritable: bool = False
    revision: str  # a changed rule begins to count anew

    @property
    def limit(self) -> int:
        """Return how many requests of one client a window has."""
        return math.ceil(self.rate)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRule:
    """How many leases there may be. `path` is as that of a rate limit."""

    name: str
    path: str = ""
    role: str = ""
    max_leases: int
    inheritable: bool = False
    revision: str  # names the counters; another place begins with others


@dataclass(frozen=True, slots=True, kw_only=True)
class QuotaConfig:
    """What holds for all quotas."""

    exempt_paths: tuple[str, ...] = EXEMPT
    audit_logging: bool = False  # kept and told; refused requests are on record whatever it says
    response_headers: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredQuotas:
    """The row."""

    rules: Mapping[str, Rule] = field(default_factory=dict)
    config: QuotaConfig = QuotaConfig()
    leases: Mapping[str, LeaseRule] = field(default_factory=dict)
    # Folders of lease ids whose leases may belong to other rules now, each with what tells one change from the next.
    uncounted: Mapping[str, str] = field(default_factory=dict)


class Placed(Protocol):
    """What every rule has."""

    @property
    def path(self) -> str:
        """Return where it holds."""

    @property
    def role(self) -> str:
        """Return for which role of a mount."""


P = TypeVar("P", bound=Placed)


class Places(Generic[P]):
    """Rules by where they hold."""

    def __init__(self, rules: Iterable[P]) -> None:
        placed = tuple(rules)
        plain = [rule for rule in placed if not rule.role]
        self.any = bool(plain)
        self.roles = {(rule.path, rule.role): rule for rule in placed if rule.role}
        self.mounts_with_roles = frozenset(path for path, _ in self.roles)
        self._whole = next((rule for rule in plain if not rule.path), None)
        self._exact = {rule.path: rule for rule in plain if rule.path and not rule.path.endswith(("/", "*"))}
        stars = sorted((rule for rule in plain if rule.path.endswith("*")), key=lambda rule: -len(rule.path))
        self._stars = tuple((rule.path[:-1], rule) for rule in stars)
        mounts = sorted((rule for rule in plain if rule.path.endswith("/")), key=lambda rule: -len(rule.path))
        self._mounts = tuple((rule.path, rule) for rule in mounts)

    def find(self, path: str) -> P | None:
        """Return the most specific rule that is for all roles: of the path, of the longest prefix, of the mount, of everything."""
        named = path.removesuffix("/")
        found = self._exact.get(named)
        if found is not None:
            return found
        below = f"{named}/"
        return (
            next((rule for prefix, rule in self._stars if named.startswith(prefix) or below == prefix), None)
            or next((rule for prefix, rule in self._mounts if below.startswith(prefix)), None)
            or self._whole
        )

    def find_for_role(self, path: str, role: str) -> P | None:
        """Return the most specific rule of all."""
        if role:
            for mount in self.mounts_with_roles:
                if path.startswith(mount) and (mount, role) in self.roles:
                    return self.roles[mount, role]
        return self.find(path)


class Table:
    """The rules, ready to be asked."""

    def __init__(self, stored: StoredQuotas) -> None:
        self.stored = stored
        self.rates = Places(stored.rules.values())
        self.leases = Places(stored.leases.values())
        self._exempt = frozenset(path for path in stored.config.exempt_paths if not path.endswith("*"))
        self._exempt_below = tuple(path[:-1] for path in stored.config.exempt_paths if path.endswith("*"))

    @classmethod
    def decode(cls, value: bytes) -> "Table":
        """Return the table stored as `value`."""
        return cls(msgspec.json.decode(value, type=StoredQuotas))

    def find_rule(self, path: str) -> Rule | None:
        """Return the most specific rate limit, unless the path is exempt."""
        return self.rates.find(path) if self.rates.any and not self._is_exempt(path) else None

    def find_role_rule(self, mount_path: str, role: str, path: str) -> Rule | None:
        """Return the rate limit of a role, unless the path is exempt."""
        rule = self.rates.roles.get((mount_path, role))
        return None if rule is None or self._is_exempt(path) else rule

    def _is_exempt(self, path: str) -> bool:
        named = path.removesuffix("/")
        return named in self._exempt or named.startswith(self._exempt_below)


_EMPTY = Table(StoredQuotas())


def read_table(transaction: Transaction) -> Table:
    """Return the quotas; parsed once per change and worker."""
    entry: Entry | None = transaction.get(TABLE)
    return _EMPTY if entry is None else entry.decode(Table.decode)


def save_table(transaction: Transaction, stored: StoredQuotas) -> None:
    """Store the quotas."""
    transaction.put(TABLE, msgspec.json.encode(stored))


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a client has left under a quota, for the headers of its answer."""

    limit: int
    remaining: int
    reset_seconds: int


class Quotas:
    """Reads, changes and applies the quotas."""

    def __init__(self, windows: Windows, clock: Clock) -> None:
        self._windows = windows
        self._monotonic = clock.monotonic
        self._known: Table = _EMPTY

    def admit(self, store: Store | None, path: str, address: str) -> Standing | None:
        """Count a request; return where its client stands if it shall be told. Raises RateLimited."""
        table = self._known if store is None else self._find_table(store)
        rule = table.find_rule(path)
        if rule is None:
            return None
        turn = self._take(rule, address)
        reset = math.ceil(turn.reset_seconds)
        tells = table.stored.config.response_headers
        if not turn.allowed:
            raise RateLimited(path, limit=rule.limit, reset_seconds=reset, tells=tells)
        return Standing(limit=rule.limit, remaining=turn.remaining, reset_seconds=reset) if tells else None

    def _find_table(self, store: Store) -> Table:
        """Return the quotas as they are now; sealed or without a database, those known last still hold."""
        cached, entry = store.cache.find(TABLE)  # nearly always: the way through a transaction takes three times as long
        if cached:
            self._known = _EMPTY if entry is None else entry.decode(Table.decode)
        else:
            with suppress(VaultError):
                self._known = read_table(store.read())
        return self._known

    def admit_role(self, table: Table, mount_path: str, role: str, path: str, address: str) -> None:
        """Count a login for a role; raises RateLimited. It has been counted as a request before."""
        rule = table.find_role_rule(mount_path, role, path)
        if rule is None:
            return
        turn = self._take(rule, address)
        if not turn.allowed:
            tells = table.stored.config.response_headers
            raise RateLimited(path, limit=rule.limit, reset_seconds=math.ceil(turn.reset_seconds), tells=tells)

    def _take(self, rule: Rule, address: str) -> Turn:
        subject = f"{rule.revision}\0{_name_client(address)}".encode()
        return self._windows.take(subject, rule.limit, rule.interval_seconds, rule.block_seconds, self._monotonic())


R = TypeVar("R", Rule, LeaseRule)


def follow(rules: Mapping[str, R], source: str, target: str) -> dict[str, R]:
    """Return the rules with those of a mount at its new path; without one they are left out."""
    return {
        name: replace(rule, path=target + rule.path.removeprefix(source)) if rule.path.startswith(source) else rule
        for name, rule in rules.items()
        if target or not rule.path.startswith(source)
    }


def _name_client(address: str) -> str:
    """Return for whom a request counts: an IPv6 client has a whole network of addresses to choose from."""
    if ":" not in address:
        return address
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        return str(parsed.ipv4_mapped) if parsed.ipv4_mapped else parsed.packed[:8].hex()
    return address
