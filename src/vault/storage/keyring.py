"""The data keys by term. A new term encrypts from now on; old terms only decrypt."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from vault.crypto.random import random_bytes

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Keyring:
    """Keys by term, and the term in use."""

    keys: Mapping[int, bytes]
    active: int

    @classmethod
    def create(cls) -> "Keyring":
        """Return a keyring with one fresh key."""
        return cls(keys={1: random_bytes(KEY_BYTES)}, active=1)

    def rotate(self) -> "Keyring":
        """Return the keyring with a fresh key in use."""
        term = self.active + 1
        return Keyring(keys={**self.keys, term: random_bytes(KEY_BYTES)}, active=term)

    def encode(self) -> bytes:
        """Return the keyring as bytes, to be sealed by the root key."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, value: bytes) -> "Keyring":
        """Return the keyring from its bytes."""
        return msgspec.json.decode(value, type=cls)
