"""Shamir's shares."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vault.crypto import shamir


@pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (2, 1), (2, 3), (256, 2), (0, 0)])
def test_impossible_splits_are_refused(shares: int, threshold: int) -> None:
    """Numbers that make no sense are refused."""
    with pytest.raises(ValueError, match="threshold"):
        shamir.split(b"secret", shares, threshold)


@pytest.mark.parametrize("shares", [(), (b"abc\1",), (b"abc\1", b"ab\2"), (b"abc\1", b"abd\1"), (b"abc\0", b"abd\1"), (b"a", b"b")])
def test_ill_formed_shares_are_refused(shares: tuple[bytes, ...]) -> None:
    """Too few, unequal, repeated or misplaced shares are refused."""
    with pytest.raises(ValueError, match="shares"):
        shamir.combine(shares)


@settings(max_examples=150)
@given(st.binary(min_size=1, max_size=40), st.integers(2, 12), st.data())
def test_any_threshold_of_shares_combines(secret: bytes, shares: int, data: st.DataObject) -> None:
    """Any `threshold` of the shares give the secret back, one fewer does not, and places are distinct and not zero."""
    threshold = data.draw(st.integers(2, shares))
    made = shamir.split(secret, shares, threshold)
    assert len({share[-1] for share in made}) == shares
    assert all(share[-1] for share in made)
    chosen = random.sample(made, threshold)
    assert shamir.combine(tuple(chosen)) == secret
    if threshold > 2 and len(secret) >= 16:
        assert shamir.combine(tuple(chosen[1:])) != secret


def test_largest_split_combines() -> None:
    """255 shares of which all are needed."""
    made = shamir.split(b"0123456789abcdef", 255, 255)
    assert shamir.combine(made) == b"0123456789abcdef"


def test_known_shares_combine() -> None:
    """Multiplication in the field is that of AES: 0x57 times 0x83 is 0xc1."""
    assert shamir._multiply(0x57, 0x83) == 0xC1
    assert all(shamir._multiply(a, shamir._invert(a)) == 1 for a in range(1, 256))
