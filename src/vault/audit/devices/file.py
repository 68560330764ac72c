"""A device that appends to a file.

Surprise: it looks at the path before every write, so a file that was removed, renamed or replaced is noticed by the next request
and not when the log is wanted. A file that was moved away is a rotation, and the chain goes on in a new file. One that was removed
is a loss: nothing is accepted until somebody creates the file anew.
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from vault import syscall
from vault.audit.devices import tail
from vault.audit.sink import WHOLE, Head, Position

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class FileSink:
    """An append-only file, opened anew when its path names another one."""

    pause_seconds = 0.0  # files do not let anybody wait

    def __init__(
        self,
        path: Path,
        mode: int = 0o600,
        *,
        prefix: str = "",
        flush: Callable[[int], None] | None = None,
        write: Callable[[int, bytes], int] = syscall.write,
    ) -> None:
        """`flush` brings what was written to the disk before it counts."""
        self._path = path
        self._prefix = prefix.encode()
        self._flush = flush
        self._write = write
        self._look_at_path = syscall.Look(str(path))
        self._mode = mode
        self._file = -1
        self._identity = (0, 0)  # device and inode of the open file
        self._moved: tuple[Head, int] | None = None  # how the file ended that was moved away before its last record was noted

    def allow(self, seconds: float) -> None:
        """Do nothing: the kernel has no bound for a disk."""

    def open(self, known: Head | None) -> Position:
        """Return where the file at the path stands; raises OSError for anything but a regular file that may be written."""
        self._moved = None
        try:
            return self._look(known)
        except FileNotFoundError:  # renamed between two looks at it: look once more
            return self._look(known)

    def _look(self, known: Head | None) -> Position:
        try:
            found = self._look_at_path()
        except FileNotFoundError:
            return tail.read_position(self._create(known))
        if not stat.S_ISREG(found.mode):
            raise OSError("not a regular file")
        if not found.mode & stat.S_IWUSR:
            raise PermissionError("the file is not writable")  # root could write all the same, but was told not to
        if self._file < 0 or (found.device, found.inode) != self._identity:
            return tail.read_position(self._take(os.open(self._path, _FLAGS), known))
        return Position(found.size, found.device, found.inode)

    def _create(self, known: Head | None) -> os.stat_result:
        if known is None:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        elif not self._was_moved(known.position):
            raise FileNotFoundError("the audit log was removed: create an empty file in its place to go on")
        file = os.open(self._path, _FLAGS | os.O_CREAT, self._mode)
        os.fchmod(file, self._mode)  # the mode that was asked for, whatever the umask
        return self._take(file, known)

    def _was_moved(self, position: Position) -> bool:
        """Return whether the file that was written to last still has a name; a worker that never opened it looks for it."""
        if self._file >= 0:
            return os.fstat(self._file).st_nlink > 0
        return self._find_moved(position) is not None

    def _find_moved(self, position: Position) -> Path | None:
        with os.scandir(self._path.parent) as entries:
            return next((Path(entry.path) for entry in entries if entry.inode() == position.inode), None)

    def _finish(self, known: Head) -> None:
        """Look for the end of the file that was moved away, where its last writer was killed before it noted its record."""
        if self._file >= 0 and self._identity == known.position[1:]:
            self._recover_moved(self._file, known)
        elif (moved := self._find_moved(known.position)) is not None:
            with suppress(OSError), moved.open("rb+") as before:
                self._recover_moved(before.fileno(), known)

    def _recover_moved(self, file: int, known: Head) -> None:
        with suppress(OSError, ValueError):  # it was refused, and therefore moved away: what it lacks, the verifier will tell
            head, cut = tail.recover(file, known, self._prefix)
            self._moved = None if head is None else (head, cut)

    def _take(self, file: int, known: Head | None) -> os.stat_result:
        """Use a file from now on. The one before it is closed last: its inode number cannot have been given to the new one."""
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            os.close(file)
            raise OSError("not a regular file")
        if known is not None and known.state != WHOLE and known.position[1:] != (found.st_dev, found.st_ino):
            self._finish(known)
        self.close()
        self._file = file
        self._identity = (found.st_dev, found.st_ino)
        return found

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def write(self, data: bytes, position: Position) -> Position:
        """Write all of it, or cut the file back to where it stood."""
        written = 0
        try:
            while written < len(data):
                written += self._write(self._file, data[written:] if written else data)
            if self._flush is not None:
                self._flush(self._file)
        except OSError as error:
            if error.errno == errno.EBADF:  # somebody closed it: the number may be another file's by the next record
                self._file = -1
                raise
            with suppress(OSError):
                os.ftruncate(self._file, position.size)
            raise
        return Position(position.size + written, position.device, position.inode)

    def recover(self, known: Head | None) -> tuple[Head | None, int]:
        """Return the last record of the file; cut off what was not written whole, and so never accepted."""
        if self._moved is None:
            return tail.recover(self._file, known, self._prefix)
        before, cut_before = self._moved
        head, cut = tail.recover(self._file, before, self._prefix)
        if head is None:
            head = before._replace(position=tail.read_position(os.fstat(self._file)))
        return head, cut_before + cut
