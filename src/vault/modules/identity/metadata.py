"""Metadata of entities, groups and aliases: string pairs within Vault's limits."""

from collections.abc import Mapping
from typing import Any

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import PAIRS, Kind, parse_pairs

_PAIRS_MAX = limits.CUSTOM_METADATA_PAIRS_MAX
_KEY_MAX = limits.CUSTOM_METADATA_KEY_BYTES_MAX
_VALUE_MAX = limits.CUSTOM_METADATA_VALUE_BYTES_MAX


def _parse(value: Any) -> Mapping[str, str]:
    return {} if value == [] else parse_pairs(value)


METADATA: Kind[Mapping[str, str]] = Kind(PAIRS.name, PAIRS.schema, _parse)


def require_metadata(pairs: Mapping[str, str], what: str) -> dict[str, str]:
    """Return the pairs; raises InvalidRequest for more or longer ones than are kept, without repeating them."""
    problem = _find_problem(pairs)
    if problem:
        raise InvalidRequest(f"1 error occurred:\n\t* invalid {what} metadata: {problem}\n\n")
    return dict(pairs)


def _find_problem(pairs: Mapping[str, str]) -> str:
    if len(pairs) > _PAIRS_MAX:
        return f"metadata cannot contain more than {_PAIRS_MAX} key/value pairs"
    for key, value in pairs.items():
        if not key.strip():
            return "key cannot be blank"
        if len(key.encode("utf-8", "replace")) > _KEY_MAX:
            return f"key is too long (limit: {_KEY_MAX} bytes)"
        if len(value.encode("utf-8", "replace")) > _VALUE_MAX:
            return f"value is too long (limit: {_VALUE_MAX} bytes)"
    return ""
