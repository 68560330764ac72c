"""AES-256-GCM, the only cipher of the service."""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from vault.errors import IntegrityError

NONCE_BYTES = 12
TAG_BYTES = 16


class Cipher:
    """One key, its schedule computed once."""

    __slots__ = ("_aes",)

    def __init__(self, key: bytes) -> None:
        self._aes = AESGCM(key)

    def seal(self, plain: bytes, aad: bytes) -> bytes:
        """Return nonce, ciphertext and tag."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aes.encrypt(nonce, plain, aad)

    def open(self, sealed: bytes, aad: bytes) -> bytes:
        """Return the plain text; raises IntegrityError."""
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise IntegrityError
        try:
            return self._aes.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], aad)
        except InvalidTag as cause:
            raise IntegrityError from cause


def seal(key: bytes, plain: bytes, aad: bytes) -> bytes:
    """Return `plain` sealed under `key`, bound to `aad`."""
    return Cipher(key).seal(plain, aad)


def open_sealed(key: bytes, sealed: bytes, aad: bytes) -> bytes:
    """Return what `seal` sealed; raises IntegrityError."""
    return Cipher(key).open(sealed, aad)
