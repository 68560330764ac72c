"""One chain of records per device over all processes and threads of a host.

Each record carries its number, the hash of the record before it and a hash over all its own bytes up to that hash. The head of
the chain lies in memory that all processes share; what it says is compared with the file before every write, so a process killed
between its write and its note of it leaves nothing wrong behind.
"""

import hashlib
import os
import struct
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

import orjson

from vault.errors import AuditFailed

GENESIS = "0" * 64
HASH_FIELD = b',"hash":"'
_HEAD = struct.Struct("<Q32sQQ16s")  # number, hash, size, inode, log id


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The last record of a chain and where its file stood after it."""

    number: int
    hash: str
    size: int
    inode: int
    log: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a sink stands."""

    size: int
    inode: int


class Sink(Protocol):
    """What a chain writes to."""

    def open(self) -> Position:
        """Make the sink ready for a write and return where it stands; raises OSError."""

    def recover(self) -> tuple[Head | None, int]:
        """Return the head that the sink's content tells (None: no record) and how many torn bytes were cut off."""

    def write(self, data: bytes, position: Position) -> None:
        """Write all or nothing; raises OSError."""


@dataclass(slots=True)
class _Ticket:
    body: bytes
    done: bool = False
    failure: OSError | None = None


class Chain:
    """Appends records to one sink."""

    def __init__(self, sink: Sink, area: memoryview, lock: Callable[[], AbstractContextManager[None]], now: Callable[[], str]) -> None:
        self._sink = sink
        self._area = area
        self._lock = lock
        self._now = now
        self._queue: deque[_Ticket] = deque()
        self._writing = Lock()

    def append(self, body: bytes) -> None:
        """Append a JSON object without its closing brace; raises AuditFailed if it was not written whole.

        The thread that gets to write takes along what the others have queued.
        """
        ticket = _Ticket(body)
        self._queue.append(ticket)
        with self._writing:
            if not ticket.done:
                self._write_queued()
        if ticket.failure is not None:
            raise AuditFailed from ticket.failure

    def _write_queued(self) -> None:
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        failure: OSError | None = None
        try:
            with self._lock():
                self._write([ticket.body for ticket in batch])
        except OSError as error:
            failure = error
        except (ValueError, KeyError) as error:  # what is there is no chain: nothing may be added to it
            failure = OSError(f"audit log is damaged: {type(error).__name__}")
        for ticket in batch:
            ticket.failure = failure
            ticket.done = True

    def _write(self, bodies: list[bytes]) -> None:
        position = self._sink.open()
        head = self._read_head()
        if head is None or head.size != position.size or head.inode != position.inode:
            head, position, bodies = self._resume(head, position, bodies)
        number, last = head.number, head.hash
        lines = []
        for body in bodies:
            number += 1
            line = b'%b,"log":"%b","seq":%d,"prev":"%b"' % (body, head.log.encode(), number, last.encode())
            last = hashlib.sha256(line).hexdigest()
            lines.append(b'%b%b%b"}\n' % (line, HASH_FIELD, last.encode()))
        data = b"".join(lines)
        self._sink.write(data, position)
        self._write_head(replace(head, number=number, hash=last, size=position.size + len(data)))

    def _resume(self, known: Head | None, position: Position, bodies: list[bytes]) -> tuple[Head, Position, list[bytes]]:
        """Find the head again: after a start, after another process was killed, after the file was moved away."""
        found, cut = self._sink.recover()
        if known is not None:
            _refuse_other_content(known, found, position)
        if found is None:
            # A new file continues the chain that this host was writing; without one, a chain begins.
            number, last, log = (known.number, known.hash, known.log) if known else (0, GENESIS, os.urandom(16).hex())
            position = self._sink.open()
            found = Head(number=number, hash=last, size=position.size, inode=position.inode, log=log)
        if cut:
            record = orjson.dumps({"time": self._now(), "type": "recovery", "cut_bytes": cut})[:-1]
            bodies = [record, *bodies]
        return found, Position(size=found.size, inode=found.inode), bodies

    def _read_head(self) -> Head | None:
        number, digest, size, inode, log = _HEAD.unpack_from(self._area)
        if not any(log):
            return None
        return Head(number=number, hash=digest.hex(), size=size, inode=inode, log=log.hex())

    def _write_head(self, head: Head) -> None:
        _HEAD.pack_into(self._area, 0, head.number, bytes.fromhex(head.hash), head.size, head.inode, bytes.fromhex(head.log))


def _refuse_other_content(known: Head, found: Head | None, position: Position) -> None:
    """Refuse a file that lost records which this host knows to have written, or that holds another log."""
    if found is None:
        if known.inode == position.inode and known.size:
            raise OSError("the audit log was emptied in place")
    elif found.log != known.log or found.number < known.number:
        raise OSError("the audit log was replaced or cut")


def parse_line(line: bytes) -> tuple[bytes, dict[str, object]]:
    """Return the hashed bytes and the parsed record of a line; raises ValueError if it is no record."""
    hashed, separator, rest = line.rpartition(HASH_FIELD)
    if not separator or not rest.endswith(b'"}') or len(rest) != 66:
        raise ValueError("no hash at the end")
    record = orjson.loads(line)
    if not isinstance(record, dict) or not isinstance(record.get("seq"), int) or record.get("hash") != rest[:64].decode("ascii", "replace"):
        raise ValueError("no record")
    return hashed, record
