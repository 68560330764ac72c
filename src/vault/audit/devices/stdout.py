"""A device that writes to standard output. What was written cannot be read back, so its chain begins anew with each start."""

import os
import select

from vault.audit.chain import Head, Position

WAIT_SECONDS = 4.0  # a pipe that nobody reads refuses the request instead of hanging it


class StreamSink:
    """Standard output, or any other stream that cannot be read back."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._written = 0

    def open(self) -> Position:
        """Return a position that never moves: a stream has no size to compare."""
        return Position(size=0, inode=1)

    def recover(self) -> tuple[Head | None, int]:
        """Return nothing: what was written is gone."""
        return None, 0

    def write(self, data: bytes, position: Position) -> None:
        """Write all of it within a bounded time; raises OSError."""
        del position
        written = 0
        while written < len(data):
            _, ready, _ = select.select([], [self._descriptor], [], WAIT_SECONDS)
            if not ready:
                raise TimeoutError("nobody reads the stream")
            written += os.write(self._descriptor, data[written : written + select.PIPE_BUF])
