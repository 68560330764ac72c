"""The root key in the page of the host: what it opens, and how one that a rekey has brought in takes its place.

Surprise: nothing announces a rekey to the page before its commit. The row that hands the new root key over is part of the commit and is
followed whenever the keyring does not open, so a writer that is killed right after it is like one on another host.
"""

from vault import handover, limits
from vault.clock import Clock
from vault.errors import Sealed
from vault.handover import HANDOVER
from vault.host import HostPage, SealState
from vault.shares import KEYRING, find_sealed
from vault.storage.keyring import Keyring
from vault.storage.transaction import Store


class RootKey:
    """The root key of this host, as one worker sees it."""

    def __init__(self, page: HostPage, store: Store, clock: Clock) -> None:
        self._page = page
        self._store = store
        self._clock = clock
        self._stranger_since: float | None = None  # since when it has not opened the keyring

    def open_keyring(self, sealed: bytes | None) -> tuple[bytes, Keyring]:
        """Return the root key and the keyring of a row: what replaces the row is sealed by the same one. Raises Sealed."""
        for _ in range(2):
            root_key = self._page.read_seal().root_key
            keyring = find_sealed(root_key, sealed or b"", KEYRING)
            if keyring is not None:
                return root_key, Keyring.decode(keyring)
            self.follow(fresh=True)
        raise Sealed

    def follow(self, *, fresh: bool = False) -> None:
        """Take over the root key that a rekey has brought in, on whichever host it was. For every worker, now and then."""
        state = self._page.read_seal()
        row = None if state.sealed else self._store.load_plain(HANDOVER, fresh=fresh)
        if row is not None:
            self.adopt(handover.follow(row.value, state.root_key))

    def adopt(self, root_key: bytes) -> None:
        """Make this host keep the root key that now seals the keyring; any other one is ignored."""
        state = self._page.read_seal()
        while not state.sealed and state.root_key != root_key:
            # Without the lock: the storage may hang, and sealing is not to wait for it.
            row = self._store.physical.get(KEYRING)
            if row is None or find_sealed(root_key, row.value, KEYRING) is None:
                return
            with self._page.lock():
                before, state = state, self._page.read_seal()
                if (state.epoch, state.root_key) == (before.epoch, before.root_key):
                    self._page.write_root_key(root_key)
                    return

    def load_keyring(self, state: SealState, sealed: bytes) -> Keyring:
        """Return the keyring for a worker that opens; seal a host that has missed a rekey. Raises Sealed."""
        try:
            keyring = self.open_keyring(sealed)[1]
        except Sealed:
            self._give_up_in_time(state)
            raise
        self._stranger_since = None
        return keyring

    def _give_up_in_time(self, state: SealState) -> None:
        """Seal the host, after time enough for a row that only lags behind."""
        now = self._clock.monotonic()
        if self._stranger_since is None:
            self._stranger_since = now
        if now - self._stranger_since < limits.ROOT_KEY_WAIT_SECONDS:
            return
        self._stranger_since = None
        with self._page.lock():
            if self._page.read_seal().root_key == state.root_key:
                self._page.wipe()
