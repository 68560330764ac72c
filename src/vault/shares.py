"""Key shares as people hold them, and the configuration that says how many there are."""

import binascii
import uuid
from base64 import b64decode
from dataclasses import dataclass

from vault import limits
from vault.crypto import random
from vault.errors import InvalidRequest

CONFIG = "core/seal-config"  # plain: what a sealed server must be able to tell
ROOT_KEY = "core/root-key"  # plain row holding the root key, sealed by the unseal key or by a static key
KEYRING = "core/keyring"  # plain row holding the keyring, sealed by the root key
KEY_BYTES = 32
SHAMIR, STATIC = "shamir", "static"
_SHARE_BYTES_MIN = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class SealConfig:
    """Which seal it is, and how the unseal key (of a static seal: the recovery key) was split."""

    shares: int
    threshold: int
    kind: str = SHAMIR


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
