"""The end of a log, and what comes after it: of a file over its rotations, and of all logs of the table."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from vault.audit.chain import BEGINNING
from vault.audit.source import Table

_TAIL_BYTES = 1024 * 1024  # some hundred requests


class FileTail:
    """A file, and the one that takes its place when it is moved away."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def polls(self) -> Iterator[Iterable[bytes]]:
        """Yield the lines at the end, then each time what has come since; raises OSError if there is no file to begin with."""
        file = self._path.open("rb")
        try:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _TAIL_BYTES))
            if size > _TAIL_BYTES:
                file.readline()  # the rest of a line
            rest = b""
            while True:
                was_moved = self._was_moved(file.fileno())
                whole, _, rest = (rest + file.read()).rpartition(b"\n")
                yield whole.split(b"\n") if whole else ()
                if was_moved:  # before it was read to its end
                    file.close()
                    file, rest = self._path.open("rb"), b""
        finally:
            file.close()

    def _was_moved(self, file: int) -> bool:
        try:
            return not os.path.samestat(os.fstat(file), self._path.stat())
        except FileNotFoundError:  # the next record makes a new one
            return False


class TableTail:
    """All logs of the table."""

    def __init__(self, table: Table, count: int) -> None:
        self._table = table
        self._count = count

    def polls(self) -> Iterator[Iterable[bytes]]:
        """Yield the last lines of every log in order of time, then each time what has come since."""
        seen: dict[str, int] = {}
        first: list[bytes] = []
        for log in self._table.list_logs():
            records = self._table.list_latest(log, self._count)
            seen[log] = records[-1][0] if records else 0
            first.extend(line for _, line in records)
        yield sorted(first, key=_time_of)
        while True:
            self._table.refresh()
            yield self._read_new(seen)

    def _read_new(self, seen: dict[str, int]) -> list[bytes]:
        found: list[bytes] = []
        for log in self._table.list_logs():
            for number, line in self._table.records(log, seen.get(log, 0) + 1):
                found.append(line)
                seen[log] = number
        return sorted(found, key=_time_of)


def _time_of(line: bytes) -> bytes:
    """Return the beginning of a record, which is its time to the second and then some."""
    return line[line.find(BEGINNING) + len(BEGINNING) :].partition(b'"')[0].rstrip(b"Z")
