"""The binary forms in which values travel to and from PostgreSQL.

Every parameter is sent in binary form: a text form ends at its first NUL byte, and one path would be taken for another.
"""

import struct
from collections.abc import Callable, Sequence
from typing import Any

_BIGINT = struct.Struct(">q")
_ARRAY_HEAD = struct.Struct(">iiI")  # dimensions, whether there are nulls, type of the items
_ARRAY_DIMENSION = struct.Struct(">ii")  # length, first index
_LENGTH = struct.Struct(">i")
_NULL = _LENGTH.pack(-1)

Encoder = Callable[[Any], bytes]


def _measured(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value


def _fixed(code: str) -> Encoder:
    """Return the encoder of a number, its length in front."""
    pack, size = struct.Struct(">i" + code).pack, struct.calcsize(">" + code)
    return lambda number: pack(size, number)


def _array(kind: int, encode: Encoder) -> Encoder:
    """Return the encoder of an array; `encode` gives an item with its length in front."""
    empty, head = _ARRAY_HEAD.pack(0, 0, kind), _ARRAY_HEAD.pack(1, 1, kind)

    def pack(items: Sequence[Any]) -> bytes:
        if not items:
            return empty
        packed = [_NULL if item is None else encode(item) for item in items]
        return b"".join((head, _ARRAY_DIMENSION.pack(len(items), 1), *packed))

    return pack


# By the names that statements declare, with the numbers that PostgreSQL has for the items' types.
_ENCODERS: dict[str, Encoder] = {
    "text": str.encode,
    "bigint": _BIGINT.pack,
    "text[]": _array(25, lambda text: _measured(text.encode())),
    "smallint[]": _array(21, _fixed("h")),
    "bigint[]": _array(20, _fixed("q")),
    "bytea[]": _array(17, _measured),
    "double precision[]": _array(701, _fixed("d")),
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
