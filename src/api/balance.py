"""How many connections each worker holds, in memory that all of them see.

Workers share one listening socket, and the kernel wakes whoever is quickest: without a look at the others one worker may end up with
every connection of a client while the next one idles. A worker that holds more than another leaves a new connection to it, but
only for a moment, because the other may be stuck.
"""

import mmap
from array import array

_SLOTS = 512  # far more workers than cores; one that shares a slot only balances worse
_ABSENT = 0


class Balance:
    """The table: one counter for each worker, made before the fork."""

    def __init__(self) -> None:
        width = array("I").itemsize
        self._counts = memoryview(mmap.mmap(-1, _SLOTS * width)).cast("I")

    def report(self, worker: int, connections: int) -> None:
        """Tell the others how many connections a worker holds."""
        self._counts[worker % _SLOTS] = connections + 1

    def remove(self, worker: int) -> None:
        """Forget a worker that has ended."""
        self._counts[worker % _SLOTS] = _ABSENT

    def count_all(self) -> int:
        """Return how many connections all workers hold."""
        return sum(count - 1 for count in self._counts if count != _ABSENT)

    def is_above(self, worker: int) -> bool:
        """Return whether another worker holds fewer connections."""
        own = self._counts[worker % _SLOTS]
        return any(_ABSENT < count < own for count in self._counts)
