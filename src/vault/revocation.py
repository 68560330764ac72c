"""Revokes token trees and prefixes of leases: the work that takes more than one transaction.

Every step is idempotent and leaves a state from which the expiry worker goes on if this process dies.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Protocol, TypeVar

from vault.clock import Clock
from vault.leases import LeaseStore
from vault.logical.mount import Mount
from vault.modules.auth.tokens import TokenStore, walk_tree
from vault.mounts import Mounts
from vault.storage.transaction import Transaction

T = TypeVar("T")


class Runner(Protocol):
    """Where transactions run: the store, or the store behind a fence."""

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Run one transaction, again on conflict."""


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
        """Revoke a token and everything below it. Returns when no worker accepts any of them."""
        self._store.run(lambda transaction: self._tokens.mark_revoked(transaction, key))
        for doomed in walk_tree(self._mark_children, key):
            self._store.run(partial(self._remove, doomed))

    def revoke_orphaning(self, key: str) -> None:
        """Revoke one token; its children become orphans."""
        self._store.run(lambda transaction: self._tokens.mark_revoked(transaction, key))
        while children := self._store.run(lambda transaction: self._tokens.list_children(transaction, key, BATCH)):
            self._store.run(partial(self._orphan, key, children))
        self._store.run(partial(self._remove, key))

    def _mark_children(self, key: str) -> tuple[str, ...]:
        children = self._store.run(lambda transaction: self._tokens.list_children(transaction, key))
        for start in range(0, len(children), BATCH):
            self._store.run(partial(self._mark, children[start : start + BATCH]))
        return children

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
            if not force:
                self._note_failure(lease_id, failure)
                raise
        # The token removes its own lease; a lease without its token would stay otherwise.
        self._store.run(lambda transaction: self._leases.delete(transaction, lease_id))

    def _note_failure(self, lease_id: str, failure: Exception) -> None:
        def note(transaction: Transaction) -> None:
            record = self._leases.find(transaction, lease_id)
            if record is not None:
                delay = min(2**record.attempts, 64)  # the next try, further off each time
                self._leases.put(
                    transaction,
                    lease_id,
                    replace(
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
