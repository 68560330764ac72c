"""Init, unseal and seal.

The state is one page of memory that all workers of this host share; PostgreSQL holds only what is useless without the unseal key.

The unseal key is what Shamir's shares combine to. It opens the root key, the root key opens the keyring, the keyring opens
every other row. A worker loads the keyring when it sees that the page's epoch has moved, so a respawned worker is unsealed
by its first request.
"""

import binascii
import threading
import uuid
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from vault import limits
from vault.crypto import aead, random, shamir
from vault.errors import IntegrityError, InvalidRequest, Sealed
from vault.host import HostPage
from vault.storage.keyring import Keyring
from vault.storage.transaction import Store, Transaction

CONFIG = "core/seal-config"  # plain: what a sealed server must be able to tell
ROOT_KEY = "core/root-key"  # plain row holding the root key, sealed by the unseal key
KEYRING = "core/keyring"  # plain row holding the keyring, sealed by the root key
CLUSTER = "core/cluster"
TOKEN_KEY = "core/token-key"  # noqa: S105 - a path
KEY_BYTES = 32
_SHARE_BYTES_MIN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SealConfig:
    """How the unseal key was split."""

    shares: int
    threshold: int
    kind: str = "shamir"


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

    def __init__(self, page: HostPage, store: Store) -> None:
        self._page = page
        self._store = store
        self._barrier = store.barrier
        self._loading = threading.Lock()
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
                    self._open(state.root_key)
                    self._serves = True
                self._loaded_epoch = state.epoch
            self._loaded_version = version

    def _open(self, root_key: bytes) -> None:
        reader = self._store.read()
        sealed = reader.get_plain(KEYRING)
        if sealed is None:
            raise Sealed
        self._barrier.open(Keyring.decode(aead.open_sealed(root_key, sealed, KEYRING.encode())))
        entry = reader.get(TOKEN_KEY)
        if entry is None:
            raise IntegrityError
        self._token_key = entry.value

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
        config = _check_config(shares, threshold)
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
        return Initialized(shares=shamir.split(unseal_key, shares, threshold) if shares > 1 else (unseal_key,))

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
        if len(share) < _SHARE_BYTES_MIN:
            raise InvalidRequest(f"invalid key: key is shorter than minimum {_SHARE_BYTES_MIN} bytes")
        if len(share) > KEY_BYTES + 1:
            raise InvalidRequest(f"invalid key: key is longer than maximum {KEY_BYTES + 1} bytes")
        with self._page.lock():
            state = self._page.read_seal()
            if not state.sealed:
                return False
            shares = state.shares if share in state.shares else (*state.shares, share)
            if len(shares) < config.threshold:
                self._page.write_progress(state.nonce or str(uuid.UUID(bytes=random.random_bytes(16), version=4)), shares)
                return True
            self._page.write_progress("", ())
            self._page.write_unsealed(self._open_root_key(transaction, config, shares))
            return True

    def _open_root_key(self, transaction: Transaction, config: SealConfig, shares: tuple[bytes, ...]) -> bytes:
        refusal = InvalidRequest("unseal failed: the key shares do not open the root key")
        sealed, keyring = transaction.get_plain(ROOT_KEY), transaction.get_plain(KEYRING)
        try:
            unseal_key = shamir.combine(shares) if config.threshold > 1 else shares[0]
            root_key = aead.open_sealed(unseal_key, sealed or b"", ROOT_KEY.encode())
            aead.open_sealed(root_key, keyring or b"", KEYRING.encode())
        except (ValueError, IntegrityError) as cause:
            raise refusal from cause
        return root_key

    def reset(self) -> None:
        """Forget the shares given so far."""
        with self._page.lock():
            if not self._page.read_seal().sealed:
                raise InvalidRequest("vault is unsealed")
            self._page.write_progress("", ())

    def seal(self) -> None:
        """Wipe the root key: from here on every worker refuses."""
        for finish in self.before_seal:
            finish()
        with self._page.lock():
            self._page.wipe()
        self._barrier.close()


def parse_share(text: str) -> bytes:
    """Return a share from hex or base64; raises InvalidRequest."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequest("'key' must be a valid hex or base64 string") from None


def _check_config(shares: int, threshold: int) -> SealConfig:
    checks = (
        (shares < 1, "shares must be at least one"),
        (threshold < 1, "threshold must be at least one"),
        (threshold > shares, "threshold cannot be larger than shares"),
        (shares > 1 and threshold == 1, "threshold must be greater than one for multiple shares"),
        (shares > limits.SHARES_MAX, "shares must be less than 256"),
    )
    for wrong, text in checks:
        if wrong:
            raise InvalidRequest(f"invalid seal configuration: {text}")
    return SealConfig(shares=shares, threshold=threshold)
