"""A device that writes to standard output. What was written cannot be read back, so its chain begins anew with each start.

Writing never blocks: nobody may be reading, or a program that shares the pipe may have filled it.
"""

import os
import select
from collections.abc import Callable
from contextlib import suppress

from vault.audit.devices.stream import WAIT_SECONDS, Stream
from vault.audit.sink import TORN, HalfWritten, Head, Position
from vault.clock import SystemClock


class StreamSink(Stream):
    """Standard output, or any other stream that is open already."""

    def __init__(self, descriptor: int, monotonic: Callable[[], float] = SystemClock.monotonic) -> None:
        super().__init__(WAIT_SECONDS, monotonic)
        self._descriptor = descriptor
        self._file = -1

    def open(self, known: Head | None) -> Position:
        """Open the stream once more, for this process and without blocking."""
        if self._file < 0:
            self._file = _open_again(self._descriptor)
        return super().open(known)

    def write(self, data: bytes, position: Position) -> Position:
        """Write all of it within a bounded time; raises OSError, TimeoutError where nothing was written."""
        # Half a record may stand there; the next one must not be glued to it.
        separator = b"\n" if self._after == TORN else b""
        data = separator + data
        self._patience.begin()
        written = 0
        while written < len(data):
            try:
                written += self._write_piece(data[written : written + select.PIPE_BUF])
            except TimeoutError as error:
                if written or separator:
                    raise HalfWritten("the stream got stuck within a record") from error
                raise
        return position

    def _write_piece(self, piece: bytes) -> int:
        """Wait for room and return how much was written; the kernel takes a piece whole or not at all."""
        while True:
            ready = self._patience.await_event(self._file, select.POLLOUT)
            if ready:
                with suppress(BlockingIOError):  # somebody else took the room
                    return os.write(self._file, piece)
            if not ready or self._patience.is_over:
                raise TimeoutError("nobody reads the stream")


def _open_again(descriptor: int) -> int:
    """Return a descriptor of the same stream that does not block, without making it so for all who share it."""
    try:
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return descriptor  # a socket, or opened by another user: room for a whole piece is looked for before each write
