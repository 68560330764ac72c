"""Encrypts every row. A value is version byte, key term, nonce, ciphertext and tag; the header and the row's path are bound to it."""

from collections.abc import Iterator
from contextlib import contextmanager

from vault.crypto.aead import Cipher
from vault.errors import IntegrityError, Sealed
from vault.storage.keyring import Keyring

VERSION = 1
_HEADER_BYTES = 5


class Barrier:
    """The barrier of one worker: open while it holds a keyring."""

    def __init__(self) -> None:
        self._keys: tuple[int, dict[int, Cipher]] = (0, {})  # changes as one: other threads are reading

    @property
    def is_open(self) -> bool:
        """Return whether rows can be read and written."""
        return bool(self._keys[1])

    def open(self, keyring: Keyring) -> None:
        """Take the keys."""
        self._keys = keyring.active, {term: Cipher(key) for term, key in keyring.keys.items()}

    def close(self) -> None:
        """Drop the keys."""
        self._keys = (0, {})

    @contextmanager
    def opened(self, keyring: Keyring) -> Iterator[None]:
        """Hold the keys for a while."""
        self.open(keyring)
        try:
            yield
        finally:
            self.close()

    def encrypt(self, path: str, value: bytes) -> bytes:
        """Return `value` sealed and bound to `path`; raises Sealed."""
        term, ciphers = self._keys
        if not ciphers:
            raise Sealed
        header = bytes([VERSION]) + term.to_bytes(4, "big")
        return header + ciphers[term].seal(value, header + path.encode())

    def decrypt(self, path: str, sealed: bytes) -> bytes:
        """Return what was sealed for `path`; raises IntegrityError for anything else, Sealed while closed."""
        ciphers = self._keys[1]
        if not ciphers:
            raise Sealed
        header = sealed[:_HEADER_BYTES]
        cipher = ciphers.get(int.from_bytes(header[1:], "big")) if header[:1] == bytes([VERSION]) else None
        if cipher is None:
            raise IntegrityError
        return cipher.open(sealed[_HEADER_BYTES:], header + path.encode())
