"""The threads of a worker. One that only waits for something slow is replaced for so long: a few slow requests hold up no others."""

import queue
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

_IDLE_SECONDS = 0.25  # how long a replacement that is not needed any more waits for another need


class Threads(ThreadPoolExecutor):
    """A pool of threads, with replacements."""

    def __init__(self, count: int) -> None:
        super().__init__(max_workers=count)
        self._counting = threading.Lock()
        self._surplus = 0  # replacements whose time is over

    @contextmanager
    def stand_in(self) -> Iterator[None]:
        """Let another thread take the place of this one while it waits inside."""
        with self._counting:
            reuses = self._surplus > 0
            self._surplus -= reuses
        if not reuses:
            threading.Thread(target=self._replace, daemon=True).start()
        try:
            yield
        finally:
            with self._counting:
                self._surplus += 1

    def _may_end(self) -> bool:
        with self._counting:
            if not self._surplus:
                return False
            self._surplus -= 1
            return True

    def _replace(self) -> None:
        while True:
            try:
                item = self._work_queue.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                item = None
            else:
                if item is None:  # the pool shuts down, and the next one must hear of it
                    self._work_queue.put(item)  # type: ignore[arg-type]  # typeshed knows of no None
                    return
                item.run()
                del item
            if self._may_end():
                return
