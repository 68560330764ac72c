"""Space on the disk of an audit file that is kept for the records of sealing and unsealing.

A full disk refuses every request, also the one that would seal the server. So a file of zeros lies beside the log, and gives up some
blocks for a record that must not be refused. Surprise: any other writer can take what was given up; so little of it is given at a
time, and it is taken back as soon as there is room.
"""

import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from vault.clock import SystemClock

RESERVE_BYTES = 1024 * 1024  # a seal and three unseals write eight records, each of which costs two blocks at worst: sixteen times
RESERVE_BYTES_MAX = 64 * 1024 * 1024  # whoever may enable a device cannot fill a disk with it
SUFFIX = ".reserve"
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MODE = 0o600
_BLOCK_BYTES = 4096  # of most file systems; where blocks are larger, a record asks more than once
_STAT_BLOCK_BYTES = 512
_KEEP_SECONDS = 10.0

_log = structlog.get_logger(__name__)


def reserve_path(log: Path) -> Path:
    """Return the file that keeps space for a log; hidden, so that `audit.log*` means logs only."""
    return log.with_name(f".{log.name}{SUFFIX}")


class Reserve:
    """The reserve of one log, shared by all workers. Whoever keeps or spends it has the lock of the log."""

    def __init__(self, log: Path, size: int = RESERVE_BYTES, *, monotonic: Callable[[], float] = SystemClock.monotonic) -> None:
        self._path = reserve_path(log)
        self._size = size
        self._monotonic = monotonic
        self._keep_at = 0.0

    def keep(self) -> None:
        """Make the reserve whole, if it was not looked at for a while; a disk without room for it is logged and no more."""
        now = self._monotonic()
        if now < self._keep_at:
            return
        self._keep_at = now + _KEEP_SECONDS
        try:
            file = self._open(os.O_CREAT)
            try:
                found = os.fstat(file)
                if found.st_size > self._size:  # less is to be kept than before
                    os.ftruncate(file, self._size)
                if found.st_blocks * _STAT_BLOCK_BYTES < self._size:
                    os.posix_fallocate(file, 0, self._size)
            finally:
                os.close(file)
        except OSError as error:
            _log.warning("no space could be kept for the audit records of sealing and unsealing", file=str(self._path), cause=str(error))

    def spend(self, size: int) -> bool:
        """Give up space for so many bytes; return whether there was some."""
        try:
            file = self._open()
        except OSError:
            return False
        try:
            left = min(os.fstat(file).st_size, self._size)
            blocks = size // _BLOCK_BYTES + 2  # one for the part of a block at its end, one for where the log's last block was full
            os.ftruncate(file, max(left - blocks * _BLOCK_BYTES, 0))
        except OSError:
            return False
        else:
            return left > 0
        finally:
            os.close(file)

    def end(self) -> None:
        """Give all of it up: the log has ended, whoever still writes to it."""
        with suppress(OSError):
            self._path.unlink()

    def _open(self, flags: int = 0) -> int:
        file = os.open(self._path, _FLAGS | flags, _MODE)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            os.close(file)
            raise OSError("not a regular file of one name")
        return file
