"""A device that appends to a file. Surprise: it looks at the path before every write, so a file that was removed, renamed or replaced
is noticed by the next request and not when the disk is read out."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from vault.audit.chain import Head, Position, parse_line

_TAIL_BYTES = 1024 * 1024
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class FileSink:
    """An append-only file, opened anew when its path names another one."""

    def __init__(self, path: Path, mode: int = 0o600) -> None:
        self._path = path
        self._mode = mode
        self._file = -1
        self._inode = 0

    def open(self) -> Position:
        """Return size and inode of the file at the path; raises OSError for anything but a regular file."""
        try:
            found = os.stat(self._path, follow_symlinks=False)
        except FileNotFoundError:
            found = None
        if found is None or found.st_ino != self._inode or self._file < 0:
            found = self._reopen()
        if not stat.S_ISREG(found.st_mode):
            raise OSError("not a regular file")
        if not found.st_mode & stat.S_IWUSR:
            raise PermissionError("the file is not writable")
        return Position(size=found.st_size, inode=found.st_ino)

    def _reopen(self) -> os.stat_result:
        self.close()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self._path, _FLAGS, self._mode)
        found = os.fstat(self._file)
        self._inode = found.st_ino
        return found

    def close(self) -> None:
        """Close the file; the next write opens it again."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def write(self, data: bytes, position: Position) -> None:
        """Write all of it, or cut the file back to where it stood."""
        written = 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._file, position.size)
            raise

    def recover(self) -> tuple[Head | None, int]:
        """Return the last record of the file; cut off what was not written whole, and so never accepted."""
        found = os.fstat(self._file)
        if found.st_size == 0:
            return None, 0
        end, line = self._last_line(found.st_size)
        cut = found.st_size - end
        if cut:
            os.ftruncate(self._file, end)
        if not line:
            return None, cut
        _, record = parse_line(line)
        head = Head(number=int(str(record["seq"])), hash=str(record["hash"]), size=end, inode=found.st_ino, log=str(record["log"]))
        return head, cut

    def _last_line(self, size: int) -> tuple[int, bytes]:
        """Return where the last whole line ends, and the line."""
        span = _TAIL_BYTES
        while True:
            start = max(0, size - span)
            tail = os.pread(self._file, size - start, start)
            end = tail.rfind(b"\n")
            begin = tail.rfind(b"\n", 0, end) if end > 0 else -1
            if start == 0 or begin >= 0:
                return start + end + 1, tail[begin + 1 : end] if end >= 0 else b""
            span *= 4
