"""The binary forms of values."""

import struct

import pytest

from vault.storage.binary import decode_int, encode


@pytest.mark.parametrize("number", [0, 1, -1, 2**62, -(2**63), 2**63 - 1])
def test_bigint_comes_back(number: int) -> None:
    """Integers keep their sign and all their bits."""
    (packed,) = encode(("bigint",), (number,))
    assert decode_int(packed) == number


@pytest.mark.parametrize("items", [[b""], [b"a"], [b"a", b"", b"\0" * 300]])
def test_array_has_its_head_and_each_item_its_length(items: list[bytes]) -> None:
    """As PostgreSQL sends it: dimensions, nulls, type, count, first index, and the items."""
    (packed,) = encode(("bytea[]",), (items,))
    assert packed is not None
    assert struct.unpack_from(">iiIii", packed) == (1, 0, 17, len(items), 1)
    assert packed[20:] == b"".join(struct.pack(">i", len(item)) + item for item in items)


def test_null_is_no_value() -> None:
    """None travels as NULL, not as text or zero."""
    assert encode(("text", "bigint"), (None, None)) == [None, None]


def test_number_beyond_the_type_is_refused() -> None:
    """A number that does not fit raises; it is not cut."""
    with pytest.raises((struct.error, OverflowError)):
        encode(("bigint",), (2**63,))


def test_parameters_and_types_must_match() -> None:
    """A parameter too few or too many raises."""
    with pytest.raises(ValueError, match="argument"):
        encode(("text", "text"), ("a",))


def test_nul_stays_in_the_value() -> None:
    """A NUL byte does not end the value, so that no path is taken for a shorter one."""
    assert encode(("text",), ("a\0b",)) == [b"a\0b"]
