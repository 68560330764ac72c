"""When the data key is replaced: at will, when it has been used too often, or when it is too old.

Surprise: uses are counted in each worker and put on record now and then, never while somebody waits. A worker that is killed takes
with it what it had not put on record: at most about `KEY_USES_PENDING_MAX`, far less than what the bound leaves free.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import msgspec
import structlog

from vault import limits
from vault.clock import Clock
from vault.seal import Seal
from vault.storage.transaction import Store, Transaction

CONFIG = "core/rotation-config"
USES = "core/key-uses"

T = TypeVar("T")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RotationConfig:
    """When to rotate without being told."""

    max_operations: int = limits.KEY_OPERATIONS_MAX
    interval_seconds: int = 0  # 0: never by age
    enabled: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyStatus:
    """The key in use."""

    term: int
    installed_ns: int
    uses: int


class Runner(Protocol):
    """Runs transactions."""

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Run one transaction."""


def _decode_config(value: bytes) -> RotationConfig:
    return msgspec.json.decode(value, type=RotationConfig)


def _decode_uses(value: bytes) -> dict[int, int]:
    return msgspec.json.decode(value, type=dict[int, int])


class Rotation:
    """The data keys of a cluster, seen from one worker."""

    def __init__(self, seal: Seal, store: Store, clock: Clock) -> None:
        self._seal = seal
        self._store = store
        self._clock = clock
        self._noted_at = clock.monotonic()

    # -- what is asked and told -----------------------------------------------------------------------------------------

    def read_config(self, transaction: Transaction) -> RotationConfig:
        """Return when to rotate."""
        entry = transaction.get(CONFIG)
        return RotationConfig() if entry is None else entry.decode(_decode_config)

    def write_config(self, transaction: Transaction, config: RotationConfig) -> None:
        """Store when to rotate."""
        transaction.put(CONFIG, msgspec.json.encode(config))

    def describe(self, transaction: Transaction) -> KeyStatus:
        """Return the key in use; its uses by other workers are those that are on record."""
        keyring = self._seal.find_keyring(transaction)
        uses = _uses_of(transaction).get(keyring.active, 0) + self._store.barrier.counts.get(keyring.active, 0)
        return KeyStatus(term=keyring.active, installed_ns=keyring.installed.get(keyring.active, 0), uses=uses)

    # -- without being asked --------------------------------------------------------------------------------------------

    def rotate_if_due(self, runner: Runner) -> None:
        """Rotate once the key in use is too old or was used too often. For the one worker that does the background work."""
        if runner.run(self._rotate_if_due):
            self._seal.follow_keyring()

    def _rotate_if_due(self, transaction: Transaction) -> bool:
        config, status = self.read_config(transaction), self.describe(transaction)
        age_seconds = self._clock.now() - status.installed_ns / 1e9
        is_due = status.uses >= config.max_operations or 0 < config.interval_seconds <= age_seconds
        if not (config.enabled and is_due):
            return False
        self._seal.rotate(transaction)
        _log.info("the data key is rotated", term=status.term + 1)
        return True

    def note_uses_if_due(self) -> None:
        """Put the uses of keys on record when there are many, or it is time. For every worker, now and then."""
        pending = sum(self._store.barrier.counts.values())
        waited = self._clock.monotonic() - self._noted_at
        if pending >= limits.KEY_USES_PENDING_MAX or any(
            pending >= least and waited >= seconds
            for least, seconds in ((limits.KEY_USES_WORTH_NOTING, limits.KEY_USES_SECONDS), (1, limits.KEY_USES_SECONDS_MAX))
        ):
            self.note_uses()

    def note_uses(self) -> None:
        """Put the uses of keys on record."""
        counts = self._store.barrier.take_counts()
        if not counts or not self._seal.is_open():
            self._store.barrier.count(counts)
            return

        def note(transaction: Transaction) -> None:
            known = _uses_of(transaction)
            total = known | {term: known.get(term, 0) + number for term, number in counts.items()}
            transaction.put(USES, msgspec.json.encode(total))

        try:
            self._store.run(note)
        except BaseException:
            self._store.barrier.count(counts)  # one that came through all the same counts twice: too many is the safe side
            raise
        self._noted_at = self._clock.monotonic()


def _uses_of(transaction: Transaction) -> dict[int, int]:
    entry = transaction.get(USES)
    return {} if entry is None else entry.decode(_decode_uses)
