"""What is decided about a request before it is read: whether its client has a request left, and whether its page may ask.

The first thing of every request, so it is also where a worker notices that log levels have changed, and hears what other hosts have
written: their quotas and origins hold here from the next request on.
"""

from collections.abc import Callable

from vault.cors import Cors, Sharing
from vault.log_levels import LogLevels
from vault.quota import Quotas, Standing
from vault.storage import budget
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
        with budget.limited():
            return self._quotas.admit(self._find_store(), path, address)

    def check_origin(self, origin: str) -> tuple[Sharing, str] | None:
        """Return what holds for a page; None where pages are not thought of. Raises OriginNotAllowed."""
        with budget.limited():
            return self._cors.check(self._find_store(), origin)

    def _find_store(self) -> Store | None:
        """Return the storage as it is now, other hosts' writes included; None while it is closed."""
        self._store.cache.catch_up()
        return self._store if self._is_open() else None
