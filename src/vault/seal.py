"""Init, unseal and seal.

The state is one page of memory that all workers of this host share; PostgreSQL holds only what is useless without the unseal key.

The unseal key is what Shamir's shares combine to. It opens the root key, the root key opens the keyring, the keyring opens
every other row. A worker loads the keyring when it sees that the page's epoch has moved, so a respawned worker is unsealed
by its first request.
"""

import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from vault import limits
from vault.clock import Clock, SystemClock
from vault.crypto import aead, random
from vault.errors import IntegrityError, InvalidRequest, Sealed
from vault.host import HostPage, SealState
from vault.shares import (
    CONFIG,
    KEY_BYTES,
    KEYRING,
    ROOT_KEY,
    Opened,
    SealConfig,
    WrongShares,
    check_share,
    find_sealed,
    make_nonce,
    open_root_key,
    parse_config,
    split,
)
from vault.storage.keyring import Keyring
from vault.storage.transaction import Store, Transaction

CLUSTER = "core/cluster"
TOKEN_KEY = "core/token-key"  # noqa: S105 - a path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """Who this cluster is, told only while unsealed."""

    id: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What seal-status tells."""

    initialized: bool
    sealed: bool
    config: SealConfig | None
    progress: int
    nonce: str
    cluster: Cluster | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialized:
    """The only copy of the shares."""

    shares: tuple[bytes, ...]


class Seal:
    """The seal of this host, and the barrier of this worker."""

    def __init__(self, page: HostPage, store: Store, clock: Clock | None = None) -> None:
        self._page = page
        self._clock = clock or SystemClock()
        self._store = store
        self._barrier = store.barrier
        self._loading = threading.Lock()
        self._loaded_version = -1  # of the page: moves with every share too
        self._loaded_epoch = -1
        self._token_key = b""
        self._stranger_since: float | None = None  # since when the page's root key has not opened the keyring
        self._serves = False  # not the same as an open barrier: init opens that for its own rows
        # What else holds plain text that must not outlive the seal.
        self.on_close: list[Callable[[], None]] = []

    # -- every request ------------------------------------------------------------------------------------------------

    def require_open(self) -> None:
        """Raise Sealed unless this host is unsealed; make this worker's barrier follow the host's state."""
        if not self.is_open():
            raise Sealed

    def is_open(self) -> bool:
        """Return whether this host is unsealed; this worker's barrier follows the host's state."""
        if self._page.seal_version != self._loaded_version:
            self._follow()
        return self._serves

    def _follow(self) -> None:
        with self._loading:
            version, state = self._page.read_seal_version()
            if version == self._loaded_version:
                return
            if state.epoch != self._loaded_epoch:
                self._serves = False
                self._barrier.close()
                self._store.cache.clear()
                self._token_key = b""
                for forget in self.on_close:
                    forget()
                if not state.sealed:
                    self._open(state)
                    self._serves = True
                self._loaded_epoch = state.epoch
            self._loaded_version = version

    def _open(self, state: SealState) -> None:
        reader = self._store.read()
        sealed = reader.get_plain(KEYRING)
        if sealed is None:
            raise Sealed
        self._barrier.open(Keyring.decode(self._open_keyring(state, sealed)))
        entry = reader.get(TOKEN_KEY)
        if entry is None:
            raise IntegrityError
        self._token_key = entry.value

    def _open_keyring(self, state: SealState, sealed: bytes) -> bytes:
        for root_key in filter(None, (state.root_key, state.next_root_key)):
            keyring = find_sealed(root_key, sealed, KEYRING)
            if keyring is not None:
                self._stranger_since = None
                if root_key is not state.root_key:  # the writer was killed between its commit and its change of the page
                    self.adopt(root_key)
                return keyring
        self._await_root_key(state)
        raise Sealed

    def _await_root_key(self, state: SealState) -> None:
        """Seal a host that has missed a rekey of another one, after time enough for its other workers to bring in the new root key."""
        now = self._clock.monotonic()
        if self._stranger_since is None:
            self._stranger_since = now
        if now - self._stranger_since < limits.ROOT_KEY_WAIT_SECONDS:
            return
        self._stranger_since = None
        with self._page.lock():
            current = self._page.read_seal()
            if (current.root_key, current.next_root_key) == (state.root_key, state.next_root_key):
                self._page.wipe()

    # -- a new root key -----------------------------------------------------------------------------------------------

    def announce(self, root_key: bytes) -> None:
        """Tell this host of the root key that a commit is about to bring in, should its writer be killed right after it."""
        with self._page.lock():
            if not self._page.read_seal().sealed:
                self._page.write_next_root_key(root_key)

    def adopt(self, root_key: bytes) -> None:
        """Make this host keep the root key that now seals the keyring; any other one is ignored."""
        with self._page.lock():
            state = self._page.read_seal()
            if state.sealed or state.root_key == root_key:
                return
            row = self._store.physical.get(KEYRING)
            if row is not None and find_sealed(root_key, row.value, KEYRING) is not None:
                self._page.write_root_key(root_key)

    def open_keyring(self, transaction: Transaction) -> bytes:
        """Return the keyring as it is stored, opened by this host's root key; raises Sealed."""
        state, sealed = self._page.read_seal(), transaction.get_plain(KEYRING)
        for root_key in filter(None, (state.root_key, state.next_root_key)):
            keyring = find_sealed(root_key, sealed or b"", KEYRING)
            if keyring is not None:
                return keyring
        raise Sealed

    # -- what others need of the open barrier -------------------------------------------------------------------------

    def token_key(self) -> bytes:
        """Return the key of the token hashes; raises Sealed."""
        if not self._token_key:
            raise Sealed
        return self._token_key

    def encrypt(self, path: str, value: bytes) -> bytes:
        """Return `value` sealed under the current barrier key, bound to `path`."""
        return self._barrier.encrypt(path, value)

    def decrypt(self, path: str, value: bytes) -> bytes:
        """Return what `encrypt` sealed; raises IntegrityError."""
        return self._barrier.decrypt(path, value)

    # -- status -------------------------------------------------------------------------------------------------------

    def status(self, transaction: Transaction) -> Status:
        """Return what may be told to anyone."""
        state = self._page.read_seal()
        config = self.find_config(transaction)
        cluster = None
        if not state.sealed:
            self.require_open()
            entry = transaction.get(CLUSTER)
            cluster = None if entry is None else msgspec.json.decode(entry.value, type=Cluster)
        return Status(
            initialized=config is not None,
            sealed=state.sealed,
            config=config,
            progress=len(state.shares),
            nonce=state.nonce,
            cluster=cluster,
        )

    def find_config(self, transaction: Transaction) -> SealConfig | None:
        """Return how the unseal key was split; None before init."""
        value = transaction.get_plain(CONFIG)
        return None if value is None else msgspec.json.decode(value, type=SealConfig)

    # -- init ---------------------------------------------------------------------------------------------------------

    def initialize(self, transaction: Transaction, shares: int, threshold: int, populate: Callable[[Transaction], object]) -> Initialized:
        """Make all keys, and what a fresh server has, in one transaction. Of concurrent calls one commits.

        `populate` writes the first encrypted rows; the barrier is open for them only.
        """
        config = parse_config(shares, threshold)
        if self.find_config(transaction) is not None:
            raise InvalidRequest("Vault is already initialized")
        unseal_key, root_key = random.random_bytes(KEY_BYTES), random.random_bytes(KEY_BYTES)
        keyring = Keyring.create()
        transaction.put_plain(CONFIG, msgspec.json.encode(config))
        transaction.put_plain(ROOT_KEY, aead.seal(unseal_key, root_key, ROOT_KEY.encode()))
        transaction.put_plain(KEYRING, aead.seal(root_key, keyring.encode(), KEYRING.encode()))
        with self._loading, self._page.lock():
            if not self._page.read_seal().sealed:  # another host was first, and this one is open by now
                raise InvalidRequest("Vault is already initialized")
            self._write_first_rows(transaction, keyring, populate)
        return Initialized(shares=split(unseal_key, config))

    def _write_first_rows(self, transaction: Transaction, keyring: Keyring, populate: Callable[[Transaction], object]) -> None:
        with self._barrier.opened(keyring):
            self._token_key = random.random_bytes(KEY_BYTES)
            try:
                transaction.put(TOKEN_KEY, self._token_key)
                cluster = str(uuid.UUID(bytes=random.random_bytes(16), version=4))
                transaction.put(CLUSTER, msgspec.json.encode(Cluster(id=cluster, name=f"health-vault-{cluster[:8]}")))
                populate(transaction)
                transaction.seal_writes()
            except IntegrityError:  # rows that this keyring did not write: another init has come first
                raise InvalidRequest("Vault is already initialized") from None
            finally:
                self._token_key = b""

    # -- unseal and seal ----------------------------------------------------------------------------------------------

    def unseal(self, transaction: Transaction, share: bytes) -> bool:
        """Take one share; with enough of them, open the host. A wrong set is forgotten; no single share is judged.

        Returns whether anything changed.
        """
        config = self.find_config(transaction)
        if config is None:
            raise InvalidRequest("Vault is not initialized")
        if not self._page.read_seal().sealed:  # nothing to open, so nothing is judged
            return False
        check_share(share, "invalid key: ")
        with self._page.lock():
            state = self._page.read_seal()
            if not state.sealed:
                return False
            shares = state.shares if share in state.shares else (*state.shares, share)
            try:
                opened = self.open_root_key(transaction, shares, "unseal")
            except WrongShares:
                self._page.write_progress("", ())
                raise
            if opened is None:
                self._page.write_progress(state.nonce or make_nonce(), shares)
                return True
            self._page.write_progress("", ())
            self._page.write_unsealed(opened.root_key)
            return True

    def open_root_key(self, transaction: Transaction, shares: tuple[bytes, ...], purpose: str) -> Opened | None:
        """Return what a set of shares opens, None if there must be more of them. Raises WrongShares for a whole set."""
        return open_root_key(transaction, shares, purpose)

    def reset(self) -> None:
        """Forget the shares given so far."""
        with self._page.lock():
            if not self._page.read_seal().sealed:
                raise InvalidRequest("vault is unsealed")
            self._page.write_progress("", ())

    def seal(self) -> None:
        """Wipe the root key: from here on every worker refuses."""
        with self._page.lock():
            self._page.wipe()
        self._barrier.close()
