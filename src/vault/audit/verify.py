"""Checks audit logs offline: every record whole, unchanged, in its place, and the one that was signed for. One line at a time.

Whoever can write to a log and rewrites the chain to its end is found by a signed checkpoint, or by a record that was noted elsewhere
(`head`). What was recorded after the last checkpoint is not covered by one yet, and the report says how much that is.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vault.audit.chain import GENESIS, parse_line
from vault.audit.coverage import Coverage, Coverages
from vault.audit.source import Files, Rows, Source, Table, Unreadable

MEDIUM_OF_TABLE = "postgres"
_LOG = re.compile("[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The first thing that is wrong."""

    kind: str  # unreadable, empty, malformed, edited, missing, repeated, reordered, spliced, foreign, uncovered, rewritten, cut
    file: str
    line: int
    number: int  # of the record that is wrong, or that should be there
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a check found."""

    log: str
    records: int
    first: int
    last: int
    head: str
    checkpoints: int = 0  # that the log was compared with
    covered: int = 0  # last record that a checkpoint covers
    finding: Finding | None = None

    @property
    def ok(self) -> bool:
        """Return whether nothing is wrong."""
        return self.finding is None

    @property
    def uncovered(self) -> int:
        """Return how many records no checkpoint covers yet."""
        return self.last - max(self.covered, self.first - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What a log must be."""

    start: int = 1  # number of its first record
    previous: str = GENESIS  # hash that this one continues
    heads: frozenset[tuple[int, str]] = frozenset()  # records that must be there, by number and hash: the log may go on after them
    log: str = ""
    coverages: Coverages | None = None


class _Broken(Exception):
    def __init__(self, kind: str, number: int, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.number = number


def verify(files: Sequence[Path], *, start: int = 1, previous: str = GENESIS, expected_head: tuple[int, str] | None = None) -> Report:
    """Check files in order as one log; a rotated log is given oldest file first."""
    return check(Files(files), Expected(start=start, previous=previous, heads=frozenset({expected_head} if expected_head else ())))


def check(source: Source, expected: Expected) -> Report:
    """Check a log as far as its first fault."""
    checker = _Checker(source, expected)
    finding = None
    try:
        checker.run()
    except (_Broken, Unreadable) as broken:
        number = broken.number if isinstance(broken, _Broken) else checker.number + 1
        finding = Finding(kind=broken.kind, file=source.place, line=source.line, number=number, message=str(broken))
    return Report(
        log=checker.log,
        records=checker.records,
        first=checker.first,
        last=checker.number,
        head=checker.hash,
        checkpoints=checker.compared,
        covered=checker.covered,
        finding=finding,
    )


def check_table(table: Table, expected: Expected) -> tuple[Report, ...]:
    """Check every log of the table, or the expected one.

    A log begins where a closing record ended it, and ends no earlier than the log that its host began next says.
    """
    there = table.list_logs()
    coverages = expected.coverages or Coverages()
    heads = _find_heads(table, there, coverages)
    signed = {log for log, coverage in coverages.logs.items() if coverage.medium == MEDIUM_OF_TABLE}
    logs = {*there, *heads, *signed} & ({expected.log} if expected.log else {*there, *heads, *signed})
    if not logs:
        return (_make_absent(expected.log, "empty", 1, "there is no record in the table"),)
    reports = []
    for log in sorted(logs):
        wanted = expected.heads | heads.get(log, frozenset())
        if log in there:
            reports.append(check(Rows(log, table.records(log)), replace(expected, log=log, heads=wanted)))
        else:
            last = max([coverages.logs[log].last if log in coverages.logs else 0, *(number for number, _ in wanted)])
            reports.extend(_check_absent(log, last, coverages))
    return tuple(reports)


def _find_heads(table: Table, logs: Sequence[str], coverages: Coverages) -> dict[str, frozenset[tuple[int, str]]]:
    """Return the records of each log that others name: the first record of a log tells how the one before it ended.

    Two hosts of one name may name the same log, the first of them while it was still written.
    """
    heads: dict[str, frozenset[tuple[int, str]]] = {}
    for log in logs:
        _, line = next(iter(table.records(log)))
        try:
            before = parse_line(line)[1].get("before")
        except (ValueError, RecursionError):  # its own check says so
            continue
        if not isinstance(before, dict) or not isinstance(before.get("seq"), int):
            continue
        name, number, digest = str(before.get("log")), int(before["seq"]), str(before.get("hash"))
        if number > coverages.closed_up_to(name):
            heads[name] = heads.get(name, frozenset()) | {(number, digest)}
    return heads


def _check_absent(log: str, last: int, coverages: Coverages) -> tuple[Report, ...]:
    """Return what is wrong with a log without records; nothing if all of it was removed under closing records."""
    closed = coverages.closed_up_to(log)
    if closed >= last:
        return ()
    message = f"the log is gone: record {closed + 1} and those after it up to {last} are missing"
    return (_make_absent(log, "cut", closed + 1, message),)


def _make_absent(log: str, kind: str, number: int, message: str) -> Report:
    finding = Finding(kind=kind, file=Rows(log, ()).place, line=0, number=number, message=message)
    return Report(log=log, records=0, first=0, last=number - 1, head=GENESIS, finding=finding)


class _Checker:
    """The state of one check."""

    def __init__(self, source: Source, expected: Expected) -> None:
        self._source = source
        self._expected = expected
        self._coverage: Coverage | None = None
        self._next = 0  # checkpoint that is compared next
        self._noted = {number: {digest for other, digest in expected.heads if other == number} for number, _ in expected.heads}
        self.number = expected.start - 1
        self.hash = expected.previous
        self.log = ""
        self.records = 0
        self.first = 0
        self.compared = 0
        self.covered = 0

    def run(self) -> None:
        for line in self._source:
            self._check(line)
        self._check_end()

    def _check(self, line: bytes) -> None:
        expected = self.number + 1
        if not line.endswith(b"\n"):
            raise _Broken("malformed", expected, f"record {expected} is not whole")
        try:
            hashed, record = parse_line(line[:-1])
            number, claimed = int(str(record["seq"])), str(record["hash"])
        except (ValueError, RecursionError) as cause:
            raise _Broken("malformed", expected, f"what stands where record {expected} should is not a record: {cause}") from cause
        if hashlib.sha256(hashed).hexdigest() != claimed:
            raise _Broken("edited", expected, f"record {expected} was changed after it was written")
        if not self.records:
            self._begin(record.get("log"), number)
        self._check_place(number, record)
        self._compare(number, claimed)
        self.number, self.hash = number, claimed
        self.records += 1
        self.first = self.first or number

    def _begin(self, log: object, number: int) -> None:
        """Take up the log that the first record names."""
        if not isinstance(log, str) or not _LOG.fullmatch(log):  # it is shown to people: nothing else may be in it
            raise _Broken("malformed", number, f"record {number} names no log")
        if self._expected.log and log != self._expected.log:
            raise _Broken("foreign", number, f"record {number} belongs to log {log}, not to log {self._expected.log}")
        self.log = log
        coverages = self._expected.coverages
        if coverages is None:
            return
        self._coverage = coverages.logs.get(log)
        if self._coverage is None:
            raise _Broken("uncovered", number, f"no checkpoint covers log {log}: it is too young for one, or not the log signed for")
        # A partition is closed before it is detached, so the log may begin with what was closed, or after any of its closings.
        before = max((last for last in coverages.closed.get(log, {}) if last < number), default=0)
        if before > self.number:
            self.number, self.hash = before, coverages.closed[log][before]
        self._skip_covered()

    def _skip_covered(self) -> None:
        """Leave out the checkpoints of records that are elsewhere by what was told or signed."""
        if self._coverage is not None:
            while self._next < len(self._coverage.numbers) and self._coverage.numbers[self._next] <= self.number:
                self._next += 1

    def _check_place(self, number: int, record: dict[str, object]) -> None:
        expected = self.number + 1
        if record.get("log") != self.log:
            raise _Broken("spliced", number, f"record {number} belongs to another log")
        key = self._source.key
        if key is not None and key != (self.log, number):
            raise _Broken("reordered", key[1], f"what is stored as record {key[1]} is record {number}")
        if number == self.number and record.get("hash") == self.hash:
            raise _Broken("repeated", number, f"record {number} stands here twice")
        if number < expected:
            raise _Broken("reordered", number, f"record {number} stands where record {expected} should")
        if number > expected:
            raise _Broken("missing", expected, f"record {expected} is missing, record {number} stands in its place")
        if record.get("prev") != self.hash:
            raise _Broken("spliced", number, f"record {number} does not follow the record before it")
        if number in self._noted and self._noted[number] != {record["hash"]}:
            raise _Broken("spliced", number, f"record {number} is not the one that was noted: the log was written anew")

    def _compare(self, number: int, digest: str) -> None:
        """Compare a record with the checkpoint that covers it, if there is one."""
        coverage = self._coverage
        if coverage is None or self._next >= len(coverage.numbers) or coverage.numbers[self._next] != number:
            return
        if coverage.digest(self._next) != digest:
            since = self.covered + 1 if self.covered else self.first or number
            where = f"from a record between {since} and {number} on"
            raise _Broken("rewritten", number, f"record {number} is not the one that was signed for: the log was written anew {where}")
        self._next += 1
        self.compared += 1
        self.covered = number

    def _check_end(self) -> None:
        if self.records == 0:
            raise _Broken("empty", self.number + 1, "there is no record")
        lost = [number for number in sorted(self._noted) if not self.first <= number <= self.number]
        if lost:
            raise _Broken("cut", self.number + 1, f"the log should hold record {lost[-1]}")
        if self._coverage is not None and self._coverage.last > self.number:
            where = f"record {self.number + 1} and those after it up to {self._coverage.last}"
            raise _Broken("cut", self.number + 1, f"{where} are missing: they were signed for")
