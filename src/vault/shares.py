"""What a set of key shares opens: the unseal key comes of them, and the root key of that.

After a rekey there may be two locks on the root key: the new one and, until the new shares are known to have arrived, the former
one. A set of either shares opens it, and no answer tells anything about a single share.
"""

import binascii
import hmac
import uuid
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from vault import limits
from vault.crypto import aead, random, shamir
from vault.errors import IntegrityError, InvalidRequest
from vault.storage.transaction import Transaction

CONFIG = "core/seal-config"  # plain: what a sealed server must be able to tell
ROOT_KEY = "core/root-key"  # plain row holding the root key, sealed by the unseal key
KEYRING = "core/keyring"  # plain row holding the keyring, sealed by the root key
FORMER = "core/former-root-key"  # plain row holding the lock, or the proof, of shares that a rekey has replaced
REKEY = "core/rekey"
REKEY_RECOVERY = "core/rekey-recovery"
GENERATION = "core/generate-root"
ATTEMPTS = (REKEY, REKEY_RECOVERY, GENERATION)  # what shares were given for so far; sealing forgets it
KEY_BYTES = 32
SHAMIR, STATIC = "shamir", "static"
_SHARE_BYTES_MIN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SealConfig:
    """Which seal it is, and how the unseal key (of a static seal: the recovery key) was split."""

    shares: int
    threshold: int
    kind: str = SHAMIR


@dataclass(frozen=True, slots=True, kw_only=True)
class Former:
    """What a rekey has replaced: it opens the new root key, or proves, until the new shares are known to have arrived."""

    config: SealConfig
    sealed: bytes


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Opened:
    """What a set of shares opened, and how."""

    keyring: bytes
    root_key: bytes
    unseal_key: bytes
    config: SealConfig


class WrongShares(InvalidRequest):
    """A whole set of shares opens nothing; which of them is wrong nobody can tell."""


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


def make_nonce() -> str:
    """Return a name for one attempt."""
    return str(uuid.UUID(bytes=random.random_bytes(16), version=4))


def check_share(share: bytes, prefix: str = "") -> None:
    """Refuse what has not the length of a share."""
    if len(share) < _SHARE_BYTES_MIN:
        raise InvalidRequest(f"{prefix}key is shorter than minimum {_SHARE_BYTES_MIN} bytes")
    if len(share) > KEY_BYTES + 1:
        raise InvalidRequest(f"{prefix}key is longer than maximum {KEY_BYTES + 1} bytes")


def has_share(given: tuple[bytes, ...], share: bytes) -> bool:
    """Return whether a share was given already; the time that takes tells nothing of one that nearly fits."""
    return any(hmac.compare_digest(share, other) for other in given)


Unlock = Callable[[SealConfig, bytes, tuple[bytes, ...]], Opened | None]


def open_root_key(transaction: Transaction, shares: tuple[bytes, ...], purpose: str) -> Opened | None:
    """Return the root key that a set of shares opens, None if there must be more of them. Raises WrongShares for a whole set."""

    def unlock(config: SealConfig, sealed: bytes, shares: tuple[bytes, ...]) -> Opened | None:
        return _unlock(transaction, config, sealed, shares)

    return try_locks(transaction, ROOT_KEY, shares, unlock, f"{purpose} failed: the key shares do not open the root key")


def try_locks(transaction: Transaction, path: str, shares: tuple[bytes, ...], unlock: Unlock, refusal: str) -> Opened | None:
    """Return what a set of shares opens of a row and of the former one; None if there must be more shares, WrongShares if not."""
    locks = _list_locks(transaction, path)
    for former, (config, sealed) in enumerate(locks):
        opened = unlock(config, sealed, shares) if len(shares) >= config.threshold else None
        if opened is not None:
            if not former and len(locks) > 1:  # the new shares have arrived
                transaction.delete(FORMER)
            return opened
    if len(shares) < max(config.threshold for config, _ in locks):
        return None
    raise WrongShares(refusal)


def _list_locks(transaction: Transaction, path: str) -> list[tuple[SealConfig, bytes]]:
    config, former = transaction.get_plain(CONFIG), transaction.get_plain(FORMER)
    if config is None:
        raise InvalidRequest("Vault is not initialized")
    locks = [(msgspec.json.decode(config, type=SealConfig), transaction.get_plain(path) or b"")]
    if former is not None:
        lock = msgspec.json.decode(former, type=Former)
        locks.append((lock.config, lock.sealed))
    return locks


def _unlock(transaction: Transaction, config: SealConfig, sealed: bytes, shares: tuple[bytes, ...]) -> Opened | None:
    unseal_key = combine(shares, config)
    root_key = unseal_key and find_sealed(unseal_key, sealed, ROOT_KEY)
    keyring = root_key and find_sealed(root_key, transaction.get_plain(KEYRING) or b"", KEYRING)
    if not unseal_key or not root_key or not keyring:
        return None
    return Opened(keyring=keyring, root_key=root_key, unseal_key=unseal_key, config=config)


def split(unseal_key: bytes, config: SealConfig) -> tuple[bytes, ...]:
    """Return the shares of an unseal key; the only one of one is the key."""
    return shamir.split(unseal_key, config.shares, config.threshold) if config.shares > 1 else (unseal_key,) * config.shares


def combine(shares: tuple[bytes, ...], config: SealConfig) -> bytes | None:
    """Return what a set of shares makes; None for ill-formed ones."""
    try:
        return shamir.combine(shares) if config.threshold > 1 else shares[-1]
    except ValueError:
        return None


def find_sealed(key: bytes, sealed: bytes, path: str) -> bytes | None:
    """Return what was sealed for a path under a key; None if that is another key, or none."""
    try:
        return aead.open_sealed(key, sealed, path.encode())
    except (IntegrityError, ValueError):  # another key, or what has not the length of one
        return None


def parse_config(shares: int, threshold: int, what: str = "seal") -> SealConfig:
    """Return how to split an unseal key; raises InvalidRequest for what cannot be done."""
    checks = (
        (shares < 1, "shares must be at least one"),
        (threshold < 1, "threshold must be at least one"),
        (threshold > shares, "threshold cannot be larger than shares"),
        (shares > 1 and threshold == 1, "threshold must be greater than one for multiple shares"),
        (shares > limits.SHARES_MAX, "shares must be less than 256"),
    )
    for wrong, text in checks:
        if wrong:
            raise InvalidRequest(f"invalid {what} configuration: {text}")
    return SealConfig(shares=shares, threshold=threshold)


def parse_recovery_config(shares: int, threshold: int) -> SealConfig:
    """Return how to split the recovery key of a static seal; there may be none at all."""
    if shares == threshold == 0:
        return SealConfig(shares=0, threshold=0, kind=STATIC)
    config = parse_config(shares, threshold, "recovery")
    return SealConfig(shares=config.shares, threshold=config.threshold, kind=STATIC)
