"""Label selectors of Kubernetes, in JSON: which namespaces a role takes by what is written on them."""

from collections.abc import Callable, Mapping

import msgspec


class Expression(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One condition for one label."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class Selector(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """All conditions must hold."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[Expression, ...] = ()


_OPERATORS: Mapping[str, Callable[[str | None, tuple[str, ...]], bool]] = {
    "In": lambda label, values: label in values,
    "NotIn": lambda label, values: label not in values,
    "Exists": lambda label, _: label is not None,
    "DoesNotExist": lambda label, _: label is None,
}
_TAKES_VALUES = frozenset({"In", "NotIn"})


def parse_selector(text: str) -> Selector:
    """Read a selector; raises ValueError, also for one without a condition: it would take every namespace."""
    try:
        found = msgspec.json.decode(text.encode("utf-8", "surrogatepass"), type=Selector)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ValueError("not a selector") from error
    if not found.match_labels and not found.match_expressions:
        raise ValueError("no condition")
    for condition in found.match_expressions:
        if condition.operator not in _OPERATORS or not condition.key or bool(condition.values) is not (condition.operator in _TAKES_VALUES):
            raise ValueError("not a condition")
    return found


def matches(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Return whether labels fulfil a selector."""
    return all(labels.get(key) == value for key, value in selector.match_labels.items()) and all(
        _OPERATORS[condition.operator](labels.get(condition.key), condition.values) for condition in selector.match_expressions
    )
