"""Typed arguments: what is refused, in which words, and what weak typing takes."""

import dataclasses
import math
from typing import Any

import pytest

from vault.errors import InvalidRequest
from vault.logical.args import (
    BOOL,
    COUNT,
    DURATION,
    INT,
    INT_LIST,
    LIST,
    MAP,
    NAME,
    PAIRS,
    SECRET,
    STRING,
    TIMESTAMP,
    TOKEN,
    TTL,
    Kind,
    Number,
    arg,
    format_duration,
    name_surprises,
    parse_args,
    parse_count,
    parse_duration,
    parse_int,
    parse_int_list,
    parse_token,
)

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


# -- every kind -----------------------------------------------------------------------------------------------------------

KINDS = (STRING, NAME, SECRET, TOKEN, INT, COUNT, BOOL, DURATION, TTL, LIST, INT_LIST, MAP, PAIRS, TIMESTAMP)
NUMERIC = (INT, COUNT, DURATION, TTL)
CANARY = "canary-5f1"
GARBAGE: list[Any] = [
    True, False, 0, -1, 2**63, -(2**63) - 1, 10**400, 0.5, -0.5, 1e308, math.inf, -math.inf, math.nan, "", " ", CANARY, f"{CANARY},x",
    f"{CANARY}=1", "1e3", "9" * 5000, "\u0661", "0x1", "--1", "+", "1_000", [], [[]], [None], [CANARY, [CANARY]], [{CANARY: 1}], {},
    {CANARY: [CANARY]}, {CANARY: None}, {"a": {CANARY: CANARY}}, Number("1e400"), Number("10000000000000000000000001"), b"bytes", object(),
    "2024-13-01T00:00:00Z", "2024-01-01T00:00:00", "T", "é", "\x00", "99999h", "-99999h", "9" * 19 + "d", "1h" * 1000,
]  # fmt: skip


def make_schema(kind: Kind[Any]) -> type:
    """Return a schema with one field of a kind."""
    field = arg(kind, "A field.", default=None)
    return dataclasses.make_dataclass("Schema", [("the_field", Any, field)], frozen=True, kw_only=True)


def read(schema: type, value: Any) -> tuple[Any, InvalidRequest | None]:
    """Return what a value was parsed to, or why not."""
    try:
        return parse_args(schema, {"the_field": value}, {}).the_field, None
    except InvalidRequest as refusal:
        return None, refusal


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.name}-{KINDS.index(kind)}")
def test_garbage_is_parsed_or_refused_by_name(kind: Kind[Any]) -> None:
    """Whatever comes, a field has a value of its type or is refused: naming the field, never what it held."""
    schema = make_schema(kind)
    for value in GARBAGE:
        parsed, refusal = read(schema, value)
        if refusal is not None:
            text = str(refusal)
            assert 'field "the_field"' in text
            assert CANARY not in text
            assert len(text) < 200
            assert refusal.__cause__ is None
        else:
            assert parsed is None or not isinstance(parsed, float | bool) or (kind is BOOL and isinstance(parsed, bool))


@pytest.mark.parametrize("kind", NUMERIC, ids=lambda kind: f"{kind.name}-{KINDS.index(kind)}")
def test_numbers_are_whole_and_within_64_bits(kind: Kind[Any]) -> None:
    """No boolean, fraction, NaN or text that only looks like a number becomes one, and what becomes one is exact."""
    for value in GARBAGE:
        try:
            parsed = kind.parse(value)
        except ValueError:
            continue
        assert type(parsed) is int
        assert -(2**63) <= parsed < 2**63
        assert not isinstance(value, bool | list | dict | Number)
        assert parsed >= 0 or kind in (INT, DURATION)
    for value in (True, 0.5, math.nan, math.inf, 1e308, 10**400, [1], {"a": 1}, Number("1"), "x", "1.5", "1e3"):
        with pytest.raises(ValueError):
            kind.parse(value)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.35m", 261),
        ("0.1h", 360),
        ("1.1m", 66),
        ("0.29m", 17),
        ("999ms", 0),
        ("1000ms", 1),
        ("1h0.5s", 3600),
        ("2562047h", 9_223_369_200),
    ],
)
def test_durations_are_exact(text: str, seconds: int) -> None:
    """No rounding of binary fractions: only what is less than a second is cut."""
    assert parse_duration(text) == seconds
    assert parse_duration("-" + text) == -seconds


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m"), (3600, "1h"), (9000, "2h30m"), (3661, "1h1m1s"), (2764800, "768h")]
)
def test_durations_are_written_without_empty_parts(seconds: int, text: str) -> None:
    """As short as it goes, and read back as the same."""
    assert format_duration(seconds) == text
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("value", "pairs"),
    [({"a": 1, "b": True}, {"a": "1", "b": "1"}), (["a=1", "b=x=y"], {"a": "1", "b": "x=y"}), ("a=1, b=2", {"a": "1", "b": "2"}), ("", {})],
)
def test_pairs_come_in_three_forms(value: Any, pairs: dict[str, str]) -> None:
    """An object, a list or a text of pairs."""
    assert PAIRS.parse(value) == pairs


def test_captures_come_before_fields() -> None:
    """The path decides; null is absent; a missing field is named."""

    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Schema:
        name: str = arg(STRING, "A name.")
        other: int = arg(INT, "A number.", default=7, wire="other-number")

    found = parse_args(Schema, {"name": "body", "other-number": None}, {"name": "path"})
    assert (found.name, found.other) == ("path", 7)
    assert parse_args(Schema, {"name": "body", "other-number": "9"}, {}).other == 9
    with pytest.raises(InvalidRequest, match="missing name"):
        parse_args(Schema, {"name": None}, {})
    assert name_surprises(Schema, {}, {"name": "path"}) == ()
    warnings = name_surprises(Schema, {"name": CANARY, "z": CANARY, "a": 1}, {"name": "path"})
    assert "[a z]" in warnings[0]
    assert "[name]" in warnings[1]
    assert CANARY not in "".join(warnings)


@pytest.mark.parametrize("kind", [SECRET, TOKEN])
def test_secret_fields_are_not_printed(kind: Kind[Any]) -> None:
    """Nor is the object that holds them."""
    parsed = parse_args(make_schema(kind), {"the_field": CANARY}, {})
    assert CANARY not in repr(parsed)
    assert parsed.the_field.reveal() == CANARY
