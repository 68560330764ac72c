"""Faults to be injected: a store that dies at the n-th transaction, an audit device that refuses a record."""

from collections.abc import Callable
from typing import Any, TypeVar

from vault.audit.trail import Broker
from vault.errors import AuditFailed
from vault.revocation import Runner
from vault.storage.transaction import Transaction

T = TypeVar("T")


class Killed(BaseException):
    """The process ends here: nothing catches it."""


class DyingRunner:
    """A store whose process is killed right before or right after its n-th transaction (from 1)."""

    def __init__(self, store: Runner, at: int, *, after: bool) -> None:
        self._store = store
        self._left = at
        self._after = after

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Run one transaction, unless this is the end."""
        self._left -= 1
        if self._left == 0 and not self._after:
            raise Killed
        result = self._store.run(work)
        if self._left == 0:
            raise Killed
        return result


class RefusingBroker(Broker):
    """Devices of which none takes a record of some kinds; the other records are kept as kind and error."""

    def __init__(self, *refused: str) -> None:
        super().__init__(lambda: "")
        self.refused = set(refused)
        self.records: list[tuple[str, str]] = []

    def record(self, kind: str, members: Any, error: str = "", path: str = "", seconds: float = 0.0, *, vital: bool = False) -> None:
        """Keep or refuse a record."""
        del members, path, seconds, vital
        if kind in self.refused:
            raise AuditFailed
        self.records.append((kind, error))
