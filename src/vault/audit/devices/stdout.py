"""A device that writes to standard output. What was written cannot be read back, so its chain begins anew with each start.

Writing never blocks: nobody may be reading, or a program that shares the pipe may have filled it.
"""

import os
import select
from collections.abc import Callable
from contextlib import suppress

from vault.audit.chain import TORN, WHOLE, Head, Position
from vault.clock import SystemClock

WAIT_SECONDS = 2.0  # for a whole record; with all that a request waits for besides, it is refused within 5 s


class StreamSink:
    """Standard output, or any other stream that cannot be read back."""

    def __init__(self, descriptor: int, monotonic: Callable[[], float] = SystemClock.monotonic) -> None:
        self._descriptor = descriptor
        self._monotonic = monotonic
        self._file = -1
        self._wait_seconds = WAIT_SECONDS
        self._separator = b""

    def open(self, known: Head | None) -> Position:
        """Return a position that never moves: a stream has no size to compare."""
        del known
        if self._file < 0:
            self._file = _open_again(self._descriptor)
        self._wait_seconds, self._separator = WAIT_SECONDS, b""
        return Position()

    def recover(self, known: Head | None) -> tuple[Head | None, int]:
        """Return what is known. After a failure nothing is waited for: all requests would queue up behind each other's wait."""
        if known is None:
            return None, 0
        self._wait_seconds = 0.0
        # Half a record may stand there; the next one must not be glued to it.
        self._separator = b"\n" if known.state == TORN else b""
        return known._replace(position=Position(), state=WHOLE), 0

    def write(self, data: bytes, position: Position) -> Position:
        """Write all of it within a bounded time; raises OSError, TimeoutError where nothing was written."""
        data = self._separator + data
        deadline = self._monotonic() + self._wait_seconds
        written = 0
        while written < len(data):
            try:
                written += self._write_piece(data[written : written + select.PIPE_BUF], deadline)
            except TimeoutError as error:
                if written or self._separator:
                    raise OSError("the stream got stuck within a record") from error
                raise
        return position

    def _write_piece(self, piece: bytes, deadline: float) -> int:
        """Wait for room and return how much was written; the kernel takes a piece whole or not at all."""
        poll = select.poll()
        poll.register(self._file, select.POLLOUT)
        while True:
            left_seconds = deadline - self._monotonic()
            ready = poll.poll(max(0, int(left_seconds * 1000)))
            if ready:
                with suppress(BlockingIOError):  # somebody else took the room
                    return os.write(self._file, piece)
            if not ready or left_seconds <= 0:
                raise TimeoutError("nobody reads the stream")


def _open_again(descriptor: int) -> int:
    """Return a descriptor of the same stream that does not block, without making it so for all who share it."""
    try:
        return os.open(f"/proc/self/fd/{descriptor}", os.O_WRONLY | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return descriptor  # a socket, or opened by another user: room for a whole piece is looked for before each write
