"""System calls that return at once, made without giving up the interpreter lock.

Python gives it up around every system call, and a thread that wants it back waits for whoever took it. Within a lock that all
processes of a host share, each such wait holds up every one of them. The calls here take a microsecond or two; whoever may have
to wait for something uses those of `os` and `fcntl`.
"""

import ctypes
import fcntl
import os
import struct
from typing import NamedTuple

_libc = ctypes.PyDLL(None, use_errno=True)
_TRIES = 40  # about as long as a record takes to be written
_FLOCK = struct.Struct("hhqqi4x")  # struct flock of Linux on 64 bits
_STATX = struct.Struct("<28xH2xQQ88xII")  # of struct statx, the same everywhere: mode, inode, size, device
_STATX_BYTES = 256
_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_BASIC_STATS = 0x7FF
_PR_SET_PDEATHSIG = 1


def follow_parent(number: int) -> None:
    """Have the kernel send this process a signal when the thread that forked it ends; not if it has ended already."""
    _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


class FileLock:
    """A lock on one byte of a file, held by the open file and so by the process that opened it."""

    __slots__ = ("_file", "_free", "_take")

    def __init__(self, file: int, place: int) -> None:
        self._file = file
        self._take = ctypes.create_string_buffer(_FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, place, 1, 0))
        self._free = ctypes.create_string_buffer(_FLOCK.pack(fcntl.F_UNLCK, os.SEEK_SET, place, 1, 0))

    def try_take(self) -> bool:
        """Take the lock if it is free."""
        return bool(_libc.fcntl(self._file, fcntl.F_OFD_SETLK, self._take) == 0)

    def try_soon(self) -> bool:
        """Take the lock if it is free within moments, without giving up the interpreter."""
        for _ in range(_TRIES):  # noqa: SIM110 - a generator would cost as much as the call
            if self.try_take():
                return True
        return False

    def take(self) -> None:
        """Take the lock, waiting for it if need be: at first without giving up the interpreter, as it is held for moments."""
        if self.try_soon():
            return
        fcntl.fcntl(self._file, fcntl.F_OFD_SETLKW, self._take.raw[: _FLOCK.size])

    def free(self) -> None:
        """Free the lock."""
        _libc.fcntl(self._file, fcntl.F_OFD_SETLK, self._free)


class Status(NamedTuple):
    """What a path names."""

    mode: int
    inode: int
    size: int
    device: int


class Look:
    """Looks at one path, at what it names itself and not at what a link leads to."""

    __slots__ = ("_buffer", "_path")

    def __init__(self, path: str) -> None:
        self._path = os.fsencode(path)
        self._buffer = ctypes.create_string_buffer(_STATX_BYTES)

    def __call__(self) -> Status:
        """Return what is there; raises OSError. Not for two threads at once."""
        if _libc.statx(_AT_FDCWD, self._path, _AT_SYMLINK_NOFOLLOW, _STATX_BASIC_STATS, self._buffer):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        mode, inode, size, major, minor = _STATX.unpack_from(self._buffer)
        return Status(mode, inode, size, os.makedev(major, minor))


def write(file: int, data: bytes) -> int:
    """Write to a regular file; return how many bytes were taken; raises OSError."""
    written = int(_libc.write(file, data, ctypes.c_size_t(len(data))))
    if written < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return written
