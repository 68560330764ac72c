"""Requests that wait for slow work: a password hash, a foreign server, their turn at a name.

They hold no connection to the database and do nothing, but each of them holds a thread. So they are counted, and while one waits
another thread takes its place, if whoever runs the threads has some (`stand_in`). Those who have a token are counted apart: however many
strangers log in, a token is renewed.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from vault import limits
from vault.errors import Overloaded


class Waiting:
    """The waiting requests of one worker."""

    def __init__(self) -> None:
        self._places = {stranger: threading.BoundedSemaphore(limits.WAITING_MAX) for stranger in (True, False)}
        self.stand_in: Callable[[], AbstractContextManager[None]] = nullcontext

    @contextmanager
    def enter(self, *, stranger: bool) -> Iterator[None]:
        """Wait inside; raises Overloaded where too many do."""
        places = self._places[stranger]
        if not places.acquire(blocking=False):
            raise Overloaded
        try:
            with self.stand_in():
                yield
        finally:
            places.release()
