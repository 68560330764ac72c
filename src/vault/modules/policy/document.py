"""The text of a policy, read once when it is written. What is stored beside the text is the `PolicyDocument`.

Repeated keys add up as in Vault: two `capabilities` lists are one longer list, the last of two texts counts.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, NoReturn

import msgspec

from vault import limits
from vault.errors import InvalidRequest
from vault.hcl import Body, Item, SyntaxFault, Value, is_json, parse_hcl, parse_json
from vault.modules.policy.template import is_balanced, is_templated

Parameters = dict[str, tuple[Any, ...]]

DENY = "deny"
CAPABILITIES = frozenset({"create", "read", "update", "delete", "list", "sudo", "patch", "scan"})
_WRITE = ("create", "read", "update", "delete", "list")
_LEGACY = {DENY: (DENY,), "read": ("read", "list"), "write": _WRITE, "sudo": (*_WRITE, "sudo")}
_UNIT_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION_PART = re.compile(r"([0-9]{1,19}\.?[0-9]{0,19}|\.[0-9]{1,19})(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_WHOLE = re.compile(r"([+-]?[0-9]{1,19})(d?)", re.ASCII)
_MOMENT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class PathRule:
    """One path block. A parameter without values means any value; zero means that a clause does not restrict."""

    pattern: str
    capabilities: tuple[str, ...] = ()  # sorted; `deny` stands alone
    allowed_parameters: Parameters = field(default_factory=dict)
    denied_parameters: Parameters = field(default_factory=dict)
    required_parameters: tuple[str, ...] = ()
    min_wrapping_ttl_seconds: float = 0.0
    max_wrapping_ttl_seconds: float = 0.0
    pagination_limit: int = 0
    expires_at: float | None = None

    @property
    def has_parameters(self) -> bool:
        """Tell whether it looks at the fields of a request."""
        return bool(self.allowed_parameters or self.denied_parameters or self.required_parameters)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyDocument:
    """What a policy says, in the order of its text."""

    paths: tuple[PathRule, ...] = ()

    @property
    def templated(self) -> bool:
        """Tell whether some pattern depends on who asks."""
        return any(is_templated(rule.pattern) for rule in self.paths)

    def until(self, expires_at: float) -> "PolicyDocument":
        """Return the document of a policy that ends as a whole at a time in unix seconds."""
        ends = (expires_at if rule.expires_at is None else min(rule.expires_at, expires_at) for rule in self.paths)
        return replace(self, paths=tuple(replace(rule, expires_at=end) for rule, end in zip(self.paths, ends, strict=True)))

    def encode(self) -> bytes:
        """Return JSON for storage."""
        return msgspec.json.encode(self)

    @staticmethod
    def decode(value: bytes) -> "PolicyDocument":
        """Read what `encode` wrote."""
        return msgspec.json.decode(value, type=PolicyDocument)


def parse_policy(text: str) -> PolicyDocument:
    """Read HCL or JSON; raises InvalidRequest with a message that names what is wrong."""
    try:
        return _read_document(_parse_text(text))
    except (SyntaxFault, _Refusal) as error:
        raise InvalidRequest(f"failed to parse policy: {error}") from None


class _Refusal(ValueError):
    """The text is HCL, but no policy."""


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _parse_text(text: str) -> Body:
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise _Refusal("the text is not valid Unicode") from None
    if size > limits.POLICY_BYTES_MAX:
        raise _Refusal(f"longer than {limits.POLICY_BYTES_MAX} bytes")
    return _flatten(parse_json(text)) if is_json(text) else parse_hcl(text)


def _flatten(body: Body) -> Body:
    """Bring the JSON form `{"path": {pattern: {...}}}` into the shape of HCL blocks."""
    items: list[Item] = []
    for item in body.items:
        members = item.value if isinstance(item.value, tuple) else (item.value,)
        if item.keys == ("path",) and members and all(isinstance(member, Body) for member in members):
            items += [replace(inner, keys=("path", *inner.keys)) for member in members for inner in member.items]
        else:
            items.append(item)
    return Body(tuple(items))


def _read_document(body: Body) -> PolicyDocument:
    _check_keys(body, frozenset({"name", "path"}))
    for item in body.items:
        if item.keys[0] == "name":
            _read_text(item.value, "name")
    blocks = [item for item in body.items if item.keys[0] == "path"]
    if len(blocks) > limits.POLICY_PATHS_MAX:
        raise _Refusal(f"more than {limits.POLICY_PATHS_MAX} paths")
    document = PolicyDocument(paths=tuple(_read_block(item) for item in blocks))
    try:
        document.encode()
    except UnicodeEncodeError:  # a lone surrogate, written as an escape
        raise _Refusal("the text is not valid Unicode") from None
    return document


def _check_keys(body: Body, valid: frozenset[str]) -> None:
    wrong = [f"\n\t* invalid key {_quote(item.keys[0])} on line {item.line}" for item in body.items if item.keys[0] not in valid]
    if wrong:
        raise _Refusal(f"{len(wrong)} error{'s' if len(wrong) > 1 else ''} occurred:{''.join(wrong)}\n\n")


def _read_block(item: Item) -> PathRule:
    pattern = item.keys[1] if len(item.keys) > 1 else item.keys[0]  # a block without a pattern is about "path"
    try:
        return _read_rule(pattern, _read_clauses(pattern, item.value))
    except _Refusal as error:
        raise _Refusal(f"path {_quote(pattern)}: {error}") from None


def _read_clauses(pattern: str, body: Value) -> dict[str, Any]:
    if not is_balanced(pattern):
        raise _Refusal("failed to validate policy templating: unbalanced templating characters")
    if not isinstance(body, Body):
        raise _Refusal("a block expected")
    _check_keys(body, frozenset(_CLAUSES))
    values: dict[str, list[Value]] = {}
    for name, value in _list_members(body):
        values.setdefault(name, []).append(value)
    return {name: _CLAUSES[name](name, several) for name, several in values.items()}


def _read_rule(pattern: str, clauses: Mapping[str, Any]) -> PathRule:
    path = pattern.removeprefix("/")
    end = _read_moment(path, clauses.get("expiration", ""))
    if "+*" in path:
        raise _Refusal(f"path {_quote(path)}: invalid use of wildcards ('+*' is forbidden)")
    capabilities = _read_capabilities(pattern, clauses.get("policy", ""), clauses.get("capabilities", ()))
    if capabilities == (DENY,):
        return PathRule(pattern=path, capabilities=capabilities, expires_at=end)
    shortest = _read_duration("min_wrapping_ttl", clauses.get("min_wrapping_ttl"))
    longest = _read_duration("max_wrapping_ttl", clauses.get("max_wrapping_ttl"))
    if shortest and longest and longest < shortest:
        raise _Refusal("max_wrapping_ttl cannot be less than min_wrapping_ttl")
    return PathRule(
        pattern=path,
        capabilities=capabilities,
        allowed_parameters=clauses.get("allowed_parameters", {}),
        denied_parameters=clauses.get("denied_parameters", {}),
        required_parameters=tuple(name.lower() for name in clauses.get("required_parameters", ())),
        min_wrapping_ttl_seconds=max(shortest, 0.0),
        max_wrapping_ttl_seconds=max(longest, 0.0),
        pagination_limit=max(clauses.get("pagination_limit", 0), 0),
        expires_at=end,
    )


def _read_capabilities(pattern: str, legacy: str, listed: tuple[str, ...]) -> tuple[str, ...]:
    if legacy and legacy not in _LEGACY:
        raise _Refusal(f"path {_quote(pattern)}: invalid policy {_quote(legacy)}")
    if legacy == DENY:
        return (DENY,)
    for name in listed:
        if name == DENY:
            return (DENY,)
        if name not in CAPABILITIES:
            raise _Refusal(f"path {_quote(pattern)}: invalid capability {_quote(name)}")
    return tuple(sorted({*listed, *_LEGACY.get(legacy, ())}))


def _read_duration(name: str, value: Value) -> float:
    """Return seconds from a number of seconds or Go duration text; `90d` counts days."""
    if value is None or value == "":
        return 0.0
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise _Refusal(f"error parsing {name}: could not parse duration from input")
    seconds = float(math.trunc(value)) if isinstance(value, int | float) else _read_go_duration(value)
    if seconds is None or abs(seconds) > limits.DURATION_SECONDS_MAX:
        raise _Refusal(f"error parsing {name}: time: invalid duration {_quote(str(value))}")
    return seconds


def _read_go_duration(text: str) -> float | None:
    if (whole := _WHOLE.fullmatch(text)) is not None:
        return float(whole[1]) * (_DAY_SECONDS if whole[2] else 1)
    body = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    total, position = 0.0, 0
    while (part := _DURATION_PART.match(body, position)) is not None:
        total += float(part[1]) * _UNIT_SECONDS[part[2]]
        position = part.end()
    if not body or position != len(body):
        return None
    return -total if text.startswith("-") else total


def _read_moment(path: str, text: str) -> float | None:
    """Return unix seconds from RFC 3339 text or a number of seconds; None where there is none."""
    if text == "":
        return None
    if (whole := _WHOLE.fullmatch(text)) is not None and not whole[2]:
        return float(whole[1]) or None
    if (match := _MOMENT.fullmatch(text)) is not None:
        with suppress(ValueError, OverflowError):
            return datetime.fromisoformat(match[1] + match[3]).timestamp() + float(f"0.{match[2] or 0}")
    raise _Refusal(f"path {_quote(path)}: invalid expiration time: could not parse string as date and time")


# --- the values of clauses: each reader gets every value that the block gives under one name, at least one ---------------


def _refuse_clause(name: str, expected: str) -> NoReturn:
    raise _Refusal(f"{name} must be {expected}")


def _read_text(value: Value, name: str) -> str:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return str(value)
    _refuse_clause(name, "a string")


def _last_text(name: str, values: Sequence[Value]) -> str:
    return [_read_text(value, name) for value in values][-1]


def _read_texts(name: str, values: Sequence[Value]) -> tuple[str, ...]:
    if not all(isinstance(value, tuple) for value in values):
        _refuse_clause(name, "a list of strings")
    return tuple(_read_text(member, f"every member of {name}") for value in values for member in value)


def _last_int(name: str, values: Sequence[Value]) -> int:
    for value in values:
        is_text = isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]{1,18}", value, re.ASCII)
        if not is_text and (not isinstance(value, int) or isinstance(value, bool)):
            _refuse_clause(name, "a whole number")
    return int(values[-1])


def _read_parameters(name: str, values: Sequence[Value]) -> Parameters:
    bodies = [body for value in values for body in (value if isinstance(value, tuple) else (value,))]
    if not bodies or not all(isinstance(body, Body) for body in bodies):
        _refuse_clause(name, "an object of lists")
    parameters: Parameters = {}
    for key, members in (pair for body in bodies for pair in _list_members(body)):
        if not isinstance(members, tuple | Body):
            _refuse_clause(f"{name}.{key}", "a list")
        listed = members if isinstance(members, tuple) else (members,)
        parameters[key.lower()] = (*parameters.get(key.lower(), ()), *(_to_plain(member) for member in listed))
    return parameters


def _list_members(body: Body) -> Iterator[tuple[str, Value]]:
    """Yield names and values; `a "b" { ... }` is the same as `a { b { ... } }`."""
    for item in body.items:
        value = item.value
        for key in reversed(item.keys[1:]):
            value = Body((Item((key,), value, item.line),))
        yield item.keys[0], value


def _to_plain(value: Value) -> Any:
    """Return a value as JSON would hold it, so that it compares with what a request carries."""
    if isinstance(value, tuple):
        return [_to_plain(member) for member in value]
    if isinstance(value, Body):
        return {key: _to_plain(member) for key, member in _list_members(value)}
    return value


def _last(_name: str, values: Sequence[Value]) -> Value:
    return values[-1]


def _refuse_text(name: str, values: Sequence[Value]) -> None:
    if _last_text(name, values):
        _refuse(name, values)


def _refuse(name: str, _values: Sequence[Value]) -> NoReturn:
    raise _Refusal(f"{name} is not supported: it would not be enforced")


_CLAUSES: dict[str, Callable[[str, Sequence[Value]], Any]] = {
    "comment": _last,
    "policy": _last_text,
    "capabilities": _read_texts,
    "allowed_parameters": _read_parameters,
    "denied_parameters": _read_parameters,
    "required_parameters": _read_texts,
    "min_wrapping_ttl": _last,
    "max_wrapping_ttl": _last,
    "mfa_methods": _read_texts,  # read and without effect, as in OpenBao
    "pagination_limit": _last_int,
    "expiration": _last_text,
    "list_scan_response_keys_filter_path": _refuse_text,
    "control_group": _refuse,
}
