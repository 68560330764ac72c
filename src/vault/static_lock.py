"""The lock of `seal "static"`: a key of the configuration opens the root key, so a restart needs nobody.

Recovery shares prove that enough people agree to what a key alone must not decide (another root token, leaving this seal); they open
nothing. Of what they combine to, storage keeps only a hash, sealed by the static key together with how many shares there are: a changed
number in the plain row of the seal's configuration makes every proof fail.
"""

import hashlib
import hmac
from dataclasses import dataclass

import msgspec

from vault.crypto import aead
from vault.errors import IntegrityError
from vault.settings import StaticSeal
from vault.shares import ROOT_KEY, SealConfig, combine
from vault.storage.transaction import Transaction

RECOVERY_KEY = "core/recovery-key"  # plain row holding the hash of the recovery key, sealed by the static key


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class StaticKey:
    """A key and the name that is bound to all it seals."""

    id: str
    key: bytes


class StaticLock:
    """What the static keys open."""

    def __init__(self, seal: StaticSeal) -> None:
        self.disabled = seal.disabled
        self._current = StaticKey(id=seal.current_key_id, key=bytes.fromhex(seal.current_key.reveal()))
        self._keys: tuple[StaticKey, ...] = (self._current,)
        if seal.previous_key:
            self._keys += (StaticKey(id=seal.previous_key_id, key=bytes.fromhex(seal.previous_key.reveal())),)

    # -- the root key -------------------------------------------------------------------------------------------------

    def put_root_key(self, transaction: Transaction, root_key: bytes) -> None:
        """Seal the root key by the current key."""
        transaction.put_plain(ROOT_KEY, aead.seal(self._current.key, root_key, _bind(ROOT_KEY, self._current.id)))

    def open_root_key(self, transaction: Transaction) -> bytes:
        """Return the root key; raises IntegrityError."""
        return self._open(transaction.get_plain(ROOT_KEY), ROOT_KEY, ())[1]

    def rewrap(self, transaction: Transaction, config: SealConfig) -> None:
        """Seal by the current key what the previous one sealed."""
        key, root_key = self._open(transaction.get_plain(ROOT_KEY), ROOT_KEY, ())
        if key is not self._current:
            self.put_root_key(transaction, root_key)
        if config.shares:
            key, digest = self._open(transaction.get_plain(RECOVERY_KEY), RECOVERY_KEY, (config.shares, config.threshold))
            if key is not self._current:
                transaction.put_plain(RECOVERY_KEY, self._seal_digest(config, digest))

    def _open(self, sealed: bytes | None, path: str, bound: tuple[int, ...]) -> tuple[StaticKey, bytes]:
        for key in self._keys:
            try:
                return key, aead.open_sealed(key.key, sealed or b"", _bind(path, key.id, *bound))
            except IntegrityError:
                continue
        raise IntegrityError

    # -- the recovery key ---------------------------------------------------------------------------------------------

    def seal_recovery_key(self, config: SealConfig, recovery_key: bytes) -> bytes:
        """Return a note of what the recovery shares combine to, so that they can be told from others."""
        return self._seal_digest(config, hashlib.sha256(recovery_key).digest())

    def _seal_digest(self, config: SealConfig, digest: bytes) -> bytes:
        return aead.seal(self._current.key, digest, _bind(RECOVERY_KEY, self._current.id, config.shares, config.threshold))

    def prove(self, sealed: bytes, shares: tuple[bytes, ...], config: SealConfig) -> bytes | None:
        """Return the recovery key that a whole set of shares combines to; None if it is not the noted one."""
        recovery_key = combine(shares, config) or b""
        _, digest = self._open(sealed, RECOVERY_KEY, (config.shares, config.threshold))
        return recovery_key if hmac.compare_digest(digest, hashlib.sha256(recovery_key).digest()) else None


def _bind(path: str, key_id: str, *numbers: int) -> bytes:
    return msgspec.json.encode((path, "static", key_id, *numbers))
