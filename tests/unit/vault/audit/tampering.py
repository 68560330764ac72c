"""Two logs with signed checkpoints, and how somebody without the key tampers with them."""

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from tests.unit.vault.audit.world import write_log
from vault.audit.checkpoint import Checkpoint, hash_line, sign
from vault.crypto.signature import SigningKey

RECORDS = 30
COVERED = (1, 4, 11, 12, 23, 27)  # the last three records are not covered yet
LAST_COVERED = COVERED[-1]
KEY = SigningKey(bytes(range(32)))
FORGED = SigningKey(bytes(32))
KEYS = {KEY.public.id: KEY.public}


@dataclass(slots=True)
class Log:
    """A log as it was written: lines without newlines."""

    name: str
    lines: list[bytes]
    checkpoints: list[bytes]


@dataclass(slots=True)
class Tampered:
    """A log after somebody was at it."""

    lines: list[bytes]
    checkpoints: list[bytes]
    number: int  # of the record, or for what is wrong with a checkpoint of that, which must be named
    is_log: bool = True
    kinds: frozenset[str] = field(default_factory=frozenset)
    keys: list[int] = field(default_factory=list)  # under which numbers the lines are stored, where that is not their order


def make_log(path: Path, medium: str = "file") -> Log:
    """Write a log and sign for some of its records."""
    lines = [line.rstrip(b"\n") for line in write_log(path, RECORDS)]
    name = str(orjson.loads(lines[0])["log"])
    return Log(name, lines, sign_heads(lines, COVERED, KEY, medium))


def sign_heads(lines: Sequence[bytes], numbers: Sequence[int], key: SigningKey, medium: str = "file") -> list[bytes]:
    """Return checkpoints for these records."""
    found: list[bytes] = []
    for number in numbers:
        record = orjson.loads(lines[number - 1])
        checkpoint = Checkpoint(
            time=f"2026-01-02T03:04:{len(found):02}Z", reason="interval", device="d/", medium=medium, log=record["log"], seq=number,
            hash=record["hash"], count=1, number=len(found) + 1, prev=hash_line(found[-1]) if found else "0" * 64, key=key.public.id,
        )  # fmt: skip
        found.append(sign(checkpoint, key))
    return found


def rechain(lines: Sequence[bytes], first: int, previous: str) -> list[bytes]:
    """Return lines from a number on with hashes that are right in themselves."""
    made = []
    for offset, line in enumerate(lines):
        begin = line.find(b'{"time":"')
        record = orjson.loads(line[begin:])
        record |= {"seq": first + offset, "prev": previous}
        record.pop("hash")
        body = line[:begin] + orjson.dumps(record)[:-1]
        previous = hashlib.sha256(body).hexdigest()
        made.append(body + b',"hash":"' + previous.encode() + b'"}')
    return made


def _hash_of(line: bytes) -> str:
    return str(orjson.loads(line)["hash"])


def _covering(number: int) -> int:
    return next(covered for covered in COVERED if covered >= number)


Tamper = Callable[[random.Random, Log, Log], Tampered]


def edit(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Change a byte of a record."""
    at = chance.randrange(RECORDS)
    line = bytearray(log.lines[at])
    line[chance.randrange(len(line))] ^= chance.randrange(1, 256)
    return _with(log, [*log.lines[:at], bytes(line), *log.lines[at + 1 :]], at + 1, "edited", "malformed")


def lengthen(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Put bytes into a record."""
    at = chance.randrange(RECORDS)
    line, place = log.lines[at], chance.randrange(len(log.lines[at]) + 1)
    line = line[:place] + chance.randbytes(chance.randrange(1, 9)) + line[place:]
    return _with(log, [*log.lines[:at], line, *log.lines[at + 1 :]], at + 1, "edited", "malformed")


def tear(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Cut a record short."""
    at = chance.randrange(RECORDS)
    line = log.lines[at][: chance.randrange(len(log.lines[at]))]
    return _with(log, [*log.lines[:at], line, *log.lines[at + 1 :]], at + 1, "edited", "malformed")


def remove(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Remove records from the middle."""
    first = chance.randrange(RECORDS - 1)
    last = chance.randrange(first + 1, RECORDS)
    kept = [*range(first), *range(last, RECORDS)]
    return _with(log, [log.lines[at] for at in kept], first + 1, "missing", keys=[at + 1 for at in kept])


def remove_and_rechain(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Remove a record and hash all that follows anew."""
    at = chance.randrange(LAST_COVERED - 1)
    previous = _hash_of(log.lines[at - 1]) if at else "0" * 64
    lines = [*log.lines[:at], *rechain(log.lines[at + 1 :], at + 1, previous)]
    return _with(log, lines, _covering(at + 1), "rewritten")


def insert_and_rechain(chance: random.Random, log: Log, other: Log) -> Tampered:
    """Insert a record that never was and hash all that follows anew."""
    at = chance.randrange(LAST_COVERED)
    previous = _hash_of(log.lines[at - 1]) if at else "0" * 64
    forged = orjson.loads(other.lines[at])
    forged |= {"log": log.name, "type": "forged"}
    lines = [*log.lines[:at], *rechain([orjson.dumps(forged), *log.lines[at:]], at + 1, previous)]
    return _with(log, lines, _covering(at + 1), "rewritten")


def edit_and_rechain(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Change what a record says and hash it and all that follows anew."""
    at = chance.randrange(LAST_COVERED)
    record = orjson.loads(log.lines[at])
    record["request"]["path"] = f"secret/data/{chance.randrange(10**9)}"
    previous = _hash_of(log.lines[at - 1]) if at else "0" * 64
    lines = [*log.lines[:at], *rechain([orjson.dumps(record), *log.lines[at + 1 :]], at + 1, previous)]
    return _with(log, lines, _covering(at + 1), "rewritten")


def cut_head(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Remove the first records."""
    at = chance.randrange(1, RECORDS)
    return _with(log, log.lines[at:], 1, "missing", keys=[*range(at + 1, RECORDS + 1)])


def cut_tail(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Remove the last records, so that one is missing which was signed for."""
    kept = chance.randrange(1, LAST_COVERED)
    return _with(log, log.lines[:kept], kept + 1, "cut")


def swap(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Exchange two records."""
    one, two = sorted(chance.sample(range(RECORDS), 2))
    lines = list(log.lines)
    lines[one], lines[two] = lines[two], lines[one]
    return _with(log, lines, one + 1, "missing", "reordered")


def splice(chance: random.Random, log: Log, other: Log) -> Tampered:
    """Put records of another log in the place of some."""
    at = chance.randrange(1, RECORDS)
    end = chance.randrange(at + 1, RECORDS + 1)
    return _with(log, log.lines[:at] + other.lines[at:end] + log.lines[end:], at + 1, "spliced")


def edit_checkpoint(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Change a byte of a checkpoint."""
    at = chance.randrange(len(COVERED))
    line = bytearray(log.checkpoints[at])
    line[chance.randrange(len(line))] ^= chance.randrange(1, 256)
    return _at_checkpoints(log, [*log.checkpoints[:at], bytes(line), *log.checkpoints[at + 1 :]], 0, "malformed")


def remove_checkpoint(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Remove a checkpoint that is not the last one."""
    at = chance.randrange(len(COVERED) - 1)
    return _at_checkpoints(log, [*log.checkpoints[:at], *log.checkpoints[at + 1 :]], at + 1, "missing")


def swap_checkpoints(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Exchange two checkpoints."""
    one, two = sorted(chance.sample(range(len(COVERED)), 2))
    lines = list(log.checkpoints)
    lines[one], lines[two] = lines[two], lines[one]
    return _at_checkpoints(log, lines, one + 1, "missing")


def repeat_checkpoint(chance: random.Random, log: Log, _: Log) -> Tampered:
    """Put an old checkpoint behind a later one."""
    at = chance.randrange(len(COVERED) - 1)
    to = chance.randrange(at + 2, len(COVERED) + 1)
    return _at_checkpoints(log, [*log.checkpoints[:to], log.checkpoints[at], *log.checkpoints[to:]], at + 1, "reordered")


def forge_checkpoints(chance: random.Random, log: Log, other: Log) -> Tampered:
    """Write log and checkpoints anew and sign them with a key of one's own, under its name or under that of the right one."""
    found = edit_and_rechain(chance, log, other)
    lines = sign_heads(found.lines, COVERED, FORGED)
    if chance.random() < 0.5:
        lines = [line.replace(FORGED.public.id.encode(), KEY.public.id.encode()) for line in lines]
    return Tampered(found.lines, lines, 0, is_log=False, kinds=frozenset({"malformed"}))


def _with(log: Log, lines: list[bytes], number: int, *kinds: str, keys: list[int] | None = None) -> Tampered:
    return Tampered(lines, log.checkpoints, number, kinds=frozenset(kinds), keys=keys or [*range(1, len(lines) + 1)])


def _at_checkpoints(log: Log, checkpoints: list[bytes], number: int, *kinds: str) -> Tampered:
    return Tampered(log.lines, checkpoints, number, is_log=False, kinds=frozenset(kinds), keys=[*range(1, RECORDS + 1)])


TAMPERINGS: tuple[Tamper, ...] = (
    *(edit, lengthen, tear, remove, remove_and_rechain, insert_and_rechain, edit_and_rechain, cut_head, cut_tail, swap, splice),
    *(edit_checkpoint, remove_checkpoint, swap_checkpoints, repeat_checkpoint, forge_checkpoints),
)
