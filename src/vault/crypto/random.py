"""Random bytes and text from the operating system's generator, which needs no care after a fork."""

import os

_BASE62 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_CHARACTERS = bytes(_BASE62[byte % 62] for byte in range(256))  # by random byte
_REFUSED = bytes(range(256 - 256 % 62, 256))  # they would make some characters likelier than others


def random_bytes(count: int) -> bytes:
    """Return `count` random bytes."""
    return os.urandom(count)


def random_hex(count: int) -> str:
    """Return `count` random bytes as hex."""
    return os.urandom(count).hex()


def random_base62(count: int) -> str:
    """Return `count` random characters, each equally likely."""
    found = b""
    while len(found) < count:
        found += os.urandom(count + 16).translate(_CHARACTERS, _REFUSED)
    return found[:count].decode()
