"""The binary forms in which values travel to and from PostgreSQL.

Every parameter is sent in binary form: a text form ends at its first NUL byte, and one path would be taken for another.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

_ARRAY_HEAD = struct.Struct(">iiIii")  # dimensions, whether there may be nulls, type of the items, how many, first index
_LENGTH = struct.Struct(">i")
_BYTEA = 17

pack_bigint = struct.Struct(">q").pack
pack_double = struct.Struct(">d").pack


def _pack_array(items: Sequence[bytes]) -> bytes:
    return _ARRAY_HEAD.pack(1, 0, _BYTEA, len(items), 1) + b"".join([_LENGTH.pack(len(item)) + item for item in items])


# By the names that statements declare.
_ENCODERS: dict[str, Callable[[Any], bytes]] = {"text": str.encode, "bigint": pack_bigint, "bytea[]": _pack_array}


def encode(types: Sequence[str], values: Sequence[Any]) -> list[bytes | None]:
    """Return the values as parameters of the declared types."""
    return [None if value is None else _ENCODERS[name](value) for name, value in zip(types, values, strict=True)]


def decode_int(value: bytes | None) -> int:
    """Return an integer of any width."""
    return int.from_bytes(value or b"", "big", signed=True)
