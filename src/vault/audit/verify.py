"""Checks audit logs offline: every record whole, unchanged, in its place. Works on raw bytes, one line at a time.

Whoever can write to the files and rewrites the chain to its end is found only by a record that was noted elsewhere (`expected_head`).
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vault.audit.chain import GENESIS, parse_line

LINE_BYTES_MAX = 512 * 1024 * 1024  # beyond any record: a body of 32 MiB, every value of it hashed


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The first thing that is wrong."""

    kind: str  # unreadable, empty, malformed, edited, missing, repeated, reordered, spliced, cut
    file: str
    line: int
    number: int  # of the record that is wrong, or that should be there
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found."""

    records: int
    first: int
    last: int
    head: str
    finding: Finding | None = None

    @property
    def ok(self) -> bool:
        """Return whether nothing is wrong."""
        return self.finding is None


class _Broken(Exception):
    def __init__(self, kind: str, number: int, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.number = number


@dataclass(slots=True)
class _State:
    number: int
    hash: str
    expected_head: tuple[int, str] | None
    log: str = ""
    records: int = 0
    first: int = 0
    file: str = ""
    line: int = 0


def verify(files: Sequence[Path], *, start: int = 1, previous: str = GENESIS, expected_head: tuple[int, str] | None = None) -> Report:
    """Check files in order as one log; a rotated log is given oldest file first.

    `start` and `previous` tell where the first file takes up the chain. `expected_head` (number, hash) is a record that must be
    there, noted earlier: it finds a tail that was cut off, and a log that was written anew. The log may go on after it.
    """
    state = _State(start - 1, previous, expected_head)
    finding = None
    try:
        for line in _lines(files, state):
            _check(state, line)
        _check_end(state)
    except _Broken as broken:
        finding = Finding(kind=broken.kind, file=state.file, line=state.line, number=broken.number, message=str(broken))
    return Report(records=state.records, first=state.first, last=state.number, head=state.hash, finding=finding)


def _lines(files: Sequence[Path], state: _State) -> Iterator[bytes]:
    for file in files:
        state.file, state.line = str(file), 0
        try:
            with file.open("rb") as source:
                while line := source.readline(LINE_BYTES_MAX):
                    state.line += 1
                    yield line
        except (OSError, ValueError) as cause:
            raise _Broken("unreadable", state.number + 1, f"the file cannot be read: {cause}") from cause
        if state.line == 0:
            raise _Broken("empty", state.number + 1, "there is no record in the file")


def _check(state: _State, line: bytes) -> None:
    expected = state.number + 1
    if not line.endswith(b"\n"):
        raise _Broken("malformed", expected, f"record {expected} is not whole")
    try:
        hashed, record = parse_line(line[:-1])
    except (ValueError, RecursionError) as cause:
        raise _Broken("malformed", expected, f"what stands where record {expected} should is not a record: {cause}") from cause
    claimed = str(record["hash"])
    if hashlib.sha256(hashed).hexdigest() != claimed:
        raise _Broken("edited", expected, f"record {expected} was changed after it was written")
    number = int(str(record["seq"]))
    _check_place(state, number, expected, record)
    state.number, state.hash, state.log = number, claimed, str(record.get("log"))
    state.records += 1
    state.first = state.first or number


def _check_place(state: _State, number: int, expected: int, record: dict[str, object]) -> None:
    if state.records and record.get("log") != state.log:
        raise _Broken("spliced", number, f"record {number} belongs to another log")
    if number == state.number and record.get("hash") == state.hash:
        raise _Broken("repeated", number, f"record {number} stands here twice")
    if number < expected:
        raise _Broken("reordered", number, f"record {number} stands where record {expected} should")
    if number > expected:
        raise _Broken("missing", expected, f"record {expected} is missing, record {number} stands in its place")
    if record.get("prev") != state.hash:
        raise _Broken("spliced", number, f"record {number} does not follow the record before it")
    noted = state.expected_head
    if noted is not None and number == noted[0] and record["hash"] != noted[1]:
        raise _Broken("spliced", number, f"record {number} is not the one that was noted: the log was written anew")


def _check_end(state: _State) -> None:
    if state.records == 0:
        raise _Broken("empty", state.number + 1, "there is no record")
    noted = state.expected_head
    if noted is not None and not state.first <= noted[0] <= state.number:
        raise _Broken("cut", state.number + 1, f"the log should hold record {noted[0]}")
