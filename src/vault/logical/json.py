"""JSON as the service reads and writes it: strict, bounded, and exact.

A number that no Python number holds exactly is kept as its literal, so a secret comes back as it was stored. Duplicate names, NaN,
NUL and lone surrogates are refused, and nothing of a refused text is ever repeated in the refusal.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

import orjson

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import Number

_INT_MAX = 2**63
_MALFORMED = "failed to decode JSON input"
# A body that holds none of these needs no second look at its strings.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class _Refused(ValueError):
    pass


def _pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) != len(members):
        raise _Refused("duplicate name")
    return found


def _int(literal: str) -> int | Number:
    if len(literal) > limits.JSON_INT_DIGITS_MAX:
        raise _Refused("number too long")
    if literal == "-0":
        return Number(literal)
    number = int(literal)
    return number if -_INT_MAX <= number < _INT_MAX else Number(literal)


def _float(literal: str) -> float | Number:
    if len(literal) > limits.JSON_INT_DIGITS_MAX:
        raise _Refused("number too long")
    number = float(literal)
    return number if repr(number) == literal else Number(literal)


def _constant(_: str) -> Any:
    raise _Refused("not a number")


_decoder = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_int, parse_float=_float, parse_constant=_constant)


def decode(text: bytes) -> Any:
    """Return the value of a JSON text; raises InvalidRequest, which repeats nothing of the text."""
    if text.count(b",") + text.count(b"{") + text.count(b"[") > limits.JSON_MEMBERS_MAX:
        raise InvalidRequest(f"{_MALFORMED}: too many members")
    try:
        value = _decoder.decode(text.decode("utf-8"))
    except _Refused as refusal:
        raise InvalidRequest(f"{_MALFORMED}: {refusal}") from None
    except (ValueError, RecursionError):
        raise InvalidRequest(f"{_MALFORMED}: invalid text") from None
    if _depth_exceeds(text) or (_SUSPECT.search(text) and _has_bad_text(value)):
        raise InvalidRequest(f"{_MALFORMED}: invalid text")
    return value


def decode_object(text: bytes) -> Mapping[str, Any]:
    """Return the members of a JSON object; an empty text has none."""
    if not text:
        return {}
    value = decode(text)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest(f"{_MALFORMED}: expected an object")
    return value


def _depth_exceeds(text: bytes) -> bool:
    """Return whether a valid text nests deeper than allowed."""
    if text.count(b"{") + text.count(b"[") <= limits.JSON_DEPTH_MAX:
        return False
    depth = deepest = 0
    for byte in _STRING.sub(b"", text).translate(None, _NO_BRACKETS):
        depth += 1 if byte in b"{[" else -1
        deepest = max(deepest, depth)
    return deepest > limits.JSON_DEPTH_MAX


def _has_bad_text(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value or any("\ud800" <= character <= "\udfff" for character in value)
    if isinstance(value, dict):
        return any(_has_bad_text(key) or _has_bad_text(item) for key, item in value.items())
    return isinstance(value, list) and any(_has_bad_text(item) for item in value)


def encode(value: Any) -> bytes:
    """Return the JSON text of a value; numbers kept as literals are written as they were read."""
    return orjson.dumps(value, default=_encode_other)


def _encode_other(value: Any) -> Any:
    if isinstance(value, Number):
        return orjson.Fragment(value.literal)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple | set | frozenset):
        return list(value)
    raise TypeError(type(value).__name__)
