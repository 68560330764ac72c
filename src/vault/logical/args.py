"""Typed arguments: the schema of an operation is a frozen dataclass whose fields are made with `arg`.

The schema parses untyped fields (Vault's weak typing: "1", 1 and 1.0 are an int), shows in path help and OpenAPI, and
marks what is secret. A field that cannot be parsed is refused with its name, never with its value.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from vault import limits
from vault.errors import InvalidRequest
from vault.secret import Secret

T = TypeVar("T")

_NANOSECONDS = 10**9
_DURATION_UNITS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 10**6, "s": _NANOSECONDS, "m": 60 * _NANOSECONDS, "h": 3600 * _NANOSECONDS}
_DURATION_UNITS["d"] = 24 * _DURATION_UNITS["h"]
_DURATION = re.compile(r"([0-9]{1,19}(?:\.[0-9]{1,9})?)(ns|us|µs|ms|s|m|h|d)")
# Clients know the first words.
_NO_DURATION = "time: invalid duration, expected one like 90s or 1h30m"
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False", ""})


class Number:
    """A JSON number that no Python number holds exactly, kept as its literal.

    Not a dataclass: encoders know dataclasses, and would write the fields instead of the number.
    """

    __slots__ = ("literal",)

    def __init__(self, literal: str) -> None:
        self.literal = literal

    def __str__(self) -> str:
        return self.literal

    def __repr__(self) -> str:
        return f"Number({self.literal!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and self.literal == other.literal

    def __hash__(self) -> int:
        return hash(self.literal)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """One way of reading an untyped value."""

    name: str  # as path help names it
    schema: Mapping[str, Any]  # as OpenAPI names it
    parse: Callable[[Any], T]


def _refuse(expected: str) -> ValueError:
    return ValueError(f"expected {expected}")


def parse_string(value: Any) -> str:
    """Read a string; scalars become their text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int | float | Number):
        return str(value)
    raise _refuse("a string")


def parse_token(value: Any) -> Secret:
    """Read a token: nothing but a string is one."""
    if isinstance(value, str):
        return Secret(value)
    raise _refuse("a string")


def parse_int(value: Any) -> int:
    """Read a whole number within 64 bits."""
    if isinstance(value, bool):
        raise _refuse("a whole number")
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, str):
        if value == "":
            return 0
        if not re.fullmatch(r"[+-]?[0-9]{1,19}", value, re.ASCII):
            raise _refuse("a whole number")
        value = int(value)
    if not isinstance(value, int) or not -(2**63) <= value < 2**63:
        raise _refuse("a whole number")
    return value


def parse_count(value: Any) -> int:
    """Read a whole number that is not negative."""
    number = parse_int(value)
    if number < 0:
        raise _refuse("a number that is not negative")
    return number


def parse_bool(value: Any) -> bool:
    """Read a Go bool: true/false in its spellings, or 1/0."""
    if isinstance(value, bool):
        return value
    text = str(value) if isinstance(value, int | str) else "no"
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise _refuse("true or false")


def parse_duration(value: Any) -> int:
    """Read whole seconds from a number of seconds or Go duration text (`90s`, `1h30m`, `2d`); fractions are cut."""
    if isinstance(value, str) and re.fullmatch(r"(?:[+-]?[0-9]+)?", value, re.ASCII) is None:
        return _parse_go_duration(value)
    seconds = parse_int(value)
    if abs(seconds) > limits.DURATION_SECONDS_MAX:
        raise ValueError(_NO_DURATION)
    return seconds


def _parse_go_duration(text: str) -> int:
    sign, body = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    total, position = Decimal(0), 0  # not a float: 4.35m are 261 seconds
    while position < len(body):
        match = _DURATION.match(body, position)
        if match is None:
            raise ValueError(_NO_DURATION)
        total += Decimal(match[1]) * _DURATION_UNITS[match[2]]
        position = match.end()
    seconds = int(total) // _NANOSECONDS
    if position == 0 or seconds > limits.DURATION_SECONDS_MAX:
        raise ValueError(_NO_DURATION)
    return sign * seconds


def format_duration(seconds: int) -> str:
    """Return Go-like text of a duration without its empty parts: `768h`, `2h30m`, `0s`."""
    hours, rest = divmod(seconds, 3600)
    minutes, left = divmod(rest, 60)
    parts = [f"{count}{unit}" for count, unit in ((hours, "h"), (minutes, "m"), (left, "s")) if count]
    return "".join(parts) or "0s"


def parse_ttl(value: Any) -> int:
    """Read a duration that is not negative."""
    seconds = parse_duration(value)
    if seconds < 0:
        raise _refuse("a duration that is not negative")
    return seconds


def parse_list(value: Any) -> tuple[str, ...]:
    """Read a list of strings, or comma separated text; blanks around items and empty items go."""
    if isinstance(value, str):
        return tuple(item for item in (part.strip() for part in value.split(",")) if item)
    if isinstance(value, list | tuple):
        return tuple(item for item in (parse_string(part).strip() for part in value) if item)
    raise _refuse("a list of strings")


def parse_int_list(value: Any) -> tuple[int, ...]:
    """Read a list of whole numbers, comma separated text, or one number."""
    if isinstance(value, str):
        return tuple(parse_int(part.strip()) for part in value.split(",") if part.strip())
    if isinstance(value, list | tuple):
        return tuple(parse_int(part) for part in value)
    return (parse_int(value),)


def parse_map(value: Any) -> Mapping[str, Any]:
    """Read a JSON object."""
    if isinstance(value, dict):
        return value
    raise _refuse("an object")


def parse_pairs(value: Any) -> Mapping[str, str]:
    """Read string pairs: an object, or a list of `key=value`."""
    if isinstance(value, dict):
        return {key: parse_string(item) for key, item in value.items()}
    if isinstance(value, str) and value == "":
        return {}
    if isinstance(value, str | list | tuple):
        items = [part.partition("=") for part in parse_list(value)]
        if all(separator for _, separator, _ in items):
            return {key.strip(): item.strip() for key, _, item in items}
    raise _refuse("an object of strings")


def parse_timestamp(value: Any) -> datetime:
    """Read an RFC 3339 time with its offset."""
    try:
        moment = datetime.fromisoformat(parse_string(value))
    except ValueError:
        raise _refuse("an RFC 3339 time") from None
    if moment.tzinfo is None:
        raise _refuse("an RFC 3339 time")
    return moment


def _kind(name: str, schema: Mapping[str, Any], parse: Callable[[Any], T]) -> Kind[T]:
    return Kind(name, schema, parse)


STRING = _kind("string", {"type": "string"}, parse_string)
NAME = _kind("lowercase string", {"type": "string"}, lambda value: parse_string(value).lower())
SECRET = _kind("string", {"type": "string", "x-vault-displayAttrs": {"sensitive": True}}, lambda value: Secret(parse_string(value)))
TOKEN = _kind("string", SECRET.schema, parse_token)
INT = _kind("int", {"type": "integer"}, parse_int)
COUNT = _kind("int", {"type": "integer", "minimum": 0}, parse_count)
BOOL = _kind("bool", {"type": "boolean"}, parse_bool)
DURATION = _kind("duration (sec)", {"type": "string", "format": "seconds"}, parse_duration)
TTL = _kind("duration (sec)", {"type": "string", "format": "seconds"}, parse_ttl)
LIST = _kind("comma list", {"type": "array", "items": {"type": "string"}}, parse_list)
INT_LIST = _kind("comma list of ints", {"type": "array", "items": {"type": "integer"}}, parse_int_list)
MAP = _kind("map", {"type": "object", "format": "map"}, parse_map)
PAIRS = _kind("keypair", {"type": "object", "format": "kvpairs"}, parse_pairs)
TIMESTAMP = _kind("time", {"type": "string", "format": "date-time"}, parse_timestamp)
ANY: Kind[Any] = _kind("any", {}, lambda value: value)

_REQUIRED: Any = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arg:
    """What is known of one argument."""

    name: str
    kind: Kind[Any]
    help: str
    required: bool
    query: bool
    default: Any
    wire: str


def arg(kind: Kind[T], text: str, *, default: Any = _REQUIRED, query: bool = False, wire: str = "", required: str = "") -> Any:
    """Declare an argument: its kind, a sentence of help, its default (none: required).

    `query` marks arguments that are read from the query string of reads; `wire` is the name on the wire where it is not a
    Python name; `required` is the refusal text where Vault has its own.
    """
    metadata = {"arg": (kind, text, query, wire, required)}
    if default is _REQUIRED:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoArgs:
    """The schema of operations that take no arguments."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PathArgs:
    """The schema of operations that take the rest of the path, and fields of their own free choice."""

    path: str = arg(STRING, "Location of the object.")


@functools.cache
def list_args(schema: type) -> tuple[Arg, ...]:
    """Return the arguments that a schema declares."""
    found = []
    for item in dataclasses.fields(schema):
        kind, text, query, wire, _ = item.metadata["arg"]
        required = item.default is dataclasses.MISSING
        found.append(
            Arg(
                name=item.name,
                kind=kind,
                help=text,
                required=required,
                query=query,
                default=None if required else item.default,
                wire=wire or item.name,
            )
        )
    return tuple(found)


@functools.cache
def _readers(schema: type) -> tuple[tuple[str, str, Callable[[Any], Any], bool, str], ...]:
    messages = {item.name: item.metadata["arg"][4] for item in dataclasses.fields(schema)}
    return tuple((item.name, item.wire, item.kind.parse, item.required, messages[item.name]) for item in list_args(schema))


def parse_args(schema: type, fields: Mapping[str, Any], captures: Mapping[str, str]) -> Any:
    """Return the typed arguments, path captures before fields; null counts as absent.

    Raises InvalidRequest naming the field, never its value.
    """
    values: dict[str, Any] = {}
    for name, wire, parse, required, message in _readers(schema):
        value = captures.get(wire)
        if value is None:
            value = fields.get(wire)
        if value is None:
            if required:
                raise InvalidRequest(message or f"missing {wire}")
            continue
        try:
            values[name] = parse(value)
        except ValueError as refusal:
            raise InvalidRequest(f'Field validation failed: error converting input for field "{wire}": {refusal}') from None
    return schema(**values)


@functools.cache
def _wire_names(schema: type) -> frozenset[str]:
    return frozenset(item.wire for item in list_args(schema))


def name_surprises(schema: type, fields: Mapping[str, Any], captures: Mapping[str, str]) -> tuple[str, ...]:
    """Return Vault's warnings about fields that no one reads and fields that the path overrides."""
    if not fields:
        return ()
    known = _wire_names(schema)
    ignored = sorted(name for name in fields if name not in known)
    replaced = sorted(name for name in fields if name in captures)
    warnings = []
    if ignored:
        warnings.append(f"Endpoint ignored these unrecognized parameters: [{' '.join(ignored)}]")
    if replaced:
        warnings.append(
            f"Endpoint replaced the value of these parameters with the values captured from the endpoint's path: [{' '.join(replaced)}]"
        )
    return tuple(warnings)
