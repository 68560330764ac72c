"""What a chain of records is written to: a sink, what it needs of its host, and how the end of it is known."""

from typing import NamedTuple, Protocol

# What became of the last write. The byte of the state is set before a write begins, and again after the head was noted.
NOTHING = 0  # no head is noted
WHOLE = 1  # the head is the last record
TORN = 2  # a write began: its writer was killed, or it failed
STUCK = 3  # nothing was written because nobody reads
NOTING = 4  # what was written is being noted: the head may be half old and half new


class Position(NamedTuple):
    """Where a sink stands; a stream stays at the beginning."""

    size: int = 0
    device: int = 0
    inode: int = 0


class Head(NamedTuple):
    """The last record of a chain and where its sink stood after it. A tuple: two are made for every record."""

    number: int
    hash: str
    log: str
    position: Position
    state: int = WHOLE


class HalfWritten(TimeoutError):
    """The sink took a part of a record and then hung."""


class BoundedLock(Protocol):
    """A lock that can be waited for within a time."""

    def take(self, seconds: float) -> bool:
        """Take the lock within a time; return whether that worked."""

    def release(self) -> None:
        """Let the next one in."""


class Sink(Protocol):
    """What a chain writes to."""

    pause_seconds: float  # how long nobody tries again after it hung; 0 where a trial costs no wait

    def allow(self, seconds: float) -> None:
        """Let all that comes until the next call wait no longer than that, together."""

    def open(self, known: Head | None) -> Position:
        """Make the sink ready for a write and return where it stands; raises OSError."""

    def recover(self, known: Head | None) -> tuple[Head | None, int]:
        """Return the head that the sink's content tells (None: no record) and how many torn bytes were cut off.

        Raises OSError where records are lost that this host knows to have written.
        """

    def write(self, data: bytes, position: Position) -> Position:
        """Write all or nothing and return where the sink stands then; raises OSError, TimeoutError where nothing was written."""


class Reserve(Protocol):
    """Space for records that must not be refused because a disk is full."""

    def keep(self) -> None:
        """Make it whole again, if that is due."""

    def spend(self, size: int) -> bool:
        """Give up space for so many bytes; return whether there was some."""

    def end(self) -> None:
        """Give all of it up."""
