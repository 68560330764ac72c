"""Revokes token trees and prefixes of leases: the work that takes more than one transaction.

Every step is idempotent and leaves a state from which the expiry worker goes on if this process dies.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from msgspec import structs

from vault.clock import Clock
from vault.errors import Conflict, OutcomeUnknown, Sealed, StorageUnavailable
from vault.leases import LeaseRecord, LeaseStore
from vault.logical.mount import Mount
from vault.modules.auth.tokens import TokenStore, walk_tree
from vault.mounts import Mounts
from vault.storage.transaction import Transaction

T = TypeVar("T")


class Runner(Protocol):
    """Where transactions run: the store, or the store behind a fence."""

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Run one transaction, again on conflict."""


_PASSING = (Sealed, StorageUnavailable, OutcomeUnknown, Conflict)  # no fault of the lease
BATCH = 500  # rows per transaction: short locks, and far below the statement timeout


class Revoker:
    """Removes what was marked, and marks what falls due."""

    def __init__(
        self,
        store: Runner,
        *,
        tokens: TokenStore,
        leases: LeaseStore,
        mounts: Mounts,
        clock: Clock,
        cubbyhole_prefix: Callable[[Transaction], str],
    ) -> None:
        self._store = store
        self._mounts = mounts
        self._tokens = tokens
        self._leases = leases
        self._clock = clock
        self._cubbyhole_prefix = cubbyhole_prefix

    def revoke_tree(self, key: str) -> None:
        """Revoke a token and everything below it. Returns when no worker accepts any of them.

        A token that was marked to spare its children leaves them behind as orphans, whoever comes to finish it.
        """
        token = self._store.run(lambda transaction: self._tokens.mark_revoked(transaction, key))
        if token is not None and token.spares_children:
            for page in self._iterate_children(key):
                self._store.run(partial(self._orphan, key, page))
        for doomed in walk_tree(self._mark_children, key):
            self._store.run(partial(self._remove, doomed))

    def _iterate_children(self, key: str) -> Iterator[tuple[str, ...]]:
        after = ""
        while page := self._store.run(partial(self._list_children, key, after)):
            yield page
            after = page[-1]

    def _list_children(self, key: str, after: str, transaction: Transaction) -> tuple[str, ...]:
        return self._tokens.list_children(transaction, key, after, BATCH)

    def _mark_children(self, key: str) -> tuple[str, ...]:
        children: list[str] = []
        for page in self._iterate_children(key):
            self._store.run(partial(self._mark, page))
            children += page
        return tuple(children)

    def _mark(self, children: tuple[str, ...], transaction: Transaction) -> None:
        for child in children:
            self._tokens.mark_revoked(transaction, child)

    def _orphan(self, parent: str, children: tuple[str, ...], transaction: Transaction) -> None:
        for child in children:
            self._tokens.orphan_child(transaction, parent, child)

    def _remove(self, key: str, transaction: Transaction) -> None:
        token = self._tokens.find_row(transaction, key)
        if token is not None:
            self._tokens.remove(transaction, token, self._cubbyhole_prefix(transaction))

    def revoke_lease(self, lease_id: str, *, force: bool = False) -> None:
        """Revoke what a lease stands for; an unknown id is no error.

        A failed revocation keeps the lease, counts the attempt and raises; `force` drops the lease all the same.
        """
        record = self._store.run(lambda transaction: self._leases.find(transaction, lease_id))
        if record is None:
            return
        try:
            self.revoke_tree(record.token_key)
        except Exception as failure:
            if not force or isinstance(failure, _PASSING):  # force is for leases that cannot be revoked, not for bad moments
                self.note_failure(lease_id, failure)
                raise
        self._store.run(partial(self._forget_lease, lease_id, record.accessor))

    def _forget_lease(self, lease_id: str, accessor: str, transaction: Transaction) -> None:
        # The token has removed its own lease; a lease without its token is still there. One that bears the id by now but is of
        # another token (a custom id that was given anew) stays.
        record = self._leases.find(transaction, lease_id)
        if record is not None and record.accessor == accessor:
            self._leases.delete(transaction, lease_id)

    def revoke_due(self, lease_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Revoke leases that were found due, in few transactions. Returns those that are not revoked because they are not due.

        If it raises, some of them may be revoked, and those that are not are as they were.
        """
        due = self._store.run(partial(self._mark_due, lease_ids))
        single = {lease_id: record for lease_id, record in due.items() if not self._list_first_child(record.token_key)}
        self._store.run(partial(self._remove_single, single))
        for lease_id in due.keys() - single.keys():
            self.revoke_tree(due[lease_id].token_key)
            self._store.run(partial(self._forget_lease, lease_id, due[lease_id].accessor))
        return tuple(lease_id for lease_id in lease_ids if lease_id not in due)

    def _mark_due(self, lease_ids: tuple[str, ...], transaction: Transaction) -> dict[str, LeaseRecord]:
        due = {}
        for lease_id in lease_ids:
            record = self._leases.find(transaction, lease_id)
            if record is None:
                continue
            if record.expires_at > self._clock.now():
                self._leases.put(transaction, lease_id, record)  # the record decides; its index told something else
                continue
            due[lease_id] = record
            self._tokens.mark_revoked(transaction, record.token_key)
        return due

    def _list_first_child(self, key: str) -> tuple[str, ...]:
        return self._store.run(lambda transaction: self._tokens.list_children(transaction, key, "", 1))

    def _remove_single(self, leases: Mapping[str, LeaseRecord], transaction: Transaction) -> None:
        for lease_id, record in leases.items():
            self._remove(record.token_key, transaction)
            self._forget_lease(lease_id, record.accessor, transaction)

    def note_failure(self, lease_id: str, failure: Exception) -> None:
        """Count a failed revocation on its lease, and put the next try off; bad moments of the storage do not count."""
        if isinstance(failure, _PASSING):
            return

        def note(transaction: Transaction) -> None:
            record = self._leases.find(transaction, lease_id)
            if record is not None:
                delay = 2 ** min(record.attempts, 6)  # the next try, further off each time
                self._leases.put(
                    transaction,
                    lease_id,
                    structs.replace(
                        record,
                        attempts=record.attempts + 1,
                        last_error=type(failure).__name__,
                        expires_at=max(record.expires_at, self._clock.now() + delay),
                    ),
                )

        with suppress(Exception):  # the storage that failed the revocation may fail this note too; the lease is still there
            self._store.run(note)

    def revoke_prefix(self, prefix: str, *, force: bool = False) -> None:
        """Revoke all leases below a prefix of lease ids."""
        for lease_id in self.iterate_leases(prefix):
            self.revoke_lease(lease_id, force=force)

    def iterate_leases(self, prefix: str) -> Iterator[str]:
        """Yield all lease ids below a prefix."""
        after = ""
        while page := self._store.run(partial(self._list_leases, prefix, after)):
            yield from (prefix + name for name in page)
            after = page[-1]

    def remove_mount(self, mount: Mount) -> None:
        """Revoke, empty and forget a tainted mount. Any process may go on where another was killed."""
        self.revoke_prefix(mount.path, force=True)
        self.purge(mount.storage_prefix)
        self._store.run(lambda transaction: self._mounts.forget(transaction, mount))

    def tidy_accessors(self, page_size: int) -> int:
        """Delete accessors whose token is gone. Returns how many."""
        after, removed = "", 0
        while page := self._store.run(partial(self._list_accessors, after, page_size)):
            removed += self._store.run(partial(self._tidy_page, page))
            after = page[-1]
        return removed

    def purge(self, prefix: str) -> None:
        """Delete all rows below a storage prefix, in bounded transactions."""
        while page := self._store.run(lambda transaction: transaction.list_subtree(prefix, "", BATCH)):
            self._store.run(partial(_delete_all, prefix, page))

    def _list_leases(self, prefix: str, after: str, transaction: Transaction) -> tuple[str, ...]:
        return self._leases.list_subtree(transaction, prefix, after, BATCH)

    def _list_accessors(self, after: str, page_size: int, transaction: Transaction) -> tuple[str, ...]:
        return self._tokens.list_accessors(transaction, after, page_size)

    def _tidy_page(self, accessors: tuple[str, ...], transaction: Transaction) -> int:
        return self._tokens.remove_stray_accessors(transaction, accessors)


def _delete_all(prefix: str, names: tuple[str, ...], transaction: Transaction) -> None:
    for name in names:
        transaction.delete(prefix + name)
