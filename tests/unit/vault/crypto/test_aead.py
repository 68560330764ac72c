"""The cipher."""

import pytest

from vault.crypto import aead
from vault.errors import IntegrityError

KEY = bytes(range(32))


@pytest.mark.parametrize("length", [0, 1, 12, 27])
def test_too_short_text_is_refused(length: int) -> None:
    """What cannot hold a nonce and a tag is refused."""
    with pytest.raises(IntegrityError):
        aead.open_sealed(KEY, bytes(length), b"")


def test_every_truncation_is_refused() -> None:
    """A shortened tag is no tag."""
    sealed = aead.seal(KEY, b"secret", b"place")
    for length in range(len(sealed)):
        with pytest.raises(IntegrityError):
            aead.open_sealed(KEY, sealed[:length], b"place")


def test_other_key_and_other_place_are_refused() -> None:
    """A text opens under its own key and its own place only."""
    sealed = aead.seal(KEY, b"secret", b"place")
    for key, aad in ((KEY[::-1], b"place"), (KEY, b"placf"), (KEY, b"")):
        with pytest.raises(IntegrityError):
            aead.open_sealed(key, sealed, aad)


@pytest.mark.parametrize("plain", [b"", b"x", bytes(100_000)])
def test_sealed_text_opens(plain: bytes) -> None:
    """What was sealed comes back, whatever its length."""
    assert aead.open_sealed(KEY, aead.seal(KEY, plain, b"place"), b"place") == plain


def test_known_text_opens() -> None:
    """The format is that of AES-256-GCM: test case 14 of its specification, all zero."""
    known = bytes(12) + bytes.fromhex("cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
    assert aead.open_sealed(bytes(32), known, b"") == bytes(16)


def test_nonces_differ() -> None:
    """The same text is never sealed alike twice."""
    assert len({aead.seal(KEY, b"same", b"")[: aead.NONCE_BYTES] for _ in range(2000)}) == 2000
