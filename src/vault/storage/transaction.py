"""Optimistic transactions over encrypted rows.

A transaction buffers its writes. A row that it read and then wrote is written on the condition that it is still what was read;
if it is not, the work is run again from the start. So handlers need no locks, and a handler that keeps to its transaction is
exact under any number of workers. A transaction that wrote nothing costs no round trip; one that read only cached rows costs
none for reading.
"""

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import msgspec
import structlog

from vault import limits
from vault.crypto.random import random_bytes
from vault.errors import Conflict, IntegrityError, StorageUnavailable, VaultError
from vault.storage import budget
from vault.storage.barrier import Barrier
from vault.storage.cache import Cache, Entry, list_key, listing_slots, slot_of
from vault.storage.physical import ABSENT, Change, Physical, Prepared, WriteConflict

T = TypeVar("T")
Noted = dict[str, tuple[int, int]]  # slot and generation of each path that is written


# The only rows that are not encrypted by the barrier: what a sealed server must read. Their contents are sealed by other keys
# or tell nothing.
PLAIN = frozenset(
    {
        "core/seal-config",
        "core/root-key",
        "core/former-root-key",
        "core/root-key-handover",
        "core/recovery-key",
        "core/keyring",
        "core/audit-plain",
    }
)
_QUEUE_SECONDS = 1.0
_NOWHERE = "nowhere/"  # no row is ever put there
_NOTICE_SLOTS_MAX = 1000  # a notice of PostgreSQL holds 8,000 bytes

_log = structlog.get_logger(__name__)


class _Write(msgspec.Struct):
    value: bytes | None  # None: delete
    plain: bool = False
    cached: bool = True
    expires_at: float | None = None
    sealed: bytes | None = None


class Transaction:
    """What one request reads and writes."""

    def __init__(self, store: "Store", *, fresh: bool = False) -> None:
        self._store = store
        self._fresh = fresh
        self._reads: dict[str, Entry | None] = {}
        self._loads = 0  # of these, from the database
        self._writes: dict[str, _Write] = {}
        self._guards: set[str] = set()
        self._prefixes: list[str] = []

    # -- reading ------------------------------------------------------------------------------------------------------

    def get(self, path: str) -> Entry | None:
        """Return the entry at exactly this path; own writes first."""
        write = self._writes.get(path)
        if write is not None:
            return None if write.value is None else Entry(write.value, -1)
        if self._prefixes and any(path.startswith(prefix) for prefix in self._prefixes):
            return None
        if path in self._reads:
            return self._reads[path]
        found, entry = (False, None) if self._fresh else self._store.cache.find(path)
        if not found:
            entry = self._store.load(path)
            self._loads += 1
        self._reads[path] = entry
        return entry

    def level(self) -> None:
        """Make the reads so far cost a trip to the database each: then time does not tell what was in the cache, and so in use.

        What is asked for is not there: a row would take longer, the larger the longer. Nothing hangs on it: no failure of it is raised,
        which would take the place of what the caller is about to raise.
        """
        with suppress(VaultError):
            while self._loads < len(self._reads):
                self._store.load(_NOWHERE + random_bytes(16).hex())
                self._loads += 1

    def get_plain(self, path: str) -> bytes | None:
        """Return one of the few rows that are not encrypted by the barrier."""
        write = self._writes.get(path)
        if write is not None:
            return write.value
        if path not in self._reads:
            self._reads[path] = self._store.load_plain(path, fresh=self._fresh)
        entry = self._reads[path]
        return None if entry is None else entry.value

    def list_children(self, prefix: str, after: str = "", limit: int | None = None) -> tuple[str, ...]:
        """Return names directly below a prefix, folders with a slash, in byte order. Own writes of new rows are not seen."""
        return self._store.list_children(prefix, after, limit, fresh=self._fresh)

    def list_subtree(self, prefix: str, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """Return paths below a prefix, relative to it, in byte order."""
        return self._store.physical.list_subtree(prefix, after, limit)

    # -- writing ------------------------------------------------------------------------------------------------------

    def put(self, path: str, value: bytes, expires_at: float | None = None, *, cached: bool = True) -> None:
        """Write a row; one that is seldom read need not be `cached` for having been written."""
        self._writes[path] = _Write(value, expires_at=expires_at, cached=cached)

    def put_plain(self, path: str, value: bytes) -> None:
        """Write one of the few rows that are not encrypted by the barrier."""
        if path not in PLAIN:
            raise ValueError(path)
        self._writes[path] = _Write(value, plain=True)

    def delete(self, path: str) -> None:
        """Delete a row; a missing one is no error."""
        self._writes[path] = _Write(None)

    def delete_prefix(self, prefix: str) -> None:
        """Delete all rows below a prefix."""
        self._prefixes.append(prefix)
        for path in [path for path in self._writes if path.startswith(prefix)]:
            del self._writes[path]

    def guard(self, path: str) -> None:
        """Fail the commit if this row is not as it was read."""
        self.get(path)
        self._guards.add(path)

    @property
    def has_changes(self) -> bool:
        """Return whether there is anything to commit."""
        return bool(self._writes or self._prefixes)

    def seal_writes(self) -> None:
        """Encrypt what was written so far, while the barrier is open: for the one transaction that makes the keys."""
        for path, write in self._writes.items():
            if write.value is not None and write.sealed is None:
                write.sealed = write.value if write.plain else self._store.barrier.encrypt(path, write.value)

    def changes(self) -> list[Change]:
        """Return the changes in the order in which rows are locked."""
        self.seal_writes()
        return [self._change(path) for path in sorted(self._writes.keys() | self._guards)]

    def _change(self, path: str) -> Change:
        expected = self._expected(path)
        write = self._writes.get(path)
        if write is None:
            return Change(path=path, expected=expected)
        return Change(
            path=path,
            value=write.sealed,
            delete=write.value is None,
            expected=expected,
            expires_at=write.expires_at,
        )

    def _expected(self, path: str) -> int | None:
        if path not in self._reads:
            return None
        entry = self._reads[path]
        return ABSENT if entry is None else entry.version

    @property
    def prefixes(self) -> list[str]:
        """Return the prefixes to be emptied."""
        return self._prefixes

    def written(self) -> dict[str, bytes | None]:
        """Return the encrypted rows to be cached by path, new value or None."""
        return {path: write.value for path, write in self._writes.items() if write.cached and not write.plain}


class Store:
    """Runs transactions over rows, a barrier and this worker's cache."""

    def __init__(self, physical: Physical, barrier: Barrier, cache: Cache, bump: Callable[[set[int]], dict[int, int]]) -> None:
        self.physical = physical
        self.barrier = barrier
        self.cache = cache
        self._bump = bump

    # -- reading ------------------------------------------------------------------------------------------------------

    def read(self, *, fresh: bool = False) -> Transaction:
        """Return a transaction for reading; a fresh one reads past the cache."""
        return Transaction(self, fresh=fresh)

    def load(self, path: str) -> Entry | None:
        """Return the entry at a path as it is stored now."""
        noted = self.cache.note(path)
        row = self.physical.get(path)
        entry = None if row is None else Entry(self._decrypt(path, row.value), row.version)
        self._keep(path, noted, entry)
        return entry

    def _decrypt(self, path: str, sealed: bytes) -> bytes:
        try:
            return self.barrier.decrypt(path, sealed)
        except IntegrityError:
            # By its hash the row can be found, and nothing is told to those who only read the log.
            _log.error("a stored row failed its integrity check", path_sha256=hashlib.sha256(path.encode()).hexdigest())
            raise

    def _keep(self, path: str, noted: tuple[int, int], entry: Entry | None) -> None:
        self.cache.keep(path, noted, entry)
        if not self.barrier.is_open:  # sealed meanwhile: the cache was cleared before this came into it
            self.cache.clear()

    def load_plain(self, path: str, *, fresh: bool = False) -> Entry | None:
        """Return one of the few rows that are not encrypted by the barrier."""
        if path not in PLAIN:
            raise ValueError(path)
        key = (path,)  # apart from the encrypted rows, so that neither can be taken for the other
        found, entry = (False, None) if fresh else self.cache.find(key)
        if found:
            return entry
        noted = self.cache.note(path)
        row = self.physical.get(path)
        entry = None if row is None else Entry(row.value, row.version)
        self.cache.keep(key, noted, entry)
        return entry

    def list_children(self, prefix: str, after: str, limit: int | None, *, fresh: bool = False) -> tuple[str, ...]:
        """Return names directly below a prefix."""
        key = (prefix, after, limit)
        if not fresh:
            found, names = self.cache.find(key)
            if found:
                return names  # type: ignore[no-any-return]  # listing keys map to names
        noted = self.cache.note(list_key(prefix))
        names = self.physical.list_children(prefix, after, limit)
        if len(names) <= limits.CACHED_LISTING_MAX:
            self.cache.keep(key, noted, names)
        return names

    def list_expired(self, before: float, limit: int, prefix: str = "") -> tuple[str, ...]:
        """Return paths below a prefix whose expiry lies before a time (unix seconds), oldest first."""
        return self.physical.list_expired(before, limit, prefix)

    # -- writing ------------------------------------------------------------------------------------------------------

    def run(self, work: Callable[[Transaction], T], before_commit: Callable[[T], Any] | None = None, *, fresh: bool = False) -> T:
        """Run `work` and commit what it wrote; run it again when another writer came first.

        `before_commit` gets the result while the changes are checked and applied but not yet visible; if it raises, nothing
        of the transaction happens. `fresh` reads past the cache. Raises Conflict when other writers came first too often.
        """
        with budget.limited():
            try:
                return self._attempt(work, before_commit, fresh=fresh)
            except WriteConflict as conflict:
                contended = str(conflict)
            # Writers of the host take turns at a contended row; that spares retries and decides nothing.
            with self.cache.queue(contended, _QUEUE_SECONDS):
                return self._retry(work, before_commit)

    def _retry(self, work: Callable[[Transaction], T], before_commit: Callable[[T], Any] | None) -> T:
        for attempt in range(1, limits.TRANSACTION_ATTEMPTS_MAX):
            if not budget.remaining_seconds():
                break
            if attempt > 1:
                time.sleep(random.random() * min(0.0005 * 2**attempt, 0.02))  # noqa: S311 - spreads retries, no secret
            with suppress(WriteConflict):
                return self._attempt(work, before_commit, fresh=True)
        raise Conflict

    def _attempt(self, work: Callable[[Transaction], T], before_commit: Callable[[T], Any] | None, *, fresh: bool) -> T:
        transaction = Transaction(self, fresh=fresh)
        result = work(transaction)
        self._commit(transaction, result, before_commit)
        return result

    def _commit(self, transaction: Transaction, result: T, before_commit: Callable[[T], Any] | None) -> None:
        if not transaction.has_changes:
            if before_commit is not None:
                before_commit(result)
            return
        version = int.from_bytes(random_bytes(8), "big") >> 1 | 1
        changes = transaction.changes()
        noted = self.cache.note_all(change.path for change in changes if change.is_write)
        prepared = self.physical.prepare(version, changes, transaction.prefixes, notice_of(changes, noted, transaction.prefixes))
        try:
            if before_commit is not None:
                before_commit(result)
        except BaseException:
            prepared.rollback()
            raise
        try:
            prepared.commit()
        except StorageUnavailable:  # certainly not applied
            raise
        except BaseException:  # it may have been, or it may still be
            self.cache.distrust()
            raise
        moved = self._publish(noted, prepared)
        self._keep_written(transaction, version, noted, moved)

    def _keep_written(self, transaction: Transaction, version: int, noted: Noted, moved: dict[int, int]) -> None:
        for path, value in transaction.written().items():
            slot, generation = noted[path]
            if moved[slot] == generation + 1:  # nobody else wrote in between: what was written is what is there
                self._keep(path, (slot, generation + 1), None if value is None else Entry(value, version))

    def _publish(self, noted: Noted, prepared: Prepared) -> dict[int, int]:
        """Move the counters of all that changed: rows, and the listings of the folders above what came or went."""
        slots = {slot for slot, _ in noted.values()}
        for path in prepared.created:
            slots |= listing_slots(path)
        for path in prepared.removed:
            slots.add(slot_of(path))  # what lay below a prefix was not noted
            slots |= listing_slots(path)
        return self._bump(slots)


def notice_of(changes: Sequence[Change], noted: Noted, prefixes: Sequence[str]) -> str:
    """Return what other hosts are told: the counters to move, or `*` for all of them."""
    slots = {slot for slot, _ in noted.values()}
    for change in changes:
        if change.is_write and (change.delete or not change.expected):  # it may come or go, and the listings above it with it
            slots |= listing_slots(change.path)
    return "*" if prefixes or len(slots) > _NOTICE_SLOTS_MAX else " ".join(map(str, slots))
