"""Policy names: what may be one, and which are reserved."""

import unicodedata
from collections.abc import Iterable

from vault.errors import InvalidRequest

ROOT = "root"
DEFAULT = "default"
# Policies of the service itself: nobody can read, change or be given them.
HIDDEN = frozenset({"response-wrapping", "control-group"})


def canonical_name(name: str) -> str:
    """Return the one spelling of a name: lower case, no blanks around it."""
    return name.strip().lower()


def parse_policy_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return canonical names, sorted, each once, empty ones dropped.

    Raises InvalidRequest for a name that only looks like root (full-width letters and the like) and for a hidden one.
    """
    found = {canonical for name in names if (canonical := canonical_name(name))}
    for name in found:
        if name in HIDDEN:
            raise InvalidRequest(f'cannot assign policy "{name}"')
        if name != ROOT and canonical_name(unicodedata.normalize("NFKC", name)) == ROOT:
            raise InvalidRequest(f'cannot assign policy "{name}"')
    return tuple(sorted(found))
