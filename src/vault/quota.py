"""Rate-limit quotas: which rule a request falls under, and whether its client has a request left.

The rules are one encrypted row; every worker sees a change at its next request. The counters are in shared memory: a limit holds over
all workers of a host, each host counts for itself, and a restart of the server begins anew.
"""

import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from ipaddress import IPv6Address, ip_address

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


class Table:
    """The rules, ready to be asked."""

    def __init__(self, stored: StoredQuotas) -> None:
        self.stored = stored
        rules = stored.rules.values()
        self._whole = next((rule for rule in rules if not rule.path), None)
        self._exact = {rule.path: rule for rule in rules if rule.path and not rule.path.endswith(("/", "*"))}
        stars = sorted((rule for rule in rules if rule.path.endswith("*")), key=lambda rule: -len(rule.path))
        self._stars = tuple((rule.path[:-1], rule) for rule in stars)
        mounts = sorted((rule for rule in rules if rule.path.endswith("/")), key=lambda rule: -len(rule.path))
        self._mounts = tuple((rule.path, rule) for rule in mounts)
        self._exempt = frozenset(path for path in stored.config.exempt_paths if not path.endswith("*"))
        self._exempt_below = tuple(path[:-1] for path in stored.config.exempt_paths if path.endswith("*"))

    @classmethod
    def decode(cls, value: bytes) -> "Table":
        """Return the table stored as `value`."""
        return cls(msgspec.json.decode(value, type=StoredQuotas))

    def find_rule(self, path: str) -> Rule | None:
        """Return the most specific rule: of the path, of the longest prefix, of the mount, of everything."""
        named = path.removesuffix("/")
        if not self.stored.rules or named in self._exempt or named.startswith(self._exempt_below):
            return None
        found = self._exact.get(named)
        if found is not None:
            return found
        below = f"{named}/"
        return (
            next((rule for prefix, rule in self._stars if named.startswith(prefix) or below == prefix), None)
            or next((rule for prefix, rule in self._mounts if below.startswith(prefix)), None)
            or self._whole
        )


_EMPTY = Table(StoredQuotas())


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

    def table(self, transaction: Transaction) -> Table:
        """Return the quotas; parsed once per change and worker."""
        entry: Entry | None = transaction.get(TABLE)
        return _EMPTY if entry is None else entry.decode(Table.decode)

    def save(self, transaction: Transaction, stored: StoredQuotas) -> None:
        """Store the quotas."""
        transaction.put(TABLE, msgspec.json.encode(stored))

    def follow_mount(self, transaction: Transaction, source: str, target: str) -> None:
        """Take the quotas of a mount along to its new path, counters and all; without one they end with it."""
        stored = self.table(transaction).stored
        rules = {
            name: replace(rule, path=target + rule.path.removeprefix(source)) if rule.path.startswith(source) else rule
            for name, rule in stored.rules.items()
            if target or not rule.path.startswith(source)
        }
        if rules != stored.rules:
            self.save(transaction, replace(stored, rules=rules))

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
                self._known = self.table(store.read())
        return self._known

    def _take(self, rule: Rule, address: str) -> Turn:
        subject = f"{rule.revision}\0{_name_client(address)}".encode()
        return self._windows.take(subject, rule.limit, rule.interval_seconds, rule.block_seconds, self._monotonic())


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
