"""Patterns with `*` for any text, as Vault's auth methods have them; nothing else in them is special, and case matters."""

import fnmatch
import re
from functools import lru_cache


def matches_any(text: str, globs: tuple[str, ...]) -> bool:
    """Return whether a text matches one of these patterns."""
    return any(_compile(glob).match(text) for glob in globs)


@lru_cache(maxsize=1_024)
def _compile(glob: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(glob.replace("[", "[[]").replace("?", "[?]")))
