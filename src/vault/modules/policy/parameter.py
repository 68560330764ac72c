"""What a rule says about the fields of a request: required, denied, allowed.

Denied values are compared more widely than allowed ones: a handler takes 5 for "5", so a denied "5" is also a denied 5, while an
allowed "5" lets only the text pass and an allowed 5, as in Vault, nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vault.logical.args import Number
from vault.modules.policy.document import Parameters

ANY_FIELD = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterCheck:
    """The merged parameter clauses of one pattern; field names in lower case."""

    allowed: Parameters
    denied: Parameters
    required: tuple[str, ...]

    @property
    def is_empty(self) -> bool:
        """Tell whether every request passes."""
        return not (self.allowed or self.denied or self.required)

    def find_fault(self, fields: Mapping[str, Any]) -> str | None:
        """Return why the fields are refused; None where they pass."""
        missing = [name for name in self.required if name not in fields]
        if missing:
            return "a required parameter is missing"
        if fields and self.denied and self._is_denied(fields):
            return "a parameter is denied"
        if fields and self.allowed and not self._is_allowed(fields):
            return "a parameter is not allowed"
        return None

    def _is_denied(self, fields: Mapping[str, Any]) -> bool:
        if ANY_FIELD in self.denied:
            return True
        pairs = ((value, self.denied.get(name.lower())) for name, value in fields.items())
        return any(values is not None and _is_listed(value, values, _resembles) for value, values in pairs)

    def _is_allowed(self, fields: Mapping[str, Any]) -> bool:
        others = ANY_FIELD in self.allowed
        if others and len(self.allowed) == 1:
            return True
        for name, value in fields.items():
            values = self.allowed.get(name.lower())
            if not others if values is None else not _is_listed(value, values, _equals):
                return False
        return True


def merge_parameters(several: Sequence[Parameters]) -> Parameters:
    """Return the union; a field that may have any value in one has any value in all."""
    merged: Parameters = {}
    for parameters in several:
        for name, values in parameters.items():
            earlier = merged.get(name)
            merged[name] = values if earlier is None else (*earlier, *values) if earlier and values else ()
    return merged


def _is_listed(value: Any, values: tuple[Any, ...], compare: Callable[[Any, Any], bool]) -> bool:
    return not values or any(compare(pattern, value) for pattern in values)


def _matches_glob(pattern: str, text: str) -> bool:
    if len(pattern) < 2:  # a lone star is a star
        return pattern == text
    start, end = pattern.startswith("*"), pattern.endswith("*")
    if start and end:
        return pattern[1:-1] in text
    if start:
        return text.endswith(pattern[1:])
    return text.startswith(pattern[:-1]) if end else pattern == text


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _equals(pattern: Any, value: Any) -> bool:
    """Compare as Vault does: a JSON number equals nothing, so a number in a policy never allows one."""
    if isinstance(pattern, str) and isinstance(value, str):
        return _matches_glob(pattern, value)
    return _is_same(pattern, value, with_numbers=False)


def _resembles(pattern: Any, value: Any) -> bool:
    if _equals(pattern, value) or _is_same(pattern, value, with_numbers=True):
        return True
    return any(_matches_glob(written, read) for written in _spell(pattern) for read in _spell(value))


def _is_same(left: Any, right: Any, *, with_numbers: bool) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(
            _is_same(mine, other, with_numbers=with_numbers) for mine, other in zip(left, right, strict=True)
        )
    if isinstance(left, dict) and isinstance(right, dict):
        keys = left.keys() == right.keys()
        return keys and all(_is_same(member, right[key], with_numbers=with_numbers) for key, member in left.items())
    if _is_number(left) and _is_number(right):
        return with_numbers and bool(left == right)
    return type(left) is type(right) and bool(left == right)  # true is not 1


def _spell(value: Any) -> tuple[str, ...]:
    """Return the texts that a handler may take a scalar for."""
    if isinstance(value, str):
        return (value, value.strip()) if value != value.strip() else (value,)
    if isinstance(value, bool):
        return ("true", "1") if value else ("false", "0")
    if isinstance(value, float) and value.is_integer():
        return (str(value), str(int(value)))
    return (str(value),) if isinstance(value, int | float | Number) else ()
