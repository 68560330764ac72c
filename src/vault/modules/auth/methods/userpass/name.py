"""User names: one spelling, whatever a client writes. The one place that decides which spellings are the same name."""

import re
import unicodedata

from vault.errors import InvalidRequest

_NAME = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]{0,254}[a-z0-9_])?")  # what Vault takes, in lower case


def spell_name(text: str) -> str:
    """Return a name in its one spelling, whether or not a user can have it."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


def is_name(name: str) -> bool:
    """Return whether a user can have a name in its one spelling."""
    return _NAME.fullmatch(name) is not None and ".." not in name


def parse_name(text: str) -> str:
    """Return the name of a user; raises InvalidRequest."""
    name = spell_name(text)
    if not is_name(name):
        raise InvalidRequest("invalid username: expected letters, digits, '_', '-' and '.', not the last two at its ends")
    return name
