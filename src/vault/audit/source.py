"""Where a verifier and a reader get lines from: files, plain or compressed, and the table."""

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Protocol, cast

UNREADABLE = (OSError, ValueError, EOFError, zlib.error)  # what reading a file raises
LINE_BYTES_MAX = 512 * 1024 * 1024  # beyond any record: a body of 32 MiB, every value of it hashed


class Unreadable(Exception):
    """A place that gives no lines."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class Source(Protocol):
    """The lines of one log in order, each with its newline, and where the last one stood."""

    place: str
    line: int
    key: tuple[str, int] | None  # under which log and number it is stored, where it has a key of its own

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines; raises Unreadable."""


class Table(Protocol):
    """The audit table, as somebody reads it who writes nothing."""

    def list_logs(self) -> tuple[str, ...]:
        """Return the names of all logs that have records."""

    def records(self, log: str, start: int = ...) -> Iterator[tuple[int, bytes]]:
        """Yield number and line of the records of a log from a number on, or all of them, in order."""

    def list_latest(self, log: str, limit: int) -> tuple[tuple[int, bytes], ...]:
        """Return the last records of a log, in order."""

    def lines_between(self, since: float, until: float) -> Iterator[bytes]:
        """Yield the records of all logs that the table took from one time up to another, in order of time."""

    def checkpoints(self) -> Iterator[bytes]:
        """Yield all checkpoints and closing records, chain by chain."""

    def refresh(self) -> None:
        """Look anew: until then nothing is seen that was added meanwhile."""


class Files:
    """Files that are one log, oldest first."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = paths
        self.key: tuple[str, int] | None = None
        self.place = ""
        self.line = 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines of all files."""
        for path in self._paths:
            self.place, self.line = str(path), 0
            try:
                with open_file(path) as source:
                    while line := source.readline(LINE_BYTES_MAX):
                        self.line += 1
                        yield line
            except UNREADABLE as cause:
                raise Unreadable("unreadable", f"the file cannot be read: {cause}") from cause
            if self.line == 0:
                raise Unreadable("empty", "there is no record in the file")


class Rows:
    """The rows of one log."""

    def __init__(self, log: str, rows: Iterable[tuple[int, bytes]]) -> None:
        self._log = log
        self._rows = rows
        self.place = f"table audit_record, log {log}"
        self.line = 0
        self.key: tuple[str, int] | None = None

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines of all rows."""
        for number, line in self._rows:
            self.line += 1
            self.key = (self._log, number)
            yield line + b"\n"


def open_file(path: Path) -> IO[bytes]:
    """Open a file for reading; one whose name ends with .gz is decompressed."""
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix == ".gz" else path.open("rb")


def lines_of(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file; raises one of UNREADABLE for what cannot be read."""
    with open_file(path) as source:
        while line := source.readline(LINE_BYTES_MAX):
            yield line
