"""Encrypts every row. A value is version byte, key term, nonce, ciphertext and tag; the header and the row's path are bound to it.

Surprise: another process may have rotated the keyring. A row of a term that is not known here asks for the keyring once more before
it counts as damaged; what is written meanwhile goes on under the old term, which every keyring keeps.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
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
        self._counting = threading.Lock()
        self._counts: dict[int, int] = {}
        # Brings in the keyring as it is stored now, if that is another one.
        self.refresh: Callable[[], None] | None = None

    @property
    def is_open(self) -> bool:
        """Return whether rows can be read and written."""
        return bool(self._keys[1])

    def open(self, keyring: Keyring) -> None:
        """Take the keys."""
        self._keys = keyring.active, {term: Cipher(key) for term, key in keyring.keys.items()}

    def is_covered_by(self, keyring: Keyring) -> bool:
        """Return whether a keyring opens all that this barrier opens; one that does not is older, or was put in its place."""
        active, ciphers = self._keys
        return keyring.active >= active and ciphers.keys() <= keyring.keys.keys()

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
        self.count({term: 1})
        return header + ciphers[term].seal(value, header + path.encode())

    def decrypt(self, path: str, sealed: bytes) -> bytes:
        """Return what was sealed for `path`; raises IntegrityError for anything else, Sealed while closed."""
        if not self._keys[1]:
            raise Sealed
        header = sealed[:_HEADER_BYTES]
        if header[:1] != bytes([VERSION]) or len(header) < _HEADER_BYTES:
            raise IntegrityError
        return self._find_cipher(int.from_bytes(header[1:], "big")).open(sealed[_HEADER_BYTES:], header + path.encode())

    def _find_cipher(self, term: int) -> Cipher:
        cipher = self._keys[1].get(term)
        if cipher is None and self.refresh is not None:
            self.refresh()
            cipher = self._keys[1].get(term)
        if cipher is None:
            raise IntegrityError if self._keys[1] else Sealed
        return cipher

    # -- how often each key was used ----------------------------------------------------------------------------------

    def count(self, counts: Mapping[int, int]) -> None:
        """Add uses of keys to those that are not on record yet."""
        with self._counting:
            for term, number in counts.items():
                self._counts[term] = self._counts.get(term, 0) + number

    def take_counts(self) -> dict[int, int]:
        """Return the uses of keys since the last call, by term; who cannot put them on record gives them back to `count`."""
        with self._counting:
            counts, self._counts = self._counts, {}
        return counts

    @property
    def counts(self) -> Mapping[int, int]:
        """Return the uses of keys that are not on record yet."""
        with self._counting:
            return dict(self._counts)
