"""Token parameters: what roles and users may say of their tokens."""

from typing import Any

import pytest

from vault.errors import InvalidRequest
from vault.logical.args import parse_args
from vault.logical.login import TokenParameters
from vault.modules.auth.parameters import LegacyTokenParameterArgs, change_parameters, describe_parameters


def change(current: TokenParameters = TokenParameters(), **fields: Any) -> TokenParameters:
    """Read fields as a request brings them."""
    return change_parameters(current, parse_args(LegacyTokenParameterArgs, fields, {}))


@pytest.mark.parametrize("name", ["token_ttl", "token_max_ttl", "token_period", "token_num_uses", "token_explicit_max_ttl", "ttl"])
@pytest.mark.parametrize("value", [-1, "-1", 0.5, True, "x", [1], {}, 1e308, 2**63])
def test_bad_numbers_are_refused(name: str, value: Any) -> None:
    """Whatever is no number that is not negative."""
    with pytest.raises(InvalidRequest, match=name):
        change(**{name: value})


@pytest.mark.parametrize(
    "fields",
    [
        {"token_policies": "root"},
        {"token_policies": [" Root "]},
        {"policies": "a,ROOT"},
        {"token_policies": ["\uff52\uff4f\uff4f\uff54"]},
        {"token_policies": ["r\u043e\u043et"]},  # Cyrillic
        {"token_policies": ["ro\u03bft"]},  # Greek
        {"policies": ["\u200broot"]},
        {"token_policies": ["r\u00adoot"]},
        {"token_policies": ["ro\not"]},
        {"token_policies": ["response-wrapping"]},
        {"token_type": "spoon"},
        {"token_type": "batch", "token_period": 5},
        {"token_type": "default-batch", "token_num_uses": 1},
        {"token_ttl": 2, "token_max_ttl": 1},
        {"token_bound_cidrs": "10.0.0.0/99"},
    ],
)
def test_what_no_token_may_have_is_refused(fields: dict[str, Any]) -> None:
    """Root in every spelling, kinds that exclude each other, times that do."""
    with pytest.raises(InvalidRequest):
        change(**fields)


def test_absent_fields_keep_their_value() -> None:
    """A change of one field leaves the others."""
    first = change(token_policies="b,a", token_ttl="1m")
    assert change(first, token_max_ttl=90) == TokenParameters(token_policies=("a", "b"), token_ttl=60, token_max_ttl=90)


def test_the_new_name_decides_over_the_older_one() -> None:
    """An empty new one beside the older one is a web client's way to say nothing."""
    assert change(policies="a", token_policies="b").token_policies == ("b",)
    assert change(policies="a", token_policies=[]).token_policies == ("a",)
    assert change(change(policies="a"), token_policies=[]).token_policies == ()


def test_they_are_shown_in_the_names_of_the_wire() -> None:
    """Older names only where asked for."""
    shown = describe_parameters(change(policies="a", ttl=5), legacy=True)
    assert shown["token_policies"] == shown["policies"] == ["a"]
    assert shown["token_ttl"] == shown["ttl"] == 5
    assert "policies" not in describe_parameters(change(policies="a"))
