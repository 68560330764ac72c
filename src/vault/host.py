"""The page of memory that all processes of a host share: made once before the fork, inherited by every worker, never in a file.

It holds the seal state with the root key, the shares given so far, the generation counters and the heads of audit chains.
Readers of the seal state take no lock: a sequence number around each change tells them to look again.
"""

import ctypes
import ctypes.util
import mmap
import os
import struct
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from vault import limits
from vault.clock import SystemClock
from vault.syscall import FileLock

KEY_BYTES = 32
SHARE_BYTES_MAX = 33
NONCE_BYTES = 36
AUDIT_SLOTS = 32
AUDIT_SLOT_BYTES = 128
AUDIT_MARK_BYTES = 64

# Places of the lock file, one byte each.
SEAL_LOCK = 0
GENERATION_LOCK = 1
AUDIT_LOCK = 2  # and the slots after it
QUEUE_LOCK = AUDIT_LOCK + AUDIT_SLOTS  # and the queues after it
QUEUES = 64
TELEMETRY_LOCK = QUEUE_LOCK + QUEUES
WINDOW_LOCK = TELEMETRY_LOCK + 1  # and the windows of rate limits after it
WINDOWS = 64
CHECKPOINT_LOCK = WINDOW_LOCK + WINDOWS
HASH_LOCK = CHECKPOINT_LOCK + 1  # and the places of password hashes after it
HASHES = 32
_LOCKS = HASH_LOCK + HASHES

_SPINS = 10_000  # far longer than any change takes
_TURN_SECONDS_MIN = 0.00005
_TURN_SECONDS = 0.0005  # between two looks whether it is a process's turn; a commit takes longer

# Epoch, open, root key, nonce length, nonce, share count.
_HEADER = struct.Struct(f"<QB{KEY_BYTES}sB{NONCE_BYTES}sB")
_SEQUENCE = 0
_SEAL = 8
_SHARES = 256
_AREA = 16 * 1024
_GENERATIONS = _AREA + AUDIT_SLOTS * AUDIT_SLOT_BYTES
_DOUBTS = _GENERATIONS + 8 * limits.GENERATION_SLOTS
_MARKS = _DOUBTS + 24
_PAGE_BYTES = _MARKS + AUDIT_SLOTS * AUDIT_MARK_BYTES

_ONE_EACH = int.from_bytes(b"\1\0\0\0\0\0\0\0" * limits.GENERATION_SLOTS, "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class SealState:
    """The seal of this host at one moment."""

    epoch: int  # moves with every seal and unseal
    sealed: bool
    root_key: bytes  # empty while sealed
    nonce: str
    shares: tuple[bytes, ...]

    def __repr__(self) -> str:
        return f"SealState(epoch={self.epoch}, sealed={self.sealed}, progress={len(self.shares)})"


class PlaceLock:
    """A lock over the threads and processes of the host.

    The kernel's locks here belong to the open file, not to the process as POSIX ones do: with those, threads of two processes that
    hold and want different places in turn look like a deadlock, and one of them is refused.
    """

    __slots__ = ("_lock", "_threads")

    def __init__(self, file: int, place: int) -> None:
        self._lock = FileLock(file, place)
        self._threads = threading.Lock()

    def __enter__(self) -> None:
        self._threads.acquire()
        try:
            self._lock.take()
        except BaseException:
            self._threads.release()
            raise

    def __exit__(self, *_: object) -> None:
        self.release()

    def take(self, seconds: float) -> bool:
        """Take the lock within a time; return whether that worked."""
        if not self._threads.acquire(blocking=False):
            begun = SystemClock.monotonic()
            if not self._threads.acquire(timeout=seconds):
                return False
            seconds -= SystemClock.monotonic() - begun
        if self._lock.try_soon():
            return True
        deadline, pause = SystemClock.monotonic() + seconds, _TURN_SECONDS_MIN
        while not self._lock.try_take():
            if SystemClock.monotonic() > deadline:
                self._threads.release()
                return False
            time.sleep(pause)
            pause = min(2 * pause, _TURN_SECONDS)
        return True

    def release(self) -> None:
        """Let the next one in."""
        self._lock.free()
        self._threads.release()


class HostPage:
    """The shared page. One instance, made by the arbiter."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _PAGE_BYTES, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._map.madvise(mmap.MADV_DONTDUMP)
        self.locked_in_memory = _lock_in_memory(self._map)
        self.host_id = os.urandom(12).hex()  # as other hosts know this one
        self._lock_file = os.memfd_create("health-vault-host", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._lock_file)
        self._places = self._open_places()
        page = memoryview(self._map)
        self.generations = Generations(page[_GENERATIONS:_DOUBTS].cast("Q"), page[_DOUBTS:_MARKS].cast("Q"), self)
        self._sequence = memoryview(self._map)[:8].cast("Q")
        _pages.add(self)

    def after_fork(self) -> None:
        """Give this process locks of its own."""
        self._close_own()
        self._places = self._open_places()

    def _open_places(self) -> tuple["PlaceLock", ...]:
        """Return the locks of this process, on an open file of its own: what is inherited would not exclude its siblings."""
        own = os.open(f"/proc/self/fd/{self._lock_file}", os.O_RDWR | os.O_CLOEXEC)
        self._close_own = weakref.finalize(self, os.close, own)
        return tuple(PlaceLock(own, place) for place in range(_LOCKS))

    @contextmanager
    def seal_lock(self) -> Iterator[None]:
        """Exclude all others from changing the seal state, and make whole what a killed writer left."""
        with self._places[SEAL_LOCK]:
            if self._sequence[0] % 2:
                self._repair()
            yield

    def lock(self, place: int = SEAL_LOCK) -> AbstractContextManager[None]:
        """Exclude all other threads and processes of the host from one place. The kernel frees the lock of a process that dies."""
        return self.seal_lock() if place == SEAL_LOCK else self._places[place]

    def place_lock(self, place: int) -> PlaceLock:
        """Return the lock of one place, for those who wait for it within a time. Ask anew each time: a fork replaces it."""
        return self._places[place]

    def queue(self, number: int, seconds: float) -> AbstractContextManager[bool]:
        """Line up with the threads and processes of the host; gives whether it is the caller's turn, or its time is over."""
        return self._turn(QUEUE_LOCK + number % QUEUES, seconds)

    def hash_turn(self) -> AbstractContextManager[None]:
        """Wait until the host may hash another password: all workers together have half of its processors for that."""
        places = min(max(1, len(os.sched_getaffinity(0)) // 2), HASHES)
        return self._places[HASH_LOCK + os.getpid() % places]

    def checkpoint_turn(self, seconds: float) -> AbstractContextManager[bool]:
        """Keep all others of the host from signing checkpoints; gives whether it is the caller's turn, or its time is over."""
        return self._turn(CHECKPOINT_LOCK, seconds)

    @contextmanager
    def _turn(self, number: int, seconds: float) -> Iterator[bool]:
        place = self._places[number]
        taken = place.take(seconds)
        try:
            yield taken
        finally:
            if taken:
                place.release()

    def audit_area(self, slot: int) -> memoryview:
        """Return the bytes that all processes share about one audit device; change them under its lock only."""
        start = _AREA + slot * AUDIT_SLOT_BYTES
        return memoryview(self._map)[start : start + AUDIT_SLOT_BYTES]

    def audit_mark(self, slot: int) -> memoryview:
        """Return the bytes that say how far the log of a device is covered; change them in one's turn only."""
        start = _MARKS + slot * AUDIT_MARK_BYTES
        return memoryview(self._map)[start : start + AUDIT_MARK_BYTES]

    # -- seal ---------------------------------------------------------------------------------------------------------

    @property
    def seal_version(self) -> int:
        """Return a number that is the same as long as the seal state is; odd while it changes."""
        return self._sequence[0]

    def read_seal(self) -> SealState:
        """Return the seal state, whole."""
        return self.read_seal_version()[1]

    def read_seal_version(self) -> tuple[int, SealState]:
        """Return the seal state, whole, and the number under which it was read."""
        for _ in range(_SPINS):
            before = self._sequence[0]
            state = self._read_seal()
            if before % 2 == 0 and before == self._sequence[0]:
                return before, state
            os.sched_yield()
        with self.lock():
            return self._sequence[0], self._read_seal()

    def _repair(self) -> None:
        """Seal the host: a writer was killed half-way, and what it left is no state."""
        with self._change():
            self._write(self._read_seal().epoch + 1, b"", "", ())

    def _read_seal(self) -> SealState:
        epoch, is_open, key, nonce_length, nonce, count = _HEADER.unpack_from(self._map, _SEAL)
        shares = []
        for index in range(count):
            place = _SHARES + index * (SHARE_BYTES_MAX + 1)
            shares.append(self._map[place + 1 : place + 1 + self._map[place]])
        return SealState(
            epoch=epoch,
            sealed=not is_open,
            root_key=key if is_open else b"",
            nonce=nonce[:nonce_length].decode("ascii", "replace"),
            shares=tuple(shares),
        )

    def write_progress(self, nonce: str, shares: tuple[bytes, ...]) -> None:
        """Store the shares given so far; call under the lock."""
        state = self._read_seal()
        with self._change():
            self._write(state.epoch, state.root_key, nonce, shares)

    def write_unsealed(self, root_key: bytes) -> None:
        """Open the host; call under the lock."""
        state = self._read_seal()
        with self._change():
            self._write(state.epoch + 1, root_key, "", ())

    def write_root_key(self, root_key: bytes) -> None:
        """Replace the root key of an open host, whose keyring stays the same; call under the lock."""
        state = self._read_seal()
        with self._change():
            self._write(state.epoch, root_key, "", ())

    def wipe(self) -> None:
        """Close the host and forget the root key; call under the lock."""
        state = self._read_seal()
        with self._change():
            self._write(state.epoch + 1, b"", "", ())

    def erase(self) -> None:
        """Close the host for good, whoever holds the lock: the last thing that its arbiter does."""
        with self._change():
            self._write(self._read_seal().epoch + 1, b"", "", ())

    @contextmanager
    def _change(self) -> Iterator[None]:
        self._sequence[0] |= 1  # it is odd already if a killed writer left it so
        try:
            yield
        finally:
            self._sequence[0] += 1

    def _write(self, epoch: int, root_key: bytes, nonce: str, shares: tuple[bytes, ...]) -> None:
        text = nonce.encode("ascii")
        header = (epoch, bool(root_key), root_key, len(text), text, len(shares))
        _HEADER.pack_into(self._map, _SEAL, *header)
        self._map[_SHARES:_AREA] = bytes(_AREA - _SHARES)
        for index, share in enumerate(shares):
            place = _SHARES + index * (SHARE_BYTES_MAX + 1)
            self._map[place] = len(share)
            self._map[place + 1 : place + 1 + len(share)] = share


class Generations:
    """Counters that move whenever a row or a listing of their slot has changed.

    A writer that was killed may have left a commit on its way that it will never announce. `bump_all` puts the host in doubt: from
    then on nothing is cached, until a listener has seen every transaction end that was running, and settles the doubt.
    """

    __slots__ = ("_counters", "_doubts", "_page", "read")

    def __init__(self, counters: memoryview, doubts: memoryview, page: HostPage) -> None:
        self._counters = counters
        self._doubts = doubts  # how many there were, how many of them are settled; and since when other hosts may know of this one
        self._page = page
        self.read = counters.__getitem__  # one aligned 64-bit load, no lock

    def bump(self, slots: set[int]) -> dict[int, int]:
        """Move the counters of the slots; return where they are now."""
        counters = self._counters
        moved = {}
        with self._page.lock(GENERATION_LOCK):
            for slot in slots:
                counters[slot] = moved[slot] = counters[slot] + 1
        return moved

    def move_all(self) -> None:
        """Move every counter."""
        with self._page.lock(GENERATION_LOCK):
            self._move_all()

    def _move_all(self) -> None:
        # Added as one long number: a loop over all counters would keep every writer of the host waiting for 20 ms.
        counters = self._counters.cast("B")
        moved = int.from_bytes(counters, "little") + _ONE_EACH
        counters[:] = moved.to_bytes(len(counters), "little")

    def queue(self, slot: int, seconds: float) -> AbstractContextManager[bool]:
        """Line up for a row that many write; gives whether it is the caller's turn, or its time is over."""
        return self._page.queue(slot, seconds)

    # -- doubt --------------------------------------------------------------------------------------------------------

    @property
    def doubt(self) -> int:
        """Return the number of the present doubt; 0 if there is none."""
        raised, settled, _ = self._doubts
        return raised if raised != settled else 0

    @property
    def announced_at(self) -> float:
        """Return when this host was made known to others, on the clock that all its processes share; 0.0: not yet."""
        return self._doubts[2] / 1e9

    @announced_at.setter
    def announced_at(self, now: float) -> None:
        self._doubts[2] = int(now * 1e9)

    def bump_all(self) -> None:
        """Move every counter and raise a doubt: for a process that died, or a connection that broke, around a commit."""
        with self._page.lock(GENERATION_LOCK):
            self._doubts[0] += 1
            self._move_all()

    def settle(self, doubt: int) -> None:
        """Move every counter and end a doubt; call when all transactions that were running when it was read have ended."""
        with self._page.lock(GENERATION_LOCK):
            self._move_all()
            self._doubts[1] = max(self._doubts[1], doubt)


def _lock_in_memory(page: mmap.mmap) -> bool:
    """Keep what is secret of the page out of swap, where the system allows it: often it allows 64 KiB, and the rest is only counters."""
    libc = ctypes.CDLL(None, use_errno=True)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return bool(libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(_AREA)) == 0)


def _after_fork() -> None:
    for page in tuple(_pages):
        page.after_fork()


_pages: weakref.WeakSet[HostPage] = weakref.WeakSet()
os.register_at_fork(after_in_child=_after_fork)
