"""The data keys by term. A new term encrypts from now on; old terms only decrypt."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from vault.crypto.random import random_bytes

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Keyring:
    """Keys by term, the term in use, and since when (unix nanoseconds) each term is there."""

    keys: Mapping[int, bytes]
    active: int
    installed: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def create(cls, now_ns: int = 0) -> "Keyring":
        """Return a keyring with one fresh key."""
        return cls(keys={1: random_bytes(KEY_BYTES)}, active=1, installed={1: now_ns})

    def rotate(self, now_ns: int = 0) -> "Keyring":
        """Return the keyring with a fresh key in use."""
        term = self.active + 1
        return Keyring(keys={**self.keys, term: random_bytes(KEY_BYTES)}, active=term, installed={**self.installed, term: now_ns})

    def encode(self) -> bytes:
        """Return the keyring as bytes, to be sealed by the root key."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, value: bytes) -> "Keyring":
        """Return the keyring from its bytes."""
        return msgspec.json.decode(value, type=cls)
