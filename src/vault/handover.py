"""How a new root key reaches those that did not make it: other hosts, and workers of a host whose writer was killed at its commit.

A rekey leaves the new root key in a plain row, sealed by the root key before it: whoever has that one in its page goes on from there,
with an open barrier or without. Rekeys in a row make a chain. After a few minutes the row goes.
"""

from dataclasses import dataclass
from typing import Protocol

import msgspec

from vault import limits
from vault.clock import Clock
from vault.crypto import aead
from vault.revocation import Runner
from vault.shares import find_sealed
from vault.storage.transaction import Transaction

HANDOVER = "core/root-key-handover"


class Reader(Protocol):
    """What is needed of the store."""

    def read(self) -> Transaction:
        """Return a transaction for reading."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Handover:
    """Root keys, each sealed by the one before it, and since when the last one is there (unix seconds)."""

    links: tuple[bytes, ...]
    made_at: float


def _parse(value: bytes | None) -> Handover | None:
    try:
        return None if value is None else msgspec.json.decode(value, type=Handover)
    except msgspec.DecodeError:  # the row is plain: anybody may have changed it
        return None


def extend(transaction: Transaction, former: bytes, root_key: bytes, now: float) -> None:
    """Hand a new root key over to those that have the former one."""
    known = _parse(transaction.get_plain(HANDOVER))
    links = known.links if known is not None and now - known.made_at <= limits.HANDOVER_SECONDS else ()
    links = (*links, aead.seal(former, root_key, HANDOVER.encode()))[-limits.HANDOVER_LINKS_MAX :]
    transaction.put_plain(HANDOVER, msgspec.json.encode(Handover(links=links, made_at=now)))


def follow(value: bytes, root_key: bytes) -> bytes:
    """Return where the row leads from a root key; that one itself if nowhere."""
    handover = _parse(value)
    for link in handover.links if handover else ():
        root_key = find_sealed(root_key, link, HANDOVER) or root_key
    return root_key


class Tidier:
    """Ends handovers that have lasted long enough."""

    def __init__(self, store: Reader, fenced: Runner, clock: Clock) -> None:
        """`fenced` writes only while this worker does the background work of the cluster."""
        self._store = store
        self._fenced = fenced
        self._clock = clock

    def tidy(self) -> None:
        """End a handover that is over."""
        if self._is_over(self._store.read()):
            self._fenced.run(self._end)

    def _end(self, transaction: Transaction) -> None:
        if self._is_over(transaction):
            transaction.delete(HANDOVER)

    def _is_over(self, transaction: Transaction) -> bool:
        handover = _parse(transaction.get_plain(HANDOVER))
        return handover is not None and self._clock.now() - handover.made_at > limits.HANDOVER_SECONDS
