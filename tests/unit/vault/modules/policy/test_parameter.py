from typing import Any

import pytest

from vault.logical.args import Number
from vault.modules.policy.parameter import ParameterCheck, merge_parameters

# values of field `x` in the policy, then what a request may and may not carry there
ALLOWED: tuple[tuple[list[Any], list[Any], list[Any]], ...] = (
    ([], [1, None, "a", {}], []),
    (["a"], ["a"], ["A", "ab", "", None, ["a"], 1]),
    (["a*", "*z", "*m*"], ["a", "ab", "z", "yz", "m", "xmx"], ["ba", "zy", "x"]),
    (["*"], ["*"], ["a", ""]),
    (["**"], ["", "a", "*"], [1]),
    (["5"], ["5"], [5, 5.0, " 5"]),
    ([5], [], [5, "5", 5.0]),
    ([True], [True], [1, "true", False]),
    ([["a", "b"]], [["a", "b"]], [["b", "a"], "a", ["a"], "a,b"]),
    ([{"k": "v"}], [{"k": "v"}], [{"k": "w"}, {}, [{"k": "v"}]]),
)
DENIED: tuple[tuple[list[Any], list[Any], list[Any]], ...] = (
    ([], [1, None, "a"], []),
    (["a*"], ["a", "ab"], ["b", ["a"], None]),
    (["5"], ["5", 5, 5.0, " 5 ", Number("5")], ["55", 55]),
    ([5], [5, "5", 5.0], [6, "6", None]),
    ([True], [True, "true", 1, "1"], [False, 0]),
    (["true"], [True, "true"], [False]),
    ([["a", 1]], [["a", 1]], [["a", 2]]),
)


def _check(
    allowed: dict[str, tuple[Any, ...]] | None = None, denied: dict[str, tuple[Any, ...]] | None = None, required: tuple[str, ...] = ()
) -> ParameterCheck:
    return ParameterCheck(allowed=allowed or {}, denied=denied or {}, required=required)


@pytest.mark.parametrize(("values", "passing", "refused"), ALLOWED)
def test_allowed_values_let_only_themselves_pass(values: list[Any], passing: list[Any], refused: list[Any]) -> None:
    """A value passes if it is listed, by glob for texts and without turning one type into another."""
    check = _check(allowed={"x": tuple(values)})
    assert [value for value in (*passing, *refused) if check.find_fault({"x": value}) is None] == passing


@pytest.mark.parametrize(("values", "refused", "passing"), DENIED)
def test_denied_values_are_refused_in_every_spelling(values: list[Any], refused: list[Any], passing: list[Any]) -> None:
    """A value is refused if it is listed, or if a handler could take it for one that is."""
    check = _check(denied={"x": tuple(values)})
    assert [value for value in (*passing, *refused) if check.find_fault({"x": value}) is None] == passing


@pytest.mark.parametrize(
    ("allowed", "fields", "passes"),
    [
        ({"x": ()}, {}, True),
        ({"x": ()}, {"y": 1}, False),
        ({"x": ()}, {"X": 1}, True),
        ({"x": ("a",)}, {"X": "b"}, False),
        ({"x": ()}, {"x": 1, "y": 1}, False),
        ({"*": ("a",)}, {"y": "b"}, True),
        ({"*": (), "x": ("a",)}, {"y": "b"}, True),
        ({"*": (), "x": ("a",)}, {"x": "b"}, False),
        ({"x*": ()}, {"xy": 1}, False),
    ],
)
def test_unlisted_fields_are_refused(allowed: dict[str, tuple[Any, ...]], fields: dict[str, Any], passes: bool) -> None:
    """With a list of allowed fields every other one is refused, unless the star lets them in."""
    assert (_check(allowed=allowed).find_fault(fields) is None) is passes


def test_denied_beats_allowed() -> None:
    """What is in both lists is refused; a denied star refuses every field."""
    assert _check(allowed={"x": ()}, denied={"x": ("a",)}).find_fault({"x": "a"}) is not None
    assert _check(denied={"*": ("a",)}).find_fault({"y": "b"}) is not None
    assert _check(denied={"*": ()}).find_fault({}) is None


def test_field_names_have_no_case() -> None:
    """A denied field is denied however its name is written."""
    assert _check(denied={"x": ()}).find_fault({"X": "a"}) is not None


def test_required_fields_must_be_there() -> None:
    """Every required field is asked for by its name in lower case, whatever its value."""
    check = _check(required=("x", "y"))
    assert check.find_fault({"x": None, "y": 0}) is None
    assert check.find_fault({"x": 1}) is not None
    assert check.find_fault({"X": 1, "y": 1}) is not None
    assert check.find_fault({}) is not None


def test_merged_parameters_are_the_union() -> None:
    """Values of one field add up, and any value in one policy is any value in all."""
    assert merge_parameters([{"x": ("a",), "y": ("a",)}, {"x": ("b",), "y": (), "z": ()}, {"y": ("c",)}]) == {
        "x": ("a", "b"),
        "y": (),
        "z": (),
    }
