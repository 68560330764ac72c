"""Clears away what opens nothing any more: expired secret ids, and those of deleted roles.

Both are refused without it. They are found by the time at which their rows are due, so this costs what there is to be cleared away and
nothing for what is still good.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from vault.clock import Clock
from vault.logical.mount import Mount
from vault.modules.auth.methods.approle.rows import Rows
from vault.storage.transaction import Store, Transaction
from vault.storage.view import View

INTERVAL_SECONDS = 60.0
_BATCH = 250


class Runner(Protocol):
    """Runs transactions."""

    def run(self, work: Callable[[Transaction], None]) -> None:
        """Run one transaction."""


class Upkeep:
    """The work, and when it is time for it. `runner` may be fenced."""

    def __init__(self, store: Store, runner: Runner, clock: Clock) -> None:
        self._store = store
        self._runner = runner
        self._clock = clock
        self._next = 0.0

    def run(self, mounts: Callable[[Transaction], tuple[Mount, ...]]) -> None:
        """Clear all mounts, once a minute."""
        if self._clock.monotonic() < self._next:
            return
        self._next = self._clock.monotonic() + INTERVAL_SECONDS
        for mount in mounts(self._store.read()):
            if mount.kind == "approle" and not mount.tainted:
                self.sweep(mount.storage_prefix)

    def sweep(self, prefix: str) -> None:
        """Clear away what is due below a prefix, in bounded transactions."""
        while due := self._store.list_expired(self._clock.now(), _BATCH, prefix):
            self._runner.run(partial(self._remove, prefix, tuple(path.removeprefix(prefix) for path in due)))

    def _remove(self, prefix: str, places: tuple[str, ...], transaction: Transaction) -> None:
        Rows(View(transaction, prefix)).remove_due(places, self._clock.now_ns())
