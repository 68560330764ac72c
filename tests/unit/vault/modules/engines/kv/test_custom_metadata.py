"""Custom metadata: what is taken, and what refusals tell."""

from typing import Any

import pytest

from vault import limits
from vault.errors import InvalidRequest
from vault.modules.engines.kv.custom_metadata import parse_custom_metadata, patch_custom_metadata

PAIRS = limits.CUSTOM_METADATA_PAIRS_MAX


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"a": {"b": 1}}, "values must be strings"),
        ({"a": ["hunter2"]}, "values must be strings"),
        ({"": "v"}, "length of key is 0 but must be 0 < len(key) <= 128"),
        ({"k": ""}, "length of value is 0 but must be 0 < len(value) <= 512"),
        ({"k": None}, "length of value is 0 but must be 0 < len(value) <= 512"),
        ({"k" * 129: "v"}, "length of key is 129 but must be 0 < len(key) <= 128"),
        ({"é" * 65: "v"}, "length of key is 130 but must be 0 < len(key) <= 128"),
        ({"k": "v" * 513}, "length of value is 513 but must be 0 < len(value) <= 512"),
        ({"a\x01": "v"}, "key contains unprintable characters"),
        ({"a": "hunter2\n"}, "value contains unprintable characters"),
        ({f"k{number}": "v" for number in range(PAIRS + 1)}, "payload must contain at most 64 keys, provided 65"),
    ],
)
def test_bad_pairs_are_refused_without_echo(given: dict[str, Any], message: str) -> None:
    """A refusal names the rule, and no word of what was sent."""
    with pytest.raises(InvalidRequest) as refusal:
        parse_custom_metadata(given)
    assert f"custom_metadata validation failed: {message}" in str(refusal.value)
    assert "hunter2" not in str(refusal.value)


def test_all_problems_are_told_at_once() -> None:
    """The refusal counts and lists what is wrong."""
    with pytest.raises(InvalidRequest, match=r"^3 errors occurred:\n\t\* custom_metadata validation failed: length of key"):
        parse_custom_metadata({"": "", "k": ""})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (None, None),
        ({}, None),
        ({"a": 1, "b": 1.5, "c": True, "d": False}, {"a": "1", "b": "1.5", "c": "1", "d": "0"}),
        ({"é" * 64: "v" * 512}, {"é" * 64: "v" * 512}),
        ({f"k{number}": "v" for number in range(PAIRS)}, {f"k{number}": "v" for number in range(PAIRS)}),
    ],
)
def test_pairs_are_kept_as_text(given: Any, kept: Any) -> None:
    """Numbers and booleans become text; no pairs at all are null."""
    assert parse_custom_metadata(given) == kept


@pytest.mark.parametrize("patch", [{"a": 5}, {"a": {"b": "c"}}, {"a": ""}, {"": "x"}, {f"n{number}": "v" for number in range(PAIRS)}])
def test_bad_patches_are_refused(patch: dict[str, Any]) -> None:
    """A patch holds strings and nulls, and what comes out obeys the same limits: they cannot be passed bit by bit."""
    with pytest.raises(InvalidRequest, match="custom_metadata validation failed"):
        patch_custom_metadata({"k": "v"}, patch)
