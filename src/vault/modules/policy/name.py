"""Policy names: what may be one, and which are reserved."""

import unicodedata
from collections.abc import Iterable

from vault.errors import InvalidRequest

ROOT = "root"
DEFAULT = "default"
# Policies of the service itself: nobody can read, change or be given them.
HIDDEN = frozenset({"response-wrapping", "control-group"})
_LOOK_ALIKE_SCRIPTS = frozenset({"GREEK", "CYRILLIC", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU"})


def canonical_name(name: str) -> str:
    """Return the one spelling of a name: lower case, no blanks around it."""
    return name.strip().lower()


def is_deceptive(name: str) -> bool:
    """Return whether a name reads like another one: letters of scripts that look alike side by side, or what cannot be seen."""
    if name.isascii():
        return not name.isprintable()
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in name if letter.isalpha()}
    return not name.isprintable() or ("LATIN" in scripts and not scripts.isdisjoint(_LOOK_ALIKE_SCRIPTS))


def parse_policy_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return canonical names, sorted, each once, empty ones dropped.

    Raises InvalidRequest for a hidden name and for one that reads like another: no policy can have it, somebody may mean `root`.
    """
    found = {canonical for name in names if (canonical := canonical_name(name))}
    for name in found:
        if name in HIDDEN:
            raise InvalidRequest(f'cannot assign policy "{name}"')
        if is_deceptive(name):
            raise InvalidRequest("cannot assign a policy whose name reads like another")
        if name != ROOT and canonical_name(unicodedata.normalize("NFKC", name)) == ROOT:
            raise InvalidRequest(f'cannot assign policy "{name}"')
    return tuple(sorted(found))
