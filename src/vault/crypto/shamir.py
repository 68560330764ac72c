"""Shamir's secret sharing over GF(256), in Vault's share format: the y bytes, then the x byte.

Field arithmetic is without tables and branches on secret bits, so that its time tells nothing about the shares.
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


def split(secret: bytes, shares: int, threshold: int) -> tuple[bytes, ...]:
    """Return `shares` shares of which any `threshold` combine to the secret."""
    if not 2 <= threshold <= shares <= 255 or not secret:
        raise ValueError("need 2 <= threshold <= shares <= 255 and a secret")
    places = _choose_places(shares)
    columns = [bytes([byte]) + random_bytes(threshold - 1) for byte in secret]
    return tuple(bytes(_evaluate(column, x) for column in columns) + bytes([x]) for x in places)


def _choose_places(count: int) -> list[int]:
    """Return distinct x coordinates without zero, in random order."""
    pool = list(range(1, 256))
    chosen = []
    for _ in range(count):
        limit = 256 - 256 % len(pool)
        pick = next(byte for byte in iter(lambda: random_bytes(1)[0], None) if byte < limit)
        chosen.append(pool.pop(pick % len(pool)))
    return chosen


def _evaluate(coefficients: bytes, x: int) -> int:
    result = 0
    for coefficient in reversed(coefficients):
        result = _multiply(result, x) ^ coefficient
    return result


def combine(shares: tuple[bytes, ...]) -> bytes:
    """Return the secret of enough shares; too few or wrong ones give other bytes. Raises ValueError for ill-formed ones."""
    if len(shares) < 2 or len({len(share) for share in shares}) != 1 or len(shares[0]) < 2:
        raise ValueError("shares must be two or more, of one length")
    places = [share[-1] for share in shares]
    if len(set(places)) != len(places) or 0 in places:
        raise ValueError("shares must have distinct places")
    weights = [_weight(place, places) for place in places]
    return bytes(_interpolate(column, weights) for column in zip(*(share[:-1] for share in shares), strict=True))


def _weight(place: int, places: list[int]) -> int:
    """Return the Lagrange weight at zero."""
    result = 1
    for other in places:
        if other != place:
            result = _multiply(result, _multiply(other, _invert(place ^ other)))
    return result


def _interpolate(column: tuple[int, ...], weights: list[int]) -> int:
    result = 0
    for y, weight in zip(column, weights, strict=True):
        result ^= _multiply(y, weight)
    return result
