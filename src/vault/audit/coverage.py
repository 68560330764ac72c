"""What checkpoints say about each log, read from the places where they are kept, every signature and every chain checked.

A log is covered up to its last checkpoint. Forty bytes are kept of each checkpoint. A line may stand twice in a row: after a kill it is
delivered again.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from vault.audit.checkpoint import NO_CHECKPOINT, Checkpoint, Closing, Signed, check, hash_line
from vault.audit.source import UNREADABLE
from vault.crypto.signature import PublicKey

_DIGEST_BYTES = 32


class WrongCheckpoint(Exception):
    """A checkpoint that is not what was signed, or not in its place."""

    def __init__(self, kind: str, place: str, line: int, number: int, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.place = place
        self.line = line
        self.number = number


@dataclass(slots=True)
class Coverage:
    """The checkpoints of one log, in order."""

    log: str
    medium: str = ""
    numbers: "array[int]" = field(default_factory=lambda: array("Q"))
    digests: bytearray = field(default_factory=bytearray)
    number: int = 0  # of the last checkpoint
    line: bytes = b""

    @property
    def last(self) -> int:
        """Return the last record that is covered."""
        return self.numbers[-1] if self.numbers else 0

    def add(self, checkpoint: Checkpoint) -> None:
        """Add the next checkpoint."""
        self.medium = checkpoint.medium
        self.numbers.append(checkpoint.seq)
        self.digests += bytes.fromhex(checkpoint.hash)

    def digest(self, index: int) -> str:
        """Return the hash of the record that a checkpoint covers."""
        return self.digests[index * _DIGEST_BYTES : (index + 1) * _DIGEST_BYTES].hex()


@dataclass(slots=True)
class Coverages:
    """All that the checkpoints say."""

    logs: dict[str, Coverage] = field(default_factory=dict)
    closed: dict[str, dict[int, str]] = field(default_factory=dict)  # of each log the last records of closed partitions, with their hashes
    closings: list[Closing] = field(default_factory=list)
    closing_line: bytes = b""

    def closed_up_to(self, log: str) -> int:
        """Return the last record of a log that may have been removed under a closing record; 0 if none was."""
        return max(self.closed.get(log, {}), default=0)


def read(places: Iterable[tuple[str, Iterable[bytes]]], keys: Mapping[str, PublicKey]) -> Coverages:
    """Read checkpoints, place by place, oldest first; raises WrongCheckpoint."""
    found = Coverages()
    for place, lines in places:
        number = 0
        for number, line in enumerate(_read(place, lines), 1):
            _take(found, place, number, line, keys)
        if number == 0:
            raise WrongCheckpoint("empty", place, 0, 0, "there is no checkpoint")
    return found


def _read(place: str, lines: Iterable[bytes]) -> Iterator[bytes]:
    try:
        yield from lines
    except UNREADABLE as cause:
        raise WrongCheckpoint("unreadable", place, 0, 0, f"the checkpoints cannot be read: {cause}") from cause


def _take(found: Coverages, place: str, number: int, line: bytes, keys: Mapping[str, PublicKey]) -> None:
    try:
        signed = check(line.removesuffix(b"\n"), keys)
    except ValueError as cause:
        raise WrongCheckpoint("malformed", place, number, 0, f"the line is no checkpoint: {cause}") from None
    if isinstance(signed.statement, Closing):
        _take_closing(found, place, number, signed)
    else:
        _take_checkpoint(found, place, number, signed)


def _take_checkpoint(found: Coverages, place: str, line: int, signed: Signed[Checkpoint]) -> None:
    checkpoint = signed.statement
    coverage = found.logs.setdefault(checkpoint.log, Coverage(checkpoint.log))
    if signed.line == coverage.line:
        return
    what = f"checkpoint {checkpoint.number} of log {checkpoint.log}"
    _check_place(place, line, (checkpoint.number, checkpoint.prev), (coverage.number, coverage.line), what)
    if checkpoint.seq <= coverage.last:
        lost = f"records {checkpoint.seq} to {coverage.last} were lost before it"
        raise WrongCheckpoint("rollback", place, line, checkpoint.seq, f"{what} covers less than the one before: {lost}")
    coverage.add(checkpoint)
    coverage.number, coverage.line = checkpoint.number, signed.line


def _take_closing(found: Coverages, place: str, line: int, signed: Signed[Closing]) -> None:
    closing = signed.statement
    if signed.line == found.closing_line:
        return
    _check_place(place, line, (closing.number, closing.prev), (len(found.closings), found.closing_line), f"closing record {closing.number}")
    found.closings.append(closing)
    found.closing_line = signed.line
    for log in closing.logs:
        found.closed.setdefault(log.log, {})[log.seq] = log.hash


def _check_place(place: str, line: int, given: tuple[int, str], before: tuple[int, bytes], what: str) -> None:
    number, prev = given
    last, last_line = before
    if number <= last:
        raise WrongCheckpoint("reordered", place, line, number, f"{what} stands after checkpoint {last}")
    if number > last + 1:
        raise WrongCheckpoint("missing", place, line, last + 1, f"{what} follows, and checkpoint {last + 1} is missing")
    if prev != (hash_line(last_line) if last else NO_CHECKPOINT):
        raise WrongCheckpoint("spliced", place, line, number, f"{what} does not follow the one before it")
