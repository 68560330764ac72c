"""How a new root key reaches the hosts that did not make it.

A rekey leaves the new root key in a row that the barrier encrypts: whoever is unsealed can read it. Each worker looks for it now and
then and puts it into its host's page, so that workers that come later can open the keyring. After a few minutes the row goes.
"""

from dataclasses import dataclass
from typing import Protocol

import msgspec

from vault import limits
from vault.clock import Clock
from vault.revocation import Runner
from vault.seal import Seal
from vault.storage.transaction import Transaction

HANDOVER = "core/root-key-handover"


class Reader(Protocol):
    """What is needed of the store."""

    def read(self) -> Transaction:
        """Return a transaction for reading."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Handover:
    """A new root key, and since when (unix seconds)."""

    root_key: bytes
    made_at: float


def find_handover(transaction: Transaction) -> Handover | None:
    """Return what is being handed over."""
    entry = transaction.get(HANDOVER)
    return None if entry is None else msgspec.json.decode(entry.value, type=Handover)


class Successor:
    """One worker's part in taking over."""

    def __init__(self, store: Reader, fenced: Runner, seal: Seal, clock: Clock) -> None:
        """`fenced` writes only while this worker does the background work of the cluster."""
        self._store = store
        self._fenced = fenced
        self._seal = seal
        self._clock = clock

    def follow(self) -> None:
        """Take over a new root key for this host."""
        handover = find_handover(self._store.read())
        if handover is not None:
            self._seal.adopt(handover.root_key)

    def tidy(self) -> None:
        """End a handover that has lasted long enough."""
        if self._is_over(self._store.read()):
            self._fenced.run(self._end)

    def _end(self, transaction: Transaction) -> None:
        if self._is_over(transaction):
            transaction.delete(HANDOVER)

    def _is_over(self, transaction: Transaction) -> bool:
        handover = find_handover(transaction)
        return handover is not None and self._clock.now() - handover.made_at > limits.HANDOVER_SECONDS
