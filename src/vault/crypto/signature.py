"""Ed25519 signatures: whoever has the public key can check, only the holder of the seed can sign."""

import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_BYTES = 32
SIGNATURE_BYTES = 64


class SigningKey:
    """A key that signs."""

    __slots__ = ("_key", "public")

    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = PublicKey(self._key.public_key().public_bytes_raw())

    def sign(self, data: bytes) -> bytes:
        """Return the signature of some bytes."""
        return self._key.sign(data)


class PublicKey:
    """A key that checks. Its id is the beginning of its hash."""

    __slots__ = ("_key", "id", "raw")

    def __init__(self, raw: bytes) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(raw)  # ValueError for what is no key
        self.raw = raw
        self.id = hashlib.sha256(raw).hexdigest()[:16]

    def has_signed(self, data: bytes, signature: bytes) -> bool:
        """Return whether the holder of the key signed these bytes."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True
