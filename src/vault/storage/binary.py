"""The binary forms in which values travel to and from PostgreSQL.

Every parameter is sent in binary form: a text form ends at its first NUL byte, and one path would be taken for another.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

_BIGINT = struct.Struct(">q")
_DOUBLE = struct.Struct(">d")
_ARRAY_HEAD = struct.Struct(">iiI")  # dimensions, whether there are nulls, type of the items
_ARRAY_DIMENSION = struct.Struct(">ii")  # length, first index
_LENGTH = struct.Struct(">i")

Encoder = Callable[[Any], bytes]


def _pack_array(kind: int, encode: Encoder) -> Encoder:
    def pack(items: Sequence[Any]) -> bytes:
        if not items:
            return _ARRAY_HEAD.pack(0, 0, kind)
        parts = [_ARRAY_HEAD.pack(1, 1, kind), _ARRAY_DIMENSION.pack(len(items), 1)]
        for item in items:
            if item is None:
                parts.append(_LENGTH.pack(-1))
            else:
                value = encode(item)
                parts += (_LENGTH.pack(len(value)), value)
        return b"".join(parts)

    return pack


# By the names that statements declare, with the numbers that PostgreSQL has for the items' types.
_ENCODERS: dict[str, Encoder] = {
    "text": str.encode,
    "bigint": _BIGINT.pack,
    "text[]": _pack_array(25, str.encode),
    "smallint[]": _pack_array(21, struct.Struct(">h").pack),
    "bigint[]": _pack_array(20, _BIGINT.pack),
    "bytea[]": _pack_array(17, bytes),
    "double precision[]": _pack_array(701, _DOUBLE.pack),
}


def encode(types: Sequence[str], values: Sequence[Any]) -> list[bytes | None]:
    """Return the values as parameters of the declared types."""
    return [None if value is None else _ENCODERS[name](value) for name, value in zip(types, values, strict=True)]


def decode_int(value: bytes | None) -> int:
    """Return an integer of any width."""
    return int.from_bytes(value or b"", "big", signed=True)


def decode_array(value: bytes | None) -> list[bytes]:
    """Return the items of a one-dimensional array without nulls."""
    data = value or b""
    place = _ARRAY_HEAD.size + _ARRAY_DIMENSION.size
    items = []
    while place < len(data):
        (length,) = _LENGTH.unpack_from(data, place)
        place += _LENGTH.size
        items.append(data[place : place + length])
        place += length
    return items
