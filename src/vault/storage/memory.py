"""Rows in a dictionary, for unit tests. It passes the same contract suite as PostgreSQL."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vault.storage.physical import ABSENT, Change, Prepared, Row, WriteConflict, split_path


@dataclass(frozen=True, slots=True)
class _Stored:
    row: Row
    expires_at: float | None


class Memory:
    """Rows of one process."""

    def __init__(self) -> None:
        self._rows: dict[str, _Stored] = {}
        self._lock = threading.Lock()  # held from prepare to commit: writers are one after the other

    def get(self, path: str) -> Row | None:
        """Return the row at exactly this path."""
        stored = self._rows.get(path)
        return None if stored is None else stored.row

    def list_children(self, prefix: str, after: str, limit: int | None) -> tuple[str, ...]:
        """Return names directly below a prefix, folders with a slash, in byte order, after `after`."""
        names = {_child(path[len(prefix) :]) for path in tuple(self._rows) if path.startswith(prefix)}
        return tuple(sorted((name for name in names if _key(name) > _key(after)), key=_key)[:limit])

    def list_subtree(self, prefix: str, after: str, limit: int) -> tuple[str, ...]:
        """Return paths below a prefix, relative to it, folder by folder, after `after`."""
        paths = sorted((path for path in tuple(self._rows) if path.startswith(prefix)), key=_place)
        return tuple(path[len(prefix) :] for path in paths if _place(path) > _place(prefix + after))[:limit]

    def list_expired(self, before: float, limit: int, prefix: str = "") -> tuple[str, ...]:
        """Return paths below a prefix whose expiry lies before a time, oldest first."""
        due = sorted((stored.expires_at, path) for path, stored in tuple(self._rows.items()) if stored.expires_at is not None)
        return tuple(path for expires_at, path in due if expires_at < before and path.startswith(prefix))[:limit]

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        """Check changes; raises WriteConflict when a version differs. There are no other hosts to be told."""
        del notice
        self._lock.acquire()
        for change in changes:
            present = self.get(change.path)
            if change.expected is not None and change.expected != (ABSENT if present is None else present.version):
                self._lock.release()
                raise WriteConflict(change.path)
        written = {change.path for change in changes if change.value is not None}
        return _PreparedMemory(self, version, changes, frozenset(path for path in self._below(prefixes) if path not in written))

    def _below(self, prefixes: Sequence[str]) -> Iterator[str]:
        return (path for path in self._rows if any(path.startswith(prefix) for prefix in prefixes))

    def apply(self, version: int, changes: Sequence[Change], removed: frozenset[str]) -> None:
        """Apply what was prepared, and let the next writer in."""
        for change in changes:
            if change.value is not None:
                self._rows[change.path] = _Stored(Row(change.value, version), change.expires_at)
        for path in removed:
            self._rows.pop(path, None)
        self._lock.release()


class _PreparedMemory:
    """Changes that were checked."""

    def __init__(self, owner: Memory, version: int, changes: Sequence[Change], below: frozenset[str]) -> None:
        self._owner = owner
        self._version = version
        self._changes = changes
        self.created = frozenset(change.path for change in changes if change.value is not None and owner.get(change.path) is None)
        self.removed = below | {change.path for change in changes if change.delete and owner.get(change.path) is not None}

    def commit(self) -> None:
        """Make the changes visible."""
        self._owner.apply(self._version, self._changes, self.removed)

    def rollback(self) -> None:
        """Drop the changes."""
        self._owner.apply(self._version, (), frozenset())


def _child(relative: str) -> str:
    head, slash, _ = relative.partition("/")
    return head + slash


def _key(text: str) -> bytes:
    return text.encode()


def _place(path: str) -> tuple[bytes, bytes]:
    folder, name = split_path(path)
    return folder.encode(), name.encode()
