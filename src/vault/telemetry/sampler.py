"""Brings what a worker's parts count for themselves to where every worker sees it, once a second and at each look."""

import threading
from collections.abc import Callable, Mapping

from vault.telemetry.observer import Observer

INTERVAL_SECONDS = 1.0


class Sampler:
    """The thread of one worker. `totals` only grow while the process lives, `states` come and go."""

    def __init__(self, observer: Observer, totals: Mapping[int, Callable[[], float]], states: Mapping[int, Callable[[], float]]) -> None:
        self._observer = observer
        self._totals = totals
        self._states = states
        self._seen = dict.fromkeys(totals, 0.0)
        self._stop = threading.Event()
        self._sampling = threading.Lock()

    def start(self) -> None:
        """Start the thread; call after the fork."""
        self._seen = {number: read() for number, read in self._totals.items()}
        threading.Thread(target=self._run, name="sampler", daemon=True).start()

    def stop(self) -> None:
        """End the thread; what it has not brought yet is brought now."""
        self._stop.set()
        self.sample()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            self.sample()

    def sample(self) -> None:
        """Bring the numbers of now."""
        with self._sampling:
            for number, read in self._totals.items():
                value = read()
                # A part that was made anew, as the pool is after a fork, begins again.
                self._observer.add(number, value - self._seen[number] if value >= self._seen[number] else value)
                self._seen[number] = value
            for number, read in self._states.items():
                self._observer.set(number, read())
