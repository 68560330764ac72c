import tracemalloc

import pytest

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import Number
from vault.logical.json import decode, decode_object, encode

MANY = limits.JSON_MEMBERS_MAX + 1


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":1}}',
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":1e-99999999999999999999}',
        b'{"a":' + b"1" * (limits.JSON_INT_DIGITS_MAX + 1) + b"}",
        b'{"a":1.' + b"1" * limits.JSON_INT_DIGITS_MAX + b"}",
        b'{"a":"\\ud800"}',
        b'{"\\udc00":1}',
        b'{"a":"\\u0000"}',
        b'{"a":"\\\\\\u0000"}',
        b'{"a":"\x00"}',
        b'{"a":"\n"}',
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b"{'a':1}",
        b'{"a":1,}',
        b'{"a":1}{"b":2}',
        b"[" * (limits.JSON_DEPTH_MAX + 1) + b"]" * (limits.JSON_DEPTH_MAX + 1),
        b'{"a":' * 100_000,
        b"[" * 100_000,
        b"[" + b"1," * MANY + b"1]",
        b"[" + b"{}," * MANY + b"1]",
        b"{" + b",".join(b'"%d":1' % number for number in range(MANY)) + b"}",
        b'["' + b'\\"' * 200_000,
        b"[" * 400 + b'"' + b'\\"' * 200_000,
    ],
)
def test_json_is_refused_without_repeating_it(body: bytes) -> None:
    """Ambiguous, unbounded and malformed texts are refused; the refusal holds no more than our own words."""
    with pytest.raises(InvalidRequest) as refusal:
        decode(body)
    assert len(str(refusal.value)) < 60


def test_json_is_refused_before_it_is_built() -> None:
    """A million keys cost no memory beyond the text itself."""
    body = b"{" + b",".join(b'"key%d":{}' % number for number in range(1_000_000)) + b"}"
    tracemalloc.start()
    with pytest.raises(InvalidRequest):
        decode(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2 * len(body)


LITERALS = """
0 -0 0.0 -0.0 1.0 1.10 1e3 1E+3 1e400 -1e-400 0.1 1.7976931348623157e308 9007199254740993 18446744073709551616
-9223372036854775808 9223372036854775808 123456789012345678901234567890
"""


@pytest.mark.parametrize("literal", LITERALS.split())
def test_json_number_keeps_its_digits(literal: str) -> None:
    """A number comes back as it was written, also those that no float or 64-bit integer holds."""
    body = b'{"a":[' + literal.encode() + b"]}"
    assert encode(decode(body)) == body


def test_json_plain_numbers_are_python_numbers() -> None:
    """What Python holds exactly is not wrapped."""
    assert decode(b'[1,-5,1.5,true,null,"a"]') == [1, -5, 1.5, True, None, "a"]
    assert decode(b"[1.50]") == [Number("1.50")]


@pytest.mark.parametrize(
    "text", ['{"":""}', '{"a":"\\\\u0000"}', '{"a":"é\\n\\t\\"\\\\/🔑"}', '{"a":"' + "," * MANY + '"}', "[" * 300 + "]" * 300]
)
def test_json_text_round_trips(text: str) -> None:
    """Empty keys, escapes, long strings full of commas and the deepest nesting are data."""
    assert decode(encode(decode(text.encode()))) == decode(text.encode())


@pytest.mark.parametrize("body", [b"[]", b'"a"', b"1", b"true"])
def test_json_object_is_expected(body: bytes) -> None:
    """Fields come from an object only."""
    with pytest.raises(InvalidRequest):
        decode_object(body)


@pytest.mark.parametrize("body", [b"", b"null", b"{}"])
def test_json_without_fields_is_empty(body: bytes) -> None:
    """Nothing and null hold no fields."""
    assert decode_object(body) == {}
