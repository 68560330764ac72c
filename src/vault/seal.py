"""Init, unseal and seal.

The state is one page of memory that all workers of this host share; PostgreSQL holds only what is useless without the unseal key.

The unseal key is what Shamir's shares combine to; with `seal "static"` the configuration has one. It opens the root key, the root
key opens the keyring, the keyring opens every other row. A worker loads the keyring when it sees that the page's epoch has moved, so
a respawned worker is unsealed by its first request.
"""

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import structlog

from vault import limits
from vault.clock import Clock, SystemClock
from vault.crypto import aead, random
from vault.errors import IntegrityError, InvalidRequest, Sealed, VaultError
from vault.host import HostPage, SealState
from vault.locks import Locks, MigrationRefused
from vault.root_key import RootKey
from vault.settings import StaticSeal
from vault.shares import (
    KEY_BYTES,
    KEYRING,
    ROOT_KEY,
    SHAMIR,
    STATIC,
    Opened,
    SealConfig,
    check_share,
    make_nonce,
    parse_config,
    parse_recovery_config,
    split,
)
from vault.storage.barrier import Barrier
from vault.storage.keyring import Keyring
from vault.storage.physical import WriteConflict
from vault.storage.transaction import Store, Transaction

CLUSTER = "core/cluster"
TOKEN_KEY = "core/token-key"  # noqa: S105 - a path

_log = structlog.get_logger(__name__)


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
    kind: str  # of the configured seal, which a migration is on its way to
    migration: bool
    config: SealConfig | None
    progress: int
    nonce: str
    cluster: Cluster | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Initialized:
    """The only copy of the shares."""

    shares: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Opening:
    """What enough shares have opened, and in which state of the host."""

    root_key: bytes
    keyring: bytes
    epoch: int


class Seal:
    """The seal of this host, and the barrier of this worker."""

    def __init__(self, page: HostPage, store: Store, clock: Clock | None = None, static: StaticSeal | None = None) -> None:
        self._page = page
        self._clock = clock or SystemClock()
        self._store = store
        self.root_key = RootKey(page, store, self._clock)
        self.locks = Locks(static)
        self.kind = self.locks.kind
        self._barrier = store.barrier
        self._barrier.refresh = self.refresh_keyring
        self._keyring_version = 0
        self._is_shut = False  # by a static key that opens nothing: said once
        self._loading = threading.RLock()  # a row that is read while loading may ask for the keyring again
        self._loaded_version = -1  # of the page: moves with every share too
        self._loaded_epoch = -1
        self._token_key = b""
        self._serves = False  # not the same as an open barrier: init opens that for its own rows
        # What else holds plain text that must not outlive the seal.
        self.on_close: list[Callable[[], None]] = []
        # What needs the keys for the last time; must not raise, and not take long.
        self.before_seal: list[Callable[[], None]] = []

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
        sealed = self._store.load_plain(KEYRING)
        if sealed is None:
            raise Sealed
        self._barrier.open(self.root_key.load_keyring(state, sealed.value))
        self._keyring_version = sealed.version
        entry = reader.get(TOKEN_KEY)
        if entry is None:
            raise IntegrityError
        self._token_key = entry.value

    # -- the keyring --------------------------------------------------------------------------------------------------

    def follow_keyring(self) -> None:
        """Take the keyring if it has changed; without that, a worker that only writes would never use a new key."""
        if self.is_open():
            stored = self._store.load_plain(KEYRING)
            if stored is not None and stored.version != self._keyring_version:
                self.refresh_keyring()

    def refresh_keyring(self) -> None:
        """Take the keyring as it is stored now. A key is never lost by that: a keyring that lacks one is left alone."""
        row = self._store.physical.get(KEYRING)
        with self._loading:
            state = self._page.read_seal()
            if row is None or state.sealed or state.epoch != self._loaded_epoch:
                return
            keyring = self.root_key.open_keyring(row.value)[1]
            if self._barrier.is_covered_by(keyring):
                self._barrier.open(keyring)
                self._keyring_version = row.version
            if self._page.read_seal().epoch != state.epoch:  # sealed meanwhile
                self._barrier.close()

    def find_keyring(self, transaction: Transaction) -> Keyring:
        """Return the keyring as the transaction sees it; raises Sealed."""
        return self.root_key.open_keyring(transaction.get_plain(KEYRING))[1]

    def require_keyring(self, transaction: Transaction) -> tuple[bytes, Keyring]:
        """Return the keyring for whoever writes it anew, and the root key that seals it. Raises WriteConflict for one that lacks a key."""
        root_key, keyring = self.root_key.open_keyring(transaction.get_plain(KEYRING))
        if not self._barrier.is_covered_by(keyring):  # read from a cache that lags behind, or an old row was put back
            raise WriteConflict(KEYRING)
        return root_key, keyring

    def rotate(self, transaction: Transaction) -> None:
        """Put a fresh data key in use. Of concurrent calls each adds its own: the row is written only as it was read."""
        root_key, keyring = self.require_keyring(transaction)
        transaction.put_plain(KEYRING, aead.seal(root_key, keyring.rotate(self._clock.now_ns()).encode(), KEYRING.encode()))

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

    def status(self, transaction: Transaction, opening: Opening | None = None) -> Status:
        """Return what may be told to anyone; with `opening`, as it is once that is done."""
        state = self._page.read_seal()
        config = self.find_config(transaction)
        cluster = None if opening is None else self._find_cluster(opening)
        if not state.sealed:
            self.require_open()
            entry = transaction.get(CLUSTER)
            cluster = None if entry is None else msgspec.json.decode(entry.value, type=Cluster)
        return Status(
            initialized=config is not None,
            sealed=state.sealed and opening is None,
            kind=self.kind,
            migration=config is not None and config.kind != self.kind,
            config=config,
            progress=len(state.shares) if opening is None else 0,
            nonce=state.nonce if opening is None else "",
            cluster=cluster,
        )

    def _find_cluster(self, opening: Opening) -> Cluster | None:
        """Return who this cluster is while it is still sealed; raises IntegrityError if the keys are not those of its rows."""
        row, barrier = self._store.physical.get(CLUSTER), Barrier()
        barrier.open(Keyring.decode(opening.keyring))
        return None if row is None else msgspec.json.decode(barrier.decrypt(CLUSTER, row.value), type=Cluster)

    def find_config(self, transaction: Transaction) -> SealConfig | None:
        """Return which seal is stored; None before init."""
        return self.locks.find_config(transaction)

    # -- init ---------------------------------------------------------------------------------------------------------

    def initialize(self, transaction: Transaction, shares: int, threshold: int, populate: Callable[[Transaction], object]) -> Initialized:
        """Make all keys, and what a fresh server has, in one transaction. Of concurrent calls one commits.

        `populate` writes the first encrypted rows; the barrier is open for them only.
        """
        config = parse_config(shares, threshold) if self.kind == SHAMIR else parse_recovery_config(shares, threshold)
        if self.find_config(transaction) is not None:
            raise InvalidRequest("Vault is already initialized")
        unseal_key, root_key = random.random_bytes(KEY_BYTES), random.random_bytes(KEY_BYTES)
        keyring = Keyring.create(self._clock.now_ns())
        self.locks.put(transaction, config, unseal_key, root_key)
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
                cluster = make_nonce()
                transaction.put(CLUSTER, msgspec.json.encode(Cluster(id=cluster, name=f"health-vault-{cluster[:8]}")))
                populate(transaction)
                transaction.seal_writes()
            except IntegrityError:  # rows that this keyring did not write: another init has come first
                raise InvalidRequest("Vault is already initialized") from None
            finally:
                self._token_key = b""

    def open_alone(self) -> None:
        """Open a host whose seal needs nobody, unless somebody has sealed it since its start. A failure is logged: it stays sealed."""
        state = self._page.read_seal()
        if self.kind != STATIC or state.epoch or not state.sealed:
            return
        try:
            root_key = self._store.run(self.locks.open_alone)
        except IntegrityError:
            if not self._is_shut:
                _log.error("the static key does not open the root key: the server stays sealed")
            self._is_shut = True
            return
        with self._page.lock():
            state = self._page.read_seal()
            if root_key and state.sealed and not state.epoch:
                self._page.write_unsealed(root_key)
                _log.info("unsealed by the static key")

    # -- unseal and seal ----------------------------------------------------------------------------------------------

    def unseal(self, transaction: Transaction, share: bytes, *, migrate: bool = False) -> Opening | None:
        """Take one share. A wrong set is forgotten; no single share is judged.

        Returns what enough shares open: give it to `open` once all that is on record and committed. None: there must be more of them.
        """
        config = self.find_config(transaction)
        if config is None:
            raise InvalidRequest("Vault is not initialized")
        if migrate and config.kind == self.kind:
            raise MigrationRefused("can't perform a seal migration, no migration seal found")
        if not self._page.read_seal().sealed:  # nothing to open, so nothing is judged
            return None
        self.locks.check_migration(config, migrate=migrate)
        check_share(share, "invalid key: ")
        with self._page.lock():
            state = self._page.read_seal()
            if not state.sealed:
                return None
            shares = state.shares if share in state.shares else (*state.shares, share)
            try:
                opened = self.locks.open(transaction, shares, "unseal")
            except VaultError:
                self._page.write_progress("", ())
                raise
            if opened is None:
                self._page.write_progress(state.nonce or make_nonce(), shares)
                return None
        if migrate:
            self.locks.migrate(transaction, opened)
        return Opening(root_key=opened.root_key, keyring=opened.keyring, epoch=state.epoch)

    def open(self, opening: Opening) -> None:
        """Open the host, unless it was opened or sealed since."""
        with self._page.lock():
            state = self._page.read_seal()
            if state.sealed and state.epoch == opening.epoch:
                self._page.write_unsealed(opening.root_key)
                _log.info("unsealed by shares")
        with suppress(VaultError):  # else at the first request
            self.is_open()

    def prove(self, transaction: Transaction, shares: tuple[bytes, ...], purpose: str) -> Opened | None:
        """Return what a set of shares opens, None if there must be more of them. Raises WrongShares for a whole set.

        It must be what this host has open already: whoever writes to the database could put a lock of their own into it.
        """
        opened = self.locks.open(transaction, shares, purpose)
        if opened is not None:
            transaction.guard(ROOT_KEY)  # the shares are not over when this is committed
            self.require_keyring(transaction)  # what was opened just now, opened by the page's root key too
        return opened

    def reset(self) -> None:
        """Forget the shares given so far; raises InvalidRequest on an open host, which has none."""
        with self._page.lock():
            if not self._page.read_seal().sealed:
                raise InvalidRequest("vault is unsealed")
            self._page.write_progress("", ())

    def seal(self) -> None:
        """Wipe the root key: from here on every worker refuses."""
        farewell = threading.Thread(target=self._say_farewell, name="farewell", daemon=True)
        farewell.start()
        farewell.join(limits.FAREWELL_SECONDS)
        with self._page.lock():
            self._page.wipe()
        self._barrier.close()
        _log.warning("sealed")

    def _say_farewell(self) -> None:
        for finish in self.before_seal:
            finish()
