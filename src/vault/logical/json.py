"""JSON as the service reads and writes it: strict, bounded, and exact.

A Python int or float stands for a number only where it is written back as the very same text; every other number stays a
`Number`, its literal. Doubled names, NaN, lone surrogates and NUL are refused, and nothing of a refused text is ever repeated.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import Number

_MALFORMED = "failed to decode JSON input"
_DIGITS_PLAIN = 18  # always within 64 bits
# Possessive throughout and never failing: linear on any input, also on strings that are not closed.
_STRING = r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\Z)'
_TOO_MANY = re.compile(rf'(?:(?:[^",\[{{]++|{_STRING})*+[,\[{{]){{{limits.JSON_MEMBERS_MAX + 1}}}+', re.DOTALL)
_BRACKETS = re.compile(rf'(?:[^"\[\]{{}}]++|{_STRING})*+([\[\]{{}}]|\Z)', re.DOTALL)
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


class _Refused(ValueError):
    """A text that we do not take; the message is ours and holds nothing of it."""


def _pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise _Refused("duplicate name")
    return found


def _int(literal: str) -> int | Number:
    if len(literal) <= _DIGITS_PLAIN:
        return int(literal) if literal != "-0" else Number(literal)
    if len(literal) > limits.JSON_INT_DIGITS_MAX:
        raise _Refused("number too long")
    number = int(literal)
    return number if -(2**63) <= number < 2**63 else Number(literal)


def _float(literal: str) -> float | Number:
    if len(literal) > limits.JSON_INT_DIGITS_MAX:
        raise _Refused("number too long")
    number = float(literal)
    if number - number == 0 and msgspec.json.encode(number) == literal.encode():
        return number
    exponent = literal.lower().partition("e")[2].lstrip("+-0")
    if len(exponent) > 3 or int(exponent or 0) > limits.JSON_EXPONENT_MAX:
        raise _Refused("number out of range")
    return Number(literal)


def _constant(_: str) -> NoReturn:
    raise _Refused("not a number")


_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_int, parse_float=_float, parse_constant=_constant)


def _check_structure(text: str) -> None:
    """Refuse what is too deep or has too many members before anything of it is built."""
    if _TOO_MANY.match(text):
        raise _Refused("too many members")
    depth = 0
    for found in _BRACKETS.finditer(text):
        depth += 1 if found[1] in ("{", "[") else -1
        if depth > limits.JSON_DEPTH_MAX:
            raise _Refused("nested too deep")


def _check_strings(value: Any) -> None:
    """Refuse NUL; writing finds lone surrogates by itself."""
    if _NUL.search(encode(value)):
        raise _Refused("NUL in a string")


def decode(body: bytes) -> Any:
    """Return the value of a JSON text; raises InvalidRequest, which repeats nothing of the text."""
    try:
        text = body.decode()
        openings = text.count("{") + text.count("[")
        if openings > limits.JSON_DEPTH_MAX or openings + text.count(",") > limits.JSON_MEMBERS_MAX:
            _check_structure(text)
        value = _decoder.decode(text)
        if "\\u" in text:
            _check_strings(value)
    except _Refused as refusal:
        raise InvalidRequest(f"{_MALFORMED}: {refusal}") from None
    except (ValueError, RecursionError):
        raise InvalidRequest(f"{_MALFORMED}: invalid text") from None
    return value


def decode_own(text: str) -> Any:
    """Return the value of a JSON text that this service wrote: it was judged when it came in."""
    return _decoder.decode(text)


def decode_object(body: bytes) -> Mapping[str, Any]:
    """Return the members of a JSON object; an empty text and null have none."""
    if not body:
        return {}
    value = decode(body)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"{_MALFORMED}: expected an object")
    return value


def _encode_other(value: Any) -> Any:
    if isinstance(value, Number):
        return msgspec.Raw(value.literal.encode())
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


# Not orjson: it stops at 254 levels, and Vault takes 300.
_encoder = msgspec.json.Encoder(enc_hook=_encode_other)


def encode(value: Any) -> bytes:
    """Return the JSON text of a value; numbers kept as literals are written as they were read."""
    return _encoder.encode(value)
