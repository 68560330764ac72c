"""Checks audit logs offline: every record whole, unchanged, in its place. Works on raw bytes, in constant memory."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vault.audit.chain import GENESIS, parse_line

LINE_BYTES_MAX = 512 * 1024 * 1024  # beyond any record: a body of 32 MiB, every value of it hashed


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The first thing that is wrong."""

    kind: str  # empty, malformed, edited, missing, repeated, reordered, spliced, cut
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
    log: str = ""
    records: int = 0
    first: int = 0


def verify(files: Sequence[Path], *, start: int = 1, previous: str = GENESIS, expected_head: tuple[int, str] | None = None) -> Report:
    """Check files in order as one log; a rotated log is given oldest file first.

    `start` and `previous` tell where the first file takes up the chain; `expected_head` (number, hash) finds a cut tail.
    """
    state = _State(start - 1, previous)
    place: tuple[str, int] = ("", 0)
    try:
        for name, line_number, line in _lines(files):
            place = (name, line_number)
            _check(state, line)
        if state.records == 0:
            raise _Broken("empty", start, "there is no record")
        if expected_head is not None and (state.number, state.hash) != expected_head:
            raise _Broken("cut", state.number + 1, f"the log should go on to record {expected_head[0]}")
    except (_Broken, OSError) as broken:
        kind, number = (broken.kind, broken.number) if isinstance(broken, _Broken) else ("malformed", state.number + 1)
        return _report(state, Finding(kind=kind, file=place[0], line=place[1], number=number, message=str(broken)))
    return _report(state, None)


def _report(state: _State, finding: Finding | None) -> Report:
    return Report(records=state.records, first=state.first, last=state.number, head=state.hash, finding=finding)


def _lines(files: Sequence[Path]) -> Iterator[tuple[str, int, bytes]]:
    for file in files:
        with file.open("rb") as source:
            number = 0
            while line := source.readline(LINE_BYTES_MAX):
                number += 1
                yield file.name, number, line


def _check(state: _State, line: bytes) -> None:
    expected = state.number + 1
    try:
        if not line.endswith(b"\n"):
            raise ValueError("the line is not complete")
        hashed, record = parse_line(line[:-1])
    except (ValueError, RecursionError) as cause:
        raise _Broken("malformed", expected, f"record {expected} is not a record: {cause}") from cause
    number, claimed = int(str(record["seq"])), str(record["hash"])
    if hashlib.sha256(hashed).hexdigest() != claimed:
        raise _Broken("edited", number, f"record {number} was changed after it was written")
    _check_place(state, number, expected, record)
    state.number, state.hash = number, claimed
    state.records += 1
    state.first = state.first or number


def _check_place(state: _State, number: int, expected: int, record: dict[str, object]) -> None:
    log = str(record.get("log", ""))
    if state.log and log != state.log:
        raise _Broken("spliced", number, f"record {number} belongs to another log")
    if number == state.number and state.records:
        raise _Broken("repeated", number, f"record {number} stands here twice")
    if number < expected:
        raise _Broken("reordered", number, f"record {number} stands where record {expected} should")
    if number > expected:
        raise _Broken("missing", expected, f"record {expected} is missing, record {number} stands in its place")
    if record.get("prev") != state.hash:
        raise _Broken("spliced", number, f"record {number} does not follow the record before it")
    state.log = log
