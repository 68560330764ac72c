"""Custom metadata: string pairs beside a secret. A refusal tells what is wrong, never which words were sent."""

from collections.abc import Iterator, Mapping
from typing import Any

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import parse_string

_FAILED = "custom_metadata validation failed"


def parse_custom_metadata(given: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    """Return the pairs, numbers and booleans as text; none at all is None."""
    if not given:
        return None
    try:
        pairs = {key: "" if value is None else parse_string(value) for key, value in given.items()}
    except ValueError:
        raise InvalidRequest(f"{_FAILED}: values must be strings") from None
    _require_valid(pairs)
    return pairs


def patch_custom_metadata(current: Mapping[str, str] | None, patch: Mapping[str, Any] | None) -> Mapping[str, str] | None:
    """Return the pairs after a merge patch, where null removes a pair; a null patch removes all."""
    if patch is None:
        return None
    if not all(value is None or isinstance(value, str) for value in patch.values()):
        raise InvalidRequest(f"{_FAILED}: values must be strings")
    removed = {key for key, value in patch.items() if value is None}
    merged = {key: value for key, value in {**(current or {}), **patch}.items() if key not in removed}
    return parse_custom_metadata(merged)


def _require_valid(pairs: Mapping[str, str]) -> None:
    problems = list(_find_problems(pairs))
    if problems:
        heading = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        lines = "".join(f"\n\t* {_FAILED}: {problem}" for problem in problems)
        raise InvalidRequest(f"{heading} occurred:{lines}\n\n")


def _find_problems(pairs: Mapping[str, str]) -> Iterator[str]:
    if len(pairs) > limits.CUSTOM_METADATA_PAIRS_MAX:
        yield f"payload must contain at most {limits.CUSTOM_METADATA_PAIRS_MAX} keys, provided {len(pairs)}"
        return  # more lines than pairs are allowed would help nobody
    for key, value in pairs.items():
        yield from _find_text_problems("key", key, limits.CUSTOM_METADATA_KEY_BYTES_MAX)
        yield from _find_text_problems("value", value, limits.CUSTOM_METADATA_VALUE_BYTES_MAX)


def _find_text_problems(what: str, text: str, bytes_max: int) -> Iterator[str]:
    size = len(text.encode())
    if not 0 < size <= bytes_max:
        yield f"length of {what} is {size} but must be 0 < len({what}) <= {bytes_max}"
    if not text.isprintable():
        yield f"{what} contains unprintable characters"
