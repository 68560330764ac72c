"""Which paths a device takes records of, written as in policies: `secret/*, auth/+/login, !secret/data/public/*`.

The pattern that a policy would prefer decides. Where every pattern excludes, all other paths are taken.
"""

from vault.modules.policy.pattern import PatternTable

PATTERNS_MAX = 100  # of one filter; each costs a look at every record


class PathFilter:
    """A device's choice of paths."""

    __slots__ = ("_otherwise", "_patterns")

    def __init__(self, text: str) -> None:
        """Read patterns; raises ValueError."""
        given = [part.strip() for part in text.split(",")]
        rules = {pattern.removeprefix("!"): not pattern.startswith("!") for pattern in given}
        if len(given) > PATTERNS_MAX or not all(rules) or any("*" in pattern[:-1] for pattern in rules):
            raise ValueError(
                f"filter must be at most {PATTERNS_MAX} patterns of paths with commas between them; * stands at their ends only"
            )
        self._patterns = PatternTable(rules)
        self._otherwise = not any(rules.values())

    def takes(self, path: str) -> bool:
        """Return whether records about a path are wanted."""
        found = self._patterns.find_folder(path) if path.endswith("/") else self._patterns.find(path)
        return self._otherwise if found is None else found
