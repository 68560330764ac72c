"""Failed logins as they are counted: by the name that was tried, in groups of bounded size. Pure values; `lockout` keeps them.

An attempt is noted before the password is looked at and counts as a failure until it is known to be none, or its process is dead. When
a group is full, a newcomer takes over the place with the fewest failures and goes on from there: it may be locked too early, but
crowding the table gives nobody another guess.
"""

import unicodedata
from collections.abc import Mapping
from hashlib import sha256

import msgspec
from msgspec import structs

from vault import limits

PLACES = 32  # of a group
NAME_BYTES_MAX = 256  # a longer name is known by its hash
ALL = "all"  # what the configuration calls all of the following
KINDS = frozenset({"approle", "ldap", "userpass"})  # auth methods that count, as in Vault


def fold_name(name: str) -> str:
    """Return a name in the one spelling in which it is counted, whatever the auth method makes of its spellings."""
    folded = unicodedata.normalize("NFKC", name).strip().casefold()
    raw = folded.encode("utf-8", "surrogatepass")
    return folded if len(raw) <= NAME_BYTES_MAX else f"sha256:{sha256(raw).hexdigest()}"


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """When a name is locked. Seconds."""

    threshold: int = limits.LOCKOUT_THRESHOLD
    duration_seconds: int = limits.LOCKOUT_SECONDS
    reset_seconds: int = limits.LOCKOUT_SECONDS  # after so long without another failure, those before are forgotten
    disabled: bool = False

    @property
    def longest_seconds(self) -> int:
        """Return how long a failure may matter."""
        return max(self.duration_seconds, self.reset_seconds)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one name."""

    name: str
    failures: int = 0
    failed_at: float = 0.0
    attempts: Mapping[str, float] = msgspec.field(default_factory=dict)  # that are being checked: when each began

    @property
    def weight(self) -> int:
        """Return how many failures there are, should all that is being checked fail."""
        return self.failures + len(self.attempts)

    def is_locked(self, rule: Rule, now: float) -> bool:
        """Return whether nobody of this name gets in."""
        return self.failures >= rule.threshold and now < self.failed_at + rule.duration_seconds

    def settle(self, rule: Rule, now: float) -> "Record":
        """Return what is true now: attempts of the dead have failed, and what is long ago is forgotten."""
        dead = {key: begun for key, begun in self.attempts.items() if begun + limits.ATTEMPT_SECONDS_MAX < now}
        failures, failed_at = self.failures + len(dead), max(self.failed_at, *dead.values(), 0.0)
        over = failed_at + (rule.duration_seconds if failures >= rule.threshold else rule.reset_seconds) <= now
        return structs.replace(
            self,
            failures=0 if over else failures,
            failed_at=failed_at,
            attempts={key: begun for key, begun in self.attempts.items() if key not in dead},
        )

    def begin(self, key: str, now: float) -> "Record":
        """Note an attempt."""
        return structs.replace(self, attempts={**self.attempts, key: now})

    def end(self, key: str) -> "Record":
        """Forget an attempt."""
        return structs.replace(self, attempts={other: begun for other, begun in self.attempts.items() if other != key})

    def fail(self, now: float) -> "Record":
        """Count a failure."""
        return structs.replace(self, failures=self.failures + 1, failed_at=now)

    def forgive(self) -> "Record":
        """Forget the failures; what is being checked may still fail."""
        return structs.replace(self, failures=0)


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Names that share a row."""

    records: tuple[Record, ...] = ()
    ends_at: float = 0.0  # when nothing of it matters any more, by the rule that held when it was written

    @classmethod
    def decode(cls, value: bytes) -> "Group":
        """Return a group as stored."""
        return msgspec.json.decode(value, type=cls)

    def settle(self, rule: Rule, now: float) -> "Group":
        """Return what is true now, without those of whom there is nothing to know."""
        settled = (record.settle(rule, now) for record in self.records)
        return Group(records=tuple(record for record in settled if record.weight))

    def find(self, name: str) -> Record:
        """Return the record of a name in a settled group, the one that it would take over if there is no room for another."""
        own = next((record for record in self.records if record.name == name), None)
        if own is not None:
            return own
        if len(self.records) < PLACES:
            return Record(name=name)
        taken = self._find_lightest()
        return Record(name=name, failures=taken.weight, failed_at=max(taken.failed_at, *taken.attempts.values(), 0.0))

    def put(self, record: Record) -> "Group":
        """Return the group with a record, in the place of the one with the fewest failures if there is no room."""
        others = Group(records=tuple(other for other in self.records if other.name != record.name))
        if not record.weight:
            return others
        if len(others.records) >= PLACES:
            lightest = others._find_lightest()
            others = Group(records=tuple(other for other in others.records if other is not lightest))
        return Group(records=(*others.records, record))

    def _find_lightest(self) -> Record:
        return min(self.records, key=lambda record: (record.weight, record.failed_at))

    def find_end(self, rule: Rule) -> float:
        """Return when nothing of the group will matter any more."""
        return max((self._end_of(record, rule) for record in self.records), default=0.0)

    def _end_of(self, record: Record, rule: Rule) -> float:
        latest = max(record.attempts.values(), default=0.0)
        return max(record.failed_at, latest + limits.ATTEMPT_SECONDS_MAX if latest else 0.0) + rule.longest_seconds


NOBODY = Group()
