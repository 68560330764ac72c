"""Random bytes and text from the operating system's generator, which needs no care after a fork."""

import os

_BASE62 = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_ACCEPT = 256 - 256 % len(_BASE62)


def random_bytes(count: int) -> bytes:
    """Return `count` random bytes."""
    return os.urandom(count)


def random_hex(count: int) -> str:
    """Return `count` random bytes as hex."""
    return os.urandom(count).hex()


def random_base62(count: int) -> str:
    """Return `count` random characters, each equally likely."""
    found: list[str] = []
    while len(found) < count:
        found += [_BASE62[byte % 62] for byte in os.urandom(count + 16) if byte < _ACCEPT]
    return "".join(found[:count])
