"""Log levels that were changed while the server runs: in shared memory, so that every worker follows at its next request.

They end with the server; the configuration's level holds after the next start.
"""

import logging
import mmap

from vault.host import TELEMETRY_LOCK, HostPage
from vault.log import LEVELS

# Parts of the server; a level holds for everything below it.
LOGGERS = ("api", "gunicorn", "vault", "vault.audit", "vault.expiry", "vault.storage")
# What the reference takes besides our own names, and what ours are called there.
SPELLINGS = {"trace": "debug", "debug": "debug", "notice": "info", "info": "info", "warn": "warning", "warning": "warning", "err": "error"}
SPELLINGS["error"] = "error"
NAMES = {level: "warn" if name == "warning" else name for name, level in LEVELS.items()}


class LogLevels:
    """The levels of a host: a number of changes, and one byte for each logger (0: as configured). Made before the fork."""

    def __init__(self, page: HostPage) -> None:
        memory = mmap.mmap(-1, 64, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._changes = memoryview(memory)[:8].cast("Q")
        self._levels = memoryview(memory)[8 : 8 + len(LOGGERS)]
        self._page = page
        self._followed = 0

    def change(self, names: tuple[str, ...], level: str) -> None:
        """Set a level; the empty one is that of the configuration."""
        with self._page.lock(TELEMETRY_LOCK):
            for name in names:
                self._levels[LOGGERS.index(name)] = LEVELS[level] if level else logging.NOTSET
            self._changes[0] += 1
        self.follow()

    def follow(self) -> None:
        """Make this process log what was decided. Called for every request."""
        changes = self._changes[0]
        if changes != self._followed:
            for name, level in zip(LOGGERS, bytes(self._levels), strict=True):
                logging.getLogger(name).setLevel(level)
            self._followed = changes

    def list_levels(self) -> dict[str, str]:
        """Return the level of each logger."""
        return {name: NAMES.get(logging.getLogger(name).getEffectiveLevel(), "info") for name in LOGGERS}
