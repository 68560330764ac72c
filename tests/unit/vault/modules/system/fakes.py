"""What stands in for time, rows and the place of checkpoints."""

from collections.abc import Sequence

from tests.unit.vault.modules.engines.rows import Rows
from vault.storage.physical import Change, Prepared

START_NS = 1_700_000_000 * 10**9


class FakeClock:
    """A clock that stands until a test moves it."""

    def __init__(self) -> None:
        self.ns = START_NS

    def now(self) -> float:
        return self.ns / 1e9

    def now_ns(self) -> int:
        return self.ns

    def monotonic(self) -> float:
        return self.ns / 1e9

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.ns += int(seconds * 1e9)


class Lines:
    """Where checkpoints go."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.fault: Exception | None = None

    def append(self, line: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.lines.append(line)


class SystemRows(Rows):
    """Rows of one host: nobody else needs to be told what changed."""

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        return super().prepare(version, changes, prefixes)
