"""Pieces of shared memory, one for each living worker, made before the fork.

A worker holds its piece by a lock of the kernel, which ends with the process however it ends. The next worker takes the piece over and
counts on from where the dead one stopped: nothing that was counted is lost, and nothing has to be cleaned up.
"""

import mmap
import os
import weakref
from collections.abc import Iterator

from vault.syscall import FileLock


class Regions:
    """The pieces. Only what was touched takes memory."""

    def __init__(self, count: int, region_bytes: int) -> None:
        self.count = count
        self._bytes = region_bytes
        memory = mmap.mmap(-1, count * region_bytes, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        memory.madvise(mmap.MADV_DONTDUMP)
        self._memory = memoryview(memory)
        # Which were ever held: to look at one that was not would make the kernel give it memory.
        self._used = mmap.mmap(-1, count, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._file = os.memfd_create("health-vault-regions", os.MFD_CLOEXEC)
        weakref.finalize(self, os.close, self._file)

    def claim(self) -> memoryview | None:
        """Return a piece that nobody holds, for the rest of this process's life; None if all are held."""
        file = self._open()
        for number in range(self.count):
            if FileLock(file, number).try_take():
                weakref.finalize(self, os.close, file)
                self._used[number] = 1
                return self.region(number)
        os.close(file)
        return None

    def region(self, number: int) -> memoryview:
        """Return a piece, whoever holds it."""
        return self._memory[number * self._bytes : (number + 1) * self._bytes]

    def list_used(self) -> list[int]:
        """Return which pieces hold anything, their process living or dead."""
        return [number for number in range(self.count) if self._used[number]]

    def list_held(self) -> list[int]:
        """Return which pieces belong to a living process."""
        return list(self._find_held())

    def _find_held(self) -> Iterator[int]:
        file = self._open()
        try:
            for number in self.list_used():
                lock = FileLock(file, number)
                if lock.try_take():
                    lock.free()
                else:
                    yield number
        finally:
            os.close(file)

    def _open(self) -> int:
        """Open the lock file anew: locks belong to an open file, and an inherited one is the arbiter's."""
        return os.open(f"/proc/self/fd/{self._file}", os.O_RDWR | os.O_CLOEXEC)
