"""Typed arguments: what is refused, in which words, and what weak typing takes."""

from __future__ import annotations

from typing import Any

import pytest

from vault.logical.args import parse_count, parse_duration, parse_int, parse_int_list, parse_token

NOT_DURATIONS = ["abc", "1.5", " 5", "5 ", "5x", "1h x", "h", "-", "1e3", "9999999999h", "\u0665", "0x10", 9223372036854775807]


@pytest.mark.parametrize("value", NOT_DURATIONS)
def test_durations_are_refused_in_words_that_clients_know(value: Any) -> None:
    """Neither blanks nor fractions without a unit nor what would overflow is a duration; the value is not repeated."""
    with pytest.raises(ValueError, match=r"^time: invalid duration, expected one like 90s or 1h30m$"):
        parse_duration(value)


@pytest.mark.parametrize("value", [True, 1.5, [1], {"a": 1}, None])
def test_durations_are_texts_or_whole_numbers(value: Any) -> None:
    """Every other type is refused."""
    with pytest.raises(ValueError, match=r"^expected a whole number$"):
        parse_duration(value)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("", 0), (5, 5), ("5", 5), ("-5", -5), ("90s", 90), ("1h30m", 5400), ("2d", 172800), ("1.5h", 5400), ("-1m", -60)],
)
def test_durations_are_whole_seconds(value: Any, seconds: int) -> None:
    """Numbers are seconds; text takes units, also fractions of them."""
    assert parse_duration(value) == seconds


@pytest.mark.parametrize("value", ["x", " 3", "3 ", "0x1", "1.5", "1e3", 1.5, True, [1], {}, None, 2**63, str(2**63)])
def test_whole_numbers_are_decimal_and_exact(value: Any) -> None:
    """Blanks, other bases, fractions, booleans and what 64 bits do not hold are refused."""
    with pytest.raises(ValueError, match="whole number"):
        parse_int(value)


@pytest.mark.parametrize(("value", "number"), [("", 0), ("3", 3), ("+3", 3), ("-3", -3), (3, 3), (3.0, 3), (-(2**63), -(2**63))])
def test_whole_numbers_may_be_texts(value: Any, number: int) -> None:
    """A numeric text is a number, an empty one is zero."""
    assert parse_int(value) == number


def test_counts_are_not_negative() -> None:
    """A count below zero is refused."""
    with pytest.raises(ValueError, match="not negative"):
        parse_count("-1")


def test_lists_of_numbers_may_have_blanks_around_their_items() -> None:
    """Blanks belong to the list, not to the number."""
    assert parse_int_list("1, 2 ,,3") == (1, 2, 3)
    with pytest.raises(ValueError, match="whole number"):
        parse_int_list(["1 "])


@pytest.mark.parametrize("value", [5, 1.0, True, ["a"], {"a": 1}])
def test_tokens_are_strings(value: Any) -> None:
    """No other type is turned into a token."""
    with pytest.raises(ValueError, match="expected a string"):
        parse_token(value)


def test_tokens_stay_secret() -> None:
    """A token shows itself only when asked for."""
    token = parse_token("hvs.x")
    assert token.reveal() == "hvs.x"
    assert "hvs.x" not in repr(token)
