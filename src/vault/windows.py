"""Counters of requests in windows of time, shared by all workers of a host: a table of fixed size.

A key belongs to one group of places. When its group is full of windows that still run, a newcomer takes over the place with the lowest
count, or where all are blocked the one whose block ends first, and goes on from there: it may be limited too early, but crowding the
table gives nobody more than the limit.
"""

import mmap
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from hashlib import blake2b

from vault.crypto.random import random_bytes
from vault.host import WINDOWS

GROUPS = 4096
PLACES = 8  # of a group
KEY_BYTES = 16
_PLACE = struct.Struct(f"<{KEY_BYTES}sddQ")  # key, end of the window, end of the block, count
_GROUP_BYTES = PLACES * _PLACE.size


@dataclass(frozen=True, slots=True)
class Turn:
    """What became of one request."""

    allowed: bool
    remaining: int
    reset_seconds: float


class Windows:
    """The table. Made before the fork; `lock` gives the lock of a group over all processes."""

    def __init__(self, lock: Callable[[int], AbstractContextManager[None]]) -> None:
        self._memory = mmap.mmap(-1, GROUPS * _GROUP_BYTES, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._lock = lock
        self._key = random_bytes(32)  # who does not know it cannot aim at a group

    def take(self, subject: bytes, limit: int, interval_seconds: float, block_seconds: float, now: float) -> Turn:
        """Count one request of a subject, unless it has none left in this window; a refused one may block it for a time."""
        key = blake2b(subject, digest_size=KEY_BYTES, key=self._key).digest()
        group = int.from_bytes(key[:4], "little") % GROUPS
        with self._lock(group % WINDOWS):
            place, (_, ends_at, blocked_until, count) = self._find(group, key, now)
            if ends_at <= now:
                ends_at, count = now + interval_seconds, 0
            if blocked_until > now:
                return Turn(False, 0, blocked_until - now)
            allowed = count < limit
            if allowed:
                count += 1
            elif block_seconds:
                blocked_until = now + block_seconds
            _PLACE.pack_into(self._memory, place, key, ends_at, blocked_until, count)
        return Turn(allowed, limit - count if allowed else 0, max(ends_at, blocked_until if not allowed else 0.0) - now)

    def _find(self, group: int, key: bytes, now: float) -> tuple[int, tuple[bytes, float, float, int]]:
        """Return the place of a key and what is there: its own, a free one, or the one with the lowest count."""
        begin = group * _GROUP_BYTES
        rows = list(_PLACE.iter_unpack(self._memory[begin : begin + _GROUP_BYTES]))
        for index, row in enumerate(rows):
            if row[0] == key:
                return begin + index * _PLACE.size, row
        for index, row in enumerate(rows):
            if row[1] <= now and row[2] <= now:
                return begin + index * _PLACE.size, (key, 0.0, 0.0, 0)
        index = min(range(PLACES), key=lambda number: (max(rows[number][2], now), rows[number][3]))
        return begin + index * _PLACE.size, (key, *rows[index][1:])
