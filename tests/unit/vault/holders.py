"""A host of several shareholders, and rows whose process dies at a commit."""

from collections.abc import Sequence
from typing import Any

from tests.unit.vault.fault import Killed
from tests.unit.vault.modules.system.fakes import SystemRows
from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.test_seal import Host
from vault.errors import InvalidRequest
from vault.logical.operation import Operation
from vault.storage.physical import Change, Prepared

BARE, ROTATE = "sys/rekey", "sys/rotate/root"


class Holders(Host):
    """An open host of five shareholders, of which three are enough."""

    def __init__(self, rows: SystemRows | None = None) -> None:
        super().__init__(rows)
        self.keys: list[str] = []
        self.root = ""
        if rows is None:
            made = self.init()
            self.keys, self.root = made["keys"], made["root_token"]
            self.open(self.keys)

    def open(self, keys: Sequence[str], threshold: int = 3) -> None:
        """Unseal."""
        for key in keys[:threshold]:
            self.give(key)
        assert not self.status()["sealed"]

    def opens(self, keys: Sequence[str], threshold: int = 3) -> bool:
        """Seal the host, and tell whether these shares open it."""
        self.first.seal.seal()
        self.page.wipe()
        try:
            for key in keys[:threshold]:
                self.give(key)
        except InvalidRequest:
            return False
        return not self.status()["sealed"]

    def ask(self, operation: Operation, path: str, worker: Worker | None = None, **fields: Any) -> Any:
        """Send a request with the root token; return the data."""
        answer = self.send(operation, path, fields, token=self.root, worker=worker)
        self.answered = answer
        return None if answer is None else answer.data

    def start(self, shares: int = 3, threshold: int = 2, name: str = BARE, **fields: Any) -> str:
        """Begin a rekey; return its nonce."""
        data = self.ask(Operation.UPDATE, f"{name}/init", secret_shares=shares, secret_threshold=threshold, **fields)
        return str(data["nonce"])

    def offer(self, nonce: str, key: str, name: str = BARE, worker: Worker | None = None) -> Any:
        """Give a share."""
        return self.ask(Operation.UPDATE, f"{name}/update", worker, key=key, nonce=nonce)

    def finish(self, nonce: str, keys: Sequence[str] | None = None, name: str = BARE, *, sent: bool = True) -> list[str]:
        """Give enough shares; return the new ones. `sent`: the answer has left."""
        data: dict[str, Any] = {}
        for key in (self.keys if keys is None else keys)[:3]:
            data = self.offer(nonce, key, name)
        assert data["complete"]
        if sent and self.answered is not None and self.answered.sent is not None:
            self.answered.sent()
        new: list[str] = data["keys"]
        return new


class CrashingRows(SystemRows):
    """Rows whose process is killed at the n-th commit, before or after it counts."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.after = 0, False

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        prepared = super().prepare(version, changes, prefixes)
        self.left -= 1
        return CrashingCommit(prepared, after=self.after) if self.left == 0 else prepared


class CrashingCommit:
    """A commit that does not come back."""

    def __init__(self, prepared: Prepared, *, after: bool) -> None:
        self._prepared, self._after = prepared, after
        self.created, self.removed = prepared.created, prepared.removed

    def commit(self) -> None:
        """Die at it."""
        if self._after:
            self._prepared.commit()
        else:
            self._prepared.rollback()
        raise Killed

    def rollback(self) -> None:
        """Drop the changes."""
        self._prepared.rollback()
