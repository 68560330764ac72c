"""Rows in memory that can be looked at, and that count what an engine costs."""

from collections.abc import Mapping, Sequence

from vault.storage.memory import Memory
from vault.storage.physical import Change, Prepared, Row


class Rows(Memory):
    """Memory that counts its reads and commits."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.misses = 0  # of these: what was not there
        self.commits = 0

    @property
    def rows(self) -> Mapping[str, Row]:
        """Return what is stored."""
        return {path: stored.row for path, stored in self._rows.items()}

    def get(self, path: str) -> Row | None:
        self.reads += 1
        row = super().get(path)
        self.misses += row is None
        return row

    def list_children(self, prefix: str, after: str, limit: int | None) -> tuple[str, ...]:
        self.reads += 1
        return super().list_children(prefix, after, limit)

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        before = self.reads, self.misses
        prepared = super().prepare(version, changes, prefixes, notice)
        self.reads, self.misses = before  # the checks of a commit are part of the commit
        return prepared

    def apply(self, version: int, changes: Sequence[Change], removed: frozenset[str]) -> None:
        self.commits += bool(changes or removed)
        super().apply(version, changes, removed)
