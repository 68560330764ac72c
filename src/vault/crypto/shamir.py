"""Shamir's secret sharing over GF(256), in Vault's share format: the y bytes, then the x byte.

Field arithmetic has no tables, and branches only on places, which are public: its time tells nothing about the secret.
"""

from vault.crypto.random import random_bytes

_POLYNOMIAL = 0x1B  # x^8 + x^4 + x^3 + x + 1, the field of AES


def _multiply(a: int, b: int) -> int:
    product = 0
    for _ in range(8):
        product ^= -(b & 1) & a
        carry = -(a >> 7) & _POLYNOMIAL
        a = ((a << 1) & 0xFF) ^ carry
        b >>= 1
    return product


def _invert(a: int) -> int:
    """Return a^254, which is the inverse of every element but zero."""
    result, power = 1, a
    for bit in range(8):
        if 254 >> bit & 1:
            result = _multiply(result, power)
        power = _multiply(power, power)
    return result


def _scale(vector: int, factor: int, ones: int) -> int:
    """Return each byte of a packed vector times one factor. Only the factor, a public place, decides a branch."""
    product = 0
    while factor:
        if factor & 1:
            product ^= vector
        carries = (vector >> 7) & ones
        vector = ((vector & (ones * 0x7F)) << 1) ^ (carries * _POLYNOMIAL)
        factor >>= 1
    return product


def _ones(length: int) -> int:
    return int.from_bytes(b"\1" * length, "big")


def split(secret: bytes, shares: int, threshold: int) -> tuple[bytes, ...]:
    """Return `shares` shares of which any `threshold` combine to the secret."""
    if not 2 <= threshold <= shares <= 255 or not secret:
        raise ValueError("need 2 <= threshold <= shares <= 255 and a secret")
    length, ones = len(secret), _ones(len(secret))
    # One polynomial per byte, packed: the n-th vector holds the n-th coefficient of each.
    vectors = [int.from_bytes(secret, "big")]
    vectors += [int.from_bytes(random_bytes(length), "big") for _ in range(threshold - 1)]
    made = []
    for place in _choose_places(shares):
        value = 0
        for vector in reversed(vectors):
            value = _scale(value, place, ones) ^ vector
        made.append(value.to_bytes(length, "big") + bytes([place]))
    return tuple(made)


def _choose_places(count: int) -> list[int]:
    """Return distinct x coordinates without zero, in random order."""
    pool = list(range(1, 256))
    chosen = []
    for _ in range(count):
        limit = 256 - 256 % len(pool)
        pick = next(byte for byte in iter(lambda: random_bytes(1)[0], None) if byte < limit)
        chosen.append(pool.pop(pick % len(pool)))
    return chosen


def combine(shares: tuple[bytes, ...]) -> bytes:
    """Return the secret of enough shares; too few or wrong ones give other bytes. Raises ValueError for ill-formed ones."""
    if len(shares) < 2 or len({len(share) for share in shares}) != 1 or len(shares[0]) < 2:
        raise ValueError("shares must be two or more, of one length")
    places = [share[-1] for share in shares]
    if len(set(places)) != len(places) or 0 in places:
        raise ValueError("shares must have distinct places")
    length = len(shares[0]) - 1
    ones, secret = _ones(length), 0
    for share, place in zip(shares, places, strict=True):
        secret ^= _scale(int.from_bytes(share[:-1], "big"), _weight(place, places), ones)
    return secret.to_bytes(length, "big")


def _weight(place: int, places: list[int]) -> int:
    """Return the Lagrange weight at zero: of public places only."""
    result = 1
    for other in places:
        if other != place:
            result = _multiply(result, _multiply(other, _invert(place ^ other)))
    return result
