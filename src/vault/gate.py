"""What is decided about a request before it is read: whether its client has a request left, and whether its page may ask.

The first thing of every request, so it is also where a worker notices that log levels have changed.
"""

from collections.abc import Callable

from vault.cors import Cors, Sharing
from vault.log_levels import LogLevels
from vault.quota import Quotas, Standing
from vault.storage.transaction import Store


class Gate:
    """The decisions of one worker."""

    def __init__(self, store: Store, quotas: Quotas, cors: Cors, levels: LogLevels, is_open: Callable[[], bool]) -> None:
        self._store = store
        self._quotas = quotas
        self._cors = cors
        self._levels = levels
        self._is_open = is_open

    def admit(self, path: str, address: str) -> Standing | None:
        """Count a request; return what its answer tells of the quota. Raises RateLimited."""
        self._levels.follow()
        return self._quotas.admit(self._store if self._is_open() else None, path, address)

    def check_origin(self, origin: str) -> tuple[Sharing, str] | None:
        """Return what holds for a page; None where pages are not thought of. Raises OriginNotAllowed."""
        return self._cors.check(self._store if self._is_open() else None, origin)
