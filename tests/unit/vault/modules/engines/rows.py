"""Rows in memory, for tests of engines: transactions are checked as in PostgreSQL, one commit at a time."""

import threading
from collections.abc import Sequence

from vault.storage.physical import ABSENT, Change, Prepared, Row, WriteConflict


class Rows:
    """A Physical that forgets everything."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.reads = 0
        self.commits = 0
        self.lock = threading.RLock()

    def get(self, path: str) -> Row | None:
        self.reads += 1
        return self.rows.get(path)

    def _below(self, prefix: str) -> list[str]:
        with self.lock:
            return sorted(path[len(prefix) :] for path in self.rows if path.startswith(prefix))

    def list_children(self, prefix: str, after: str, limit: int | None) -> tuple[str, ...]:
        self.reads += 1
        names = sorted({head + slash for head, slash, _ in (path.partition("/") for path in self._below(prefix))})
        return tuple(name for name in names if name > after)[:limit]

    def list_subtree(self, prefix: str, after: str, limit: int) -> tuple[str, ...]:
        self.reads += 1
        paths = sorted(self._below(prefix), key=_place)
        return tuple(path for path in paths if not after or _place(path) > _place(after))[:limit]

    def list_expired(self, before: float, limit: int) -> tuple[str, ...]:
        return ()

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str]) -> Prepared:
        self.lock.acquire()
        for change in changes:
            row = self.rows.get(change.path)
            if change.expected is not None and change.expected != (ABSENT if row is None else row.version):
                self.lock.release()
                raise WriteConflict(change.path)
        return _Prepared(self, version, changes, prefixes)


def _place(path: str) -> tuple[str, str]:
    index = path.rfind("/") + 1
    return path[:index], path[index:]


class _Prepared:
    def __init__(self, owner: Rows, version: int, changes: Sequence[Change], prefixes: Sequence[str]) -> None:
        present = owner.rows.keys()
        below = {path for path in present if any(path.startswith(prefix) for prefix in prefixes)}
        self._owner = owner
        self._puts = {change.path: Row(change.value, version) for change in changes if change.value is not None}
        self.created = frozenset(self._puts.keys() - present)
        self.removed = frozenset({change.path for change in changes if change.delete and change.path in present} | below)

    def commit(self) -> None:
        for path in self.removed:
            del self._owner.rows[path]
        self._owner.rows |= self._puts
        self._owner.commits += 1
        self._owner.lock.release()

    def rollback(self) -> None:
        self._owner.lock.release()
