"""What the leader's background work does for identity tokens: the next key pair when it is time, and away with what has expired."""

from collections.abc import Callable
from functools import partial
from typing import Protocol, TypeVar

import structlog

from vault import limits
from vault.clock import Clock
from vault.crypto.jws import KeyPair
from vault.logical.mount import Mount
from vault.modules.identity.oidc.keys import Supply, is_due, is_untidy, make_pairs, rotate, tidy
from vault.modules.identity.oidc.rows import CODES, KEYS
from vault.storage.transaction import Store, Transaction
from vault.storage.view import View

MOUNT = "identity/"
_CHUNK = 500  # rows deleted in one transaction
T = TypeVar("T")

_log = structlog.get_logger(__name__)


class Runner(Protocol):
    """Runs transactions."""

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Run one transaction."""


class Mounts(Protocol):
    """What upkeep needs of the mount table."""

    def require(self, transaction: Transaction, path: str) -> Mount:
        """Return the mount at a path."""


class Upkeep:
    """The chores of identity tokens. `fenced` writes only while this worker does the background work of the cluster."""

    def __init__(self, store: Store, fenced: Runner, mounts: Mounts, clock: Clock) -> None:
        self._store = store
        self._fenced = fenced
        self._mounts = mounts
        self._clock = clock

    def run(self) -> None:
        """Do what is due now."""
        now, view = self._clock.now(), self._view(self._store.read())
        for name, key in KEYS.list_rows(view):
            if is_due(key, now):
                self._rotate(name, make_pairs(key.algorithm, 1), now)
            elif is_untidy(key, now):
                self._tidy(name, now)
        if view.list_children(CODES.folder, limit=1):  # cached: no round trip while there are none
            self._sweep_codes(now)

    def _view(self, transaction: Transaction) -> View:
        return View(transaction, self._mounts.require(transaction, MOUNT).storage_prefix)

    def _rotate(self, name: str, made: tuple[KeyPair, ...], now: float) -> None:
        def work(transaction: Transaction) -> None:
            view = self._view(transaction)
            key = KEYS.find(view, name)
            if key is not None and is_due(key, now):
                KEYS.put(view, name, rotate(key, Supply(made), now))

        self._fenced.run(work)
        _log.info("an identity token key is rotated", key=name)

    def _tidy(self, name: str, now: float) -> None:
        def work(transaction: Transaction) -> None:
            view = self._view(transaction)
            key = KEYS.find(view, name)
            if key is not None:
                KEYS.put(view, name, tidy(key, now))

        self._fenced.run(work)

    def _sweep_codes(self, now: float) -> None:
        folder = self._mounts.require(self._store.read(), MOUNT).storage_prefix + CODES.folder
        expired = list(self._store.list_expired(now, limits.OIDC_ROWS_SWEPT, folder))
        for start in range(0, len(expired), _CHUNK):
            self._fenced.run(partial(_delete_all, paths=expired[start : start + _CHUNK]))


def _delete_all(transaction: Transaction, paths: list[str]) -> None:
    for path in paths:
        transaction.delete(path)
