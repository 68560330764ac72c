"""One chain of records per device over all processes and threads of a host.

Each record carries its number, the hash of the record before it and a hash over all its own bytes up to that hash. The head of
the chain lies in memory that all processes share; what it says is compared with the file before every write, so a process killed
between its write and its note of it leaves nothing wrong behind.
"""

import hashlib
import os
import re
import struct
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from threading import Lock
from typing import NamedTuple, Protocol

import orjson

from vault.errors import AuditFailed

GENESIS = "0" * 64
HASH_FIELD = b',"hash":"'

# What became of the last write. The byte of the state is set before a write begins, and again after the head was noted.
NOTHING = 0  # no head is noted
WHOLE = 1  # the head is the last record
TORN = 2  # a write began: its writer was killed, or it failed
STUCK = 3  # nothing was written because nobody reads
NOTING = 4  # what was written is being noted: the head may be half old and half new

# What some reader takes for the end of a line or a command, though JSON does not: C1 controls, line and paragraph separators, and
# what turns the direction of writing.
_MISREAD = re.compile("[\x80-\x9f\u2028-\u202e\u2066-\u2069]")

_HEAD = struct.Struct("<Q32s16sQQQ")  # number, hash, log id, size, device, inode
_STATE = _HEAD.size
BEGINNING = b'{"time":"'  # of every record; what stands before it in a line is the prefix
_LOOKS = 100  # at a head that others may be noting


class Position(NamedTuple):
    """Where a sink stands; a stream stays at the beginning."""

    size: int = 0
    device: int = 0
    inode: int = 0


class Head(NamedTuple):
    """The last record of a chain and where its sink stood after it. A tuple: two are made for every record."""

    number: int
    hash: str
    log: str
    position: Position
    state: int = WHOLE


class Sink(Protocol):
    """What a chain writes to."""

    def open(self, known: Head | None) -> Position:
        """Make the sink ready for a write and return where it stands; raises OSError."""

    def recover(self, known: Head | None) -> tuple[Head | None, int]:
        """Return the head that the sink's content tells (None: no record) and how many torn bytes were cut off.

        Raises OSError where records are lost that this host knows to have written.
        """

    def write(self, data: bytes, position: Position) -> Position:
        """Write all or nothing and return where the sink stands then; raises OSError, TimeoutError where nothing was written."""


class _Ticket:
    __slots__ = ("body", "done", "failure")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.done = False
        self.failure: OSError | None = None


class Chain:
    """Appends records to one sink."""

    def __init__(self, sink: Sink, area: memoryview, lock: Callable[[], AbstractContextManager[None]], now: Callable[[], str]) -> None:
        self._sink = sink
        self._area = area
        self._lock = lock
        self._now = now
        self._queue: deque[_Ticket] = deque()
        self._writing = Lock()

    def find_head(self) -> Head | None:
        """Return the last record that is noted, without waiting for a writer; None if there is none, or it changes all the time."""
        for _ in range(_LOOKS):
            head = self._read_head()
            if head is None or (head.state != NOTING and head == self._read_head()):
                return head
        return None

    def append(self, body: bytes) -> None:
        """Append a JSON object without its closing brace; raises AuditFailed if it was not written whole.

        The thread that gets to write takes along what the others have queued.
        """
        if not body.startswith(BEGINNING) or b"\n" in body:
            raise AuditFailed
        ticket = _Ticket(body if body.isascii() else _escape(body))
        self._queue.append(ticket)
        with self._writing:
            if not ticket.done:
                self._write_queued()
        if ticket.failure is not None:
            raise AuditFailed from ticket.failure

    def _write_queued(self) -> None:
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        # Until it is written it has failed, so that an exception of any kind leaves no ticket of another thread behind as good.
        failure: OSError | None = OSError("the writer was interrupted")
        try:
            with self._lock():
                self._write([ticket.body for ticket in batch])
            failure = None
        except OSError as error:
            failure = error
        except (ValueError, KeyError, TypeError, OverflowError) as error:  # what is there is no chain: nothing may be added to it
            failure = OSError(f"audit log is damaged: {error}")
        finally:
            for ticket in batch:
                ticket.failure = failure
                ticket.done = True

    def _write(self, bodies: list[bytes]) -> None:
        head = self._read_head()
        position = self._sink.open(head)
        if head is None or head.state != WHOLE or head.position != position:
            head, bodies = self._resume(head, bodies)
        number, last = head.number, head.hash
        lines = []
        for body in bodies:
            number += 1
            line = b'%b,"log":"%b","seq":%d,"prev":"%b"' % (body, head.log.encode(), number, last.encode())
            last = hashlib.sha256(line).hexdigest()
            lines.append(b'%b%b%b"}\n' % (line, HASH_FIELD, last.encode()))
        self._area[_STATE] = TORN
        try:
            position = self._sink.write(b"".join(lines), head.position)
        except TimeoutError:
            self._area[_STATE] = STUCK
            raise
        self._area[_STATE] = NOTING
        self._note(Head(number, last, head.log, position))
        self._area[_STATE] = WHOLE

    def _resume(self, known: Head | None, bodies: list[bytes]) -> tuple[Head, list[bytes]]:
        """Find the head again: after a start, after another process was killed, after the file was moved away."""
        found, cut = self._sink.recover(known)
        if found is None:
            # A new file continues the chain that this host was writing; without one, a chain begins.
            number, last, log = (known.number, known.hash, known.log) if known else (0, GENESIS, os.urandom(16).hex())
            found = Head(number, last, log, self._sink.open(known))
        if known is not None:
            self._area[_STATE] = NOTING
        self._note(found)
        if cut:
            record = orjson.dumps({"time": self._now(), "type": "recovery", "cut_bytes": cut})[:-1]
            bodies = [record, *bodies]
        return found, bodies

    def _read_head(self) -> Head | None:
        state = self._area[_STATE]
        if state == NOTHING:
            return None
        number, digest, log, size, device, inode = _HEAD.unpack_from(self._area)
        return Head(number, digest.hex(), log.hex(), Position(size, device, inode), state)

    def _note(self, head: Head) -> None:
        _HEAD.pack_into(self._area, 0, head.number, bytes.fromhex(head.hash), bytes.fromhex(head.log), *head.position)


def _escape(body: bytes) -> bytes:
    return _MISREAD.sub(lambda found: f"\\u{ord(found[0]):04x}", body.decode()).encode()


def parse_line(line: bytes) -> tuple[bytes, dict[str, object]]:
    """Return the hashed bytes and the parsed record of a line; raises ValueError if it is no record."""
    hashed, separator, rest = line.rpartition(HASH_FIELD)
    if not separator or not rest.endswith(b'"}') or len(rest) != 66:
        raise ValueError("no hash at the end")
    record = orjson.loads(line[max(line.find(BEGINNING), 0) :])
    if not isinstance(record, dict) or type(record.get("seq")) is not int or record.get("hash") != rest[:64].decode("ascii", "replace"):
        raise ValueError("no record")
    return hashed, record


def parse_head(line: bytes, position: Position) -> Head:
    """Return what a line says as the last of a log; raises ValueError if it is no record, or not as it was written."""
    hashed, record = parse_line(line)
    digest, log, number = record["hash"], record.get("log"), record["seq"]
    if hashlib.sha256(hashed).hexdigest() != digest or not isinstance(log, str) or len(log) != 32 or not isinstance(number, int):
        raise ValueError("the last record was changed after it was written")
    return Head(number, str(digest), log, position)


def follows(line: bytes, known: Head) -> bool:
    """Return whether a record was written right after a head."""
    hashed, _, _ = line.rpartition(HASH_FIELD)
    return hashed.endswith(b',"log":"%b","seq":%d,"prev":"%b"' % (known.log.encode(), known.number + 1, known.hash.encode()))
