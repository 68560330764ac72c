"""The page of memory that all processes of a host share: made once before the fork, inherited by every worker, never in a file.

It holds the seal state with the root key, the shares given so far, the generation counters and the heads of audit chains.
Readers of the seal state take no lock: a sequence number around each change tells them to look again.
"""

import ctypes
import ctypes.util
import fcntl
import mmap
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vault import limits

KEY_BYTES = 32
SHARE_BYTES_MAX = 33
NONCE_BYTES = 36
AUDIT_SLOTS = 32
AUDIT_SLOT_BYTES = 128

# Places of the lock file, one byte each.
SEAL_LOCK = 0
GENERATION_LOCK = 1
AUDIT_LOCK = 2  # and the slots after it
_LOCKS = AUDIT_LOCK + AUDIT_SLOTS

_SPINS = 10_000  # far longer than any change takes

_HEADER = struct.Struct(f"<QB{KEY_BYTES}sB{NONCE_BYTES}sB")  # epoch, open, root key, nonce length, nonce, share count
_SEQUENCE = 0
_SEAL = 8
_SHARES = 256
_AREA = 16 * 1024
_GENERATIONS = _AREA + AUDIT_SLOTS * AUDIT_SLOT_BYTES
_PAGE_BYTES = _GENERATIONS + 8 * limits.GENERATION_SLOTS


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


class HostPage:
    """The shared page. One instance, made by the arbiter."""

    def __init__(self) -> None:
        self._map = mmap.mmap(-1, _PAGE_BYTES, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._map.madvise(mmap.MADV_DONTDUMP)
        self.locked_in_memory = _lock_in_memory(self._map)
        self.host_id = os.urandom(12).hex()  # as other hosts know this one
        self._lock_file = os.memfd_create("health-vault-host", os.MFD_CLOEXEC)
        self._threads = _make_thread_locks()
        self.generations = Generations(memoryview(self._map)[_GENERATIONS:].cast("Q"), self)
        self._sequence = memoryview(self._map)[:8].cast("Q")
        os.register_at_fork(after_in_child=self._after_fork)

    def _after_fork(self) -> None:
        self._threads = _make_thread_locks()

    @contextmanager
    def lock(self, place: int = SEAL_LOCK) -> Iterator[None]:
        """Exclude all other threads and processes of the host from one place. The kernel frees the lock of a process that dies."""
        with self._threads[place]:
            fcntl.lockf(self._lock_file, fcntl.LOCK_EX, 1, place)
            try:
                if place == SEAL_LOCK and self._sequence[0] % 2:
                    self._repair()
                yield
            finally:
                fcntl.lockf(self._lock_file, fcntl.LOCK_UN, 1, place)

    def audit_area(self, slot: int) -> memoryview:
        """Return the bytes that all processes share about one audit device; change them under its lock only."""
        start = _AREA + slot * AUDIT_SLOT_BYTES
        return memoryview(self._map)[start : start + AUDIT_SLOT_BYTES]

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

    def wipe(self) -> None:
        """Close the host and forget the root key; call under the lock."""
        state = self._read_seal()
        with self._change():
            self._write(state.epoch + 1, b"", "", ())

    @contextmanager
    def _change(self) -> Iterator[None]:
        self._sequence[0] |= 1  # it is odd already if a killed writer left it so
        try:
            yield
        finally:
            self._sequence[0] += 1

    def _write(self, epoch: int, root_key: bytes, nonce: str, shares: tuple[bytes, ...]) -> None:
        text = nonce.encode("ascii")
        _HEADER.pack_into(self._map, _SEAL, epoch, bool(root_key), root_key, len(text), text, len(shares))
        self._map[_SHARES:_AREA] = bytes(_AREA - _SHARES)
        for index, share in enumerate(shares):
            place = _SHARES + index * (SHARE_BYTES_MAX + 1)
            self._map[place] = len(share)
            self._map[place + 1 : place + 1 + len(share)] = share


class Generations:
    """Counters that move whenever a row or a listing of their slot has changed."""

    __slots__ = ("_counters", "_page", "read")

    def __init__(self, counters: memoryview, page: HostPage) -> None:
        self._counters = counters
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

    def bump_all(self) -> None:
        """Move every counter: for a process that died between its commit and its bump."""
        self.bump(set(range(len(self._counters))))


def _make_thread_locks() -> tuple[threading.Lock, ...]:
    return tuple(threading.Lock() for _ in range(_LOCKS))


def _lock_in_memory(page: mmap.mmap) -> bool:
    """Keep the page out of swap where the system allows it."""
    libc = ctypes.CDLL(None, use_errno=True)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return bool(libc.mlock(ctypes.c_void_p(address), ctypes.c_size_t(len(page))) == 0)
