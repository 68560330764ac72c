"""One chain of records per device over all processes and threads of a host.

Each record carries its number, the hash of the record before it and a hash over all its own bytes up to that hash. The head of
the chain lies in memory that all processes share; what it says is compared with the file before every write, so a process killed
between its write and its note of it leaves nothing wrong behind.
"""

import errno
import hashlib
import os
import re
import struct
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Lock

import orjson

from vault.audit.sink import NOTHING, NOTING, STUCK, TORN, WHOLE, BoundedLock, HalfWritten, Head, Position, Reserve, Sink
from vault.clock import SystemClock
from vault.errors import AuditFailed

GENESIS = "0" * 64
HASH_FIELD = b',"hash":"'

_LINK_BYTES = 300  # what makes a record a link of the chain: log, number, the hash before, its own
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_SPENDS_MAX = 32  # for one write: 256 KiB, more than one block of any usual file system; what then finds no room finds none

# What some reader takes for the end of a line or a command, though JSON does not: C1 controls, line and paragraph separators, and
# what turns the direction of writing.
_MISREAD = re.compile("[\x80-\x9f\u2028-\u202e\u2066-\u2069]")

_HEAD = struct.Struct("<Q32s16sQQQ")  # number, hash, log id, size, device, inode
_STATE = _HEAD.size
_PAUSE = struct.Struct("<d")  # until when nobody tries, on the clock that all processes of a machine share; 0: no pause
_PAUSE_AT = 88
_WAITING_AT = 96  # whether some process waits for the lock
BEGINNING = b'{"time":"'  # of every record; what stands before it in a line is the prefix

# A record is refused within 5 s whatever hangs: it waits for those before it, then for other processes, then for the sink itself,
# each for a part of its time at most.
RECORD_SECONDS_MAX = 4.5
QUEUE_PART = 0.3
LOCK_PART = 0.2
LOCK_SECONDS_MAX = 1.0
_LOCK_SECONDS_SHORT = 0.1  # for a lock that was not free before; a writer holds it for much less
_TURN_SECONDS = 0.0002  # between two looks whether the lock is free; a slow writer holds it for some milliseconds
_TRIAL_SECONDS = 4.0  # longer than any trial of a device that hung
_LOOKS = 100  # at a head that others may be noting


class _Ticket:
    __slots__ = ("body", "done", "failure", "left", "vital", "woken")

    def __init__(self, body: bytes, *, vital: bool) -> None:
        self.vital = vital
        self.woken: Lock | None = None  # made when its thread has to wait, free once it was woken
        self.body = body
        self.done = False
        self.left = False  # its thread did not wait any longer
        self.failure: OSError | None = None

    def wake(self) -> None:
        """Let its thread look again."""
        if self.woken is not None:
            with suppress(RuntimeError):  # woken already
                self.woken.release()

    def wait(self, seconds: float) -> None:
        """Wait until it is woken. The first time there is nothing to wait for: whoever could not wake it has let the next one in."""
        if self.woken is None:
            woken = Lock()
            woken.acquire()
            self.woken = woken
        else:
            self.woken.acquire(timeout=seconds)


class Chain:
    """Appends records to one sink."""

    def __init__(
        self,
        sink: Sink,
        area: memoryview,
        lock: Callable[[], BoundedLock],
        now: Callable[[], str],
        *,
        prefix: str = "",
        reserve: Reserve | None = None,
        monotonic: Callable[[], float] = SystemClock.monotonic,
    ) -> None:
        self._sink = sink
        self._reserve = reserve
        self._pauses = bool(sink.pause_seconds)
        self._area = area
        self._lock = lock
        self._now = now
        self._prefix = prefix.encode()
        self._monotonic = monotonic
        self._queue: deque[_Ticket] = deque()
        self._writing = Lock()
        self._lock_seconds = LOCK_SECONDS_MAX

    def find_head(self) -> Head | None:
        """Return the last record that is noted, without waiting for a writer; None if there is none, or it changes all the time."""
        for _ in range(_LOOKS):
            head = self._read_head()
            if head is None or (head.state != NOTING and head == self._read_head()):
                return head
        return None

    def end(self) -> None:
        """Give up what was kept for records to come."""
        if self._reserve is not None:
            self._reserve.end()

    def append(self, body: bytes, seconds: float = RECORD_SECONDS_MAX, *, vital: bool = False) -> None:
        """Append a JSON object without its closing brace; raises AuditFailed if it was not written whole, within that time.

        The thread that gets to write takes along what the others have queued. A vital record may use the reserve.
        """
        if not body.startswith(BEGINNING) or b"\n" in body:
            raise AuditFailed
        if self._pauses and self._is_paused():
            raise AuditFailed from TimeoutError("the device hangs")
        ticket = _Ticket(body if body.isascii() else _escape(body), vital=vital)
        self._queue.append(ticket)
        try:
            self._await_turn(ticket, seconds)
        except BaseException:
            ticket.left = True
            raise
        if ticket.failure is not None:
            raise AuditFailed from ticket.failure

    def _await_turn(self, ticket: _Ticket, seconds: float) -> None:
        """Write, unless somebody else takes the ticket along."""
        deadline = 0.0
        while not ticket.done:
            if self._writing.acquire(blocking=False):
                try:
                    if not ticket.done:
                        self._write_queued(seconds * (1 - QUEUE_PART) if deadline else seconds)
                finally:
                    self._writing.release()
                    if self._queue:
                        self._wake_next()
                continue
            now = self._monotonic()
            deadline = deadline or now + seconds * QUEUE_PART
            if now >= deadline:
                ticket.left = True  # it may be written all the same: what is on record may have been refused
                self._wake_next()
                raise AuditFailed from TimeoutError("the device hangs with the records before")
            ticket.wait(deadline - now)

    def _wake_next(self) -> None:
        """Let one of those write who queued up meanwhile, if nobody else does."""
        for ticket in tuple(self._queue):
            if not ticket.left:
                ticket.wake()
                return

    def _is_paused(self) -> bool:
        """Return whether to refuse without trying, as somebody else finds out whether a device that hung is back."""
        (until,) = _PAUSE.unpack_from(self._area, _PAUSE_AT)
        if not until:
            return False
        now = self._monotonic()
        if now < until:
            return True
        self._pause(now + _TRIAL_SECONDS)  # this thread tries, the others do not wait for it
        return False

    def _pause(self, until: float) -> None:
        _PAUSE.pack_into(self._area, _PAUSE_AT, until)

    def _write_queued(self, seconds: float) -> None:
        lock = self._lock()
        lock_seconds = self._take(lock, seconds * LOCK_PART)
        taken = lock_seconds is not None
        batch = [self._queue.popleft() for _ in range(len(self._queue))]
        # Until it is written it has failed, so that an exception of any kind leaves no ticket of another thread behind as good.
        failure: OSError | None = OSError("the writer was interrupted")
        rescued: list[_Ticket] = []
        try:
            if lock_seconds is None:
                raise TimeoutError("another process holds the audit log and does not go on")
            self._sink.allow(seconds - lock_seconds)
            (self._write_tried if self._pauses else self._write)([ticket.body for ticket in batch if not ticket.left])
            failure = None
            if self._reserve is not None:
                self._reserve.keep()
        except OSError as error:
            failure = error
            rescued = self._rescue(batch, error)
        except (ValueError, KeyError, TypeError, OverflowError) as error:  # what is there is no chain: nothing may be added to it
            failure = OSError(f"audit log is damaged: {error}")
        finally:
            if taken:
                lock.release()
            for ticket in batch:
                ticket.failure = None if ticket in rescued else failure
                ticket.done = True
                if ticket.woken is not None:
                    ticket.wake()

    def _rescue(self, batch: list[_Ticket], failure: OSError) -> list[_Ticket]:
        """Write at the expense of the reserve what must not be refused because the disk is full; return what was written."""
        reserve, vital = self._reserve, [ticket for ticket in batch if ticket.vital and not ticket.left]
        if reserve is None or not vital:
            return []
        size = sum(len(self._prefix) + len(ticket.body) + _LINK_BYTES for ticket in vital)
        with suppress(ValueError, KeyError, TypeError, OverflowError):  # no chain: all of the batch is refused for the first reason
            for _ in range(_SPENDS_MAX):
                if failure.errno not in _FULL or not reserve.spend(size):
                    break
                try:
                    self._write([ticket.body for ticket in vital])
                except OSError as error:
                    failure = error
                else:
                    return vital
        return []

    def _take(self, lock: BoundedLock, seconds: float) -> float | None:
        """Take the lock of the log within a time; return how long that took, None if it was not free.

        Who had it last does not take it again before one that waits for it.
        """
        if self._area[_WAITING_AT]:
            time.sleep(_TURN_SECONDS)
        if lock.take(0.0):
            self._lock_seconds = LOCK_SECONDS_MAX
            return 0.0
        begun = now = self._monotonic()
        while now - begun < min(self._lock_seconds, seconds):
            self._area[_WAITING_AT] = 1
            time.sleep(_TURN_SECONDS)
            now = self._monotonic()
            if lock.take(0.0):
                self._area[_WAITING_AT] = 0
                self._lock_seconds = LOCK_SECONDS_MAX
                return now - begun
        self._lock_seconds = _LOCK_SECONDS_SHORT
        return None

    def _write_tried(self, bodies: list[bytes]) -> None:
        """Write, and let everybody know whether the sink hangs."""
        try:
            self._write(bodies)
        except TimeoutError:
            self._pause(self._monotonic() + self._sink.pause_seconds)
            raise
        except OSError:
            self._pause(0.0)  # it fails at once, and need not be spared
            raise
        if _PAUSE.unpack_from(self._area, _PAUSE_AT)[0]:
            self._pause(0.0)

    def _write(self, bodies: list[bytes]) -> None:
        head = self._read_head()
        position = self._sink.open(head)
        if head is None or head.state != WHOLE or head.position != position:
            head, bodies = self._resume(head, bodies)
        number, last = head.number, head.hash
        lines = []
        for body in bodies:
            number += 1
            line, last = make_line(self._prefix + body if self._prefix else body, head.log, number, last)
            lines.append(line)
        self._area[_STATE] = TORN
        try:
            position = self._sink.write(b"".join(lines), head.position)
        except HalfWritten:
            raise
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


def make_line(body: bytes, log: str, number: int, previous: str) -> tuple[bytes, str]:
    """Return the line of a record, and its hash. The hash is over all of the line before it, a prefix included."""
    line = b'%b,"log":"%b","seq":%d,"prev":"%b"' % (body, log.encode(), number, previous.encode())
    digest = hashlib.sha256(line).hexdigest()
    return b'%b%b%b"}\n' % (line, HASH_FIELD, digest.encode()), digest


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
