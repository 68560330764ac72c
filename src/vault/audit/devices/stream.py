"""What devices share that cannot be read back: their chain begins anew with each start, and no write blocks.

A record waits once, for a bounded time. After a failure the next ones only look whether there is room: all requests would queue up
behind each other's wait.
"""

import select
from collections.abc import Callable

from vault.audit.sink import WHOLE, Head, Position
from vault.clock import SystemClock

WAIT_SECONDS = 2.0  # for a whole record; with all that a request waits for besides, it is refused within 5 s


class Patience:
    """How long a record may still wait."""

    def __init__(self, seconds: float = WAIT_SECONDS, monotonic: Callable[[], float] = SystemClock.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self.left_seconds = seconds
        self._allowed_seconds = seconds
        self._deadline = 0.0

    def allow(self, seconds: float) -> None:
        """Let no record wait longer than that."""
        self._allowed_seconds = seconds

    def reset(self) -> None:
        """Let the next record wait its whole time."""
        self.left_seconds = self._seconds

    def exhaust(self) -> None:
        """Let the next record wait for nothing."""
        self.left_seconds = 0.0

    @property
    def now(self) -> float:
        """Return the time that it counts by."""
        return self._monotonic()

    def begin(self) -> None:
        """Begin to count."""
        self._deadline = self._monotonic() + min(self.left_seconds, self._allowed_seconds)

    def await_event(self, descriptor: int, event: int) -> bool:
        """Wait for an event of a descriptor; return whether it came, or an error did, before the time was over."""
        poll = select.poll()
        poll.register(descriptor, event)
        return bool(poll.poll(self.remaining_milliseconds()))

    def remaining_milliseconds(self) -> int:
        """Return what is left."""
        return max(0, int((self._deadline - self._monotonic()) * 1000))

    @property
    def is_over(self) -> bool:
        """Return whether nothing is left."""
        return self._monotonic() >= self._deadline


class Stream:
    """The part of a sink that is the same for all of them."""

    pause_seconds = 0.0  # a trial costs no wait

    def __init__(self, seconds: float = WAIT_SECONDS, monotonic: Callable[[], float] = SystemClock.monotonic) -> None:
        self._patience = Patience(seconds, monotonic)
        self._after = WHOLE  # what became of the write before

    def allow(self, seconds: float) -> None:
        """Bound the wait of the next record."""
        self._patience.allow(seconds)

    def open(self, known: Head | None) -> Position:
        """Return a position that never moves: a stream has no size to compare."""
        del known
        self._patience.reset()
        self._after = WHOLE
        return Position()

    def recover(self, known: Head | None) -> tuple[Head | None, int]:
        """Return what is known."""
        if known is None:
            return None, 0
        self._patience.exhaust()
        self._after = known.state
        return known._replace(position=Position(), state=WHOLE), 0
