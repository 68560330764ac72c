"""Placeholders in path patterns: `secret/{{identity.entity.id}}/*`.

A value that would change what the pattern means (a wildcard, a slash) is refused for the whole request: to drop only that
block could drop a `deny`.
"""

import re
from collections.abc import Mapping

from vault.errors import PermissionDenied

_PLACEHOLDER = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_UNSAFE = re.compile(r"[*+/,{}]|\.\.")


def is_templated(pattern: str) -> bool:
    """Tell whether a pattern needs values before it means anything."""
    return "{{" in pattern


def is_balanced(pattern: str) -> bool:
    """Tell whether every opening has its closing before the next opening."""
    first, *others = pattern.split("{{")
    return "}}" not in first and all(part.count("}}") == 1 for part in others)


def resolve_pattern(pattern: str, values: Mapping[str, str] | None) -> str | None:
    """Return the pattern with its values put in; None where one is missing. Raises PermissionDenied for an unsafe value."""
    if not is_templated(pattern):
        return pattern
    known = values or {}
    found = {name: known.get(name.strip(), "") for name in _PLACEHOLDER.findall(pattern)}
    if not all(found.values()):
        return None
    if any(_UNSAFE.search(value) for value in found.values()):
        raise PermissionDenied
    return _PLACEHOLDER.sub(lambda match: found[match[1]], pattern)
