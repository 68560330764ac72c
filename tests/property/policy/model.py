"""The rules of path policies once more, as slowly and literally as they are documented. Shares no code with the product."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cache, cmp_to_key

Block = tuple[str, frozenset[str]]
LISTING = ("list", "scan")
SEGMENT_WILDCARD = re.compile(r"/\+|\A\+(/|\Z)")


@cache
def to_regex(pattern: str) -> re.Pattern[str]:
    """Return what a pattern matches, as a regular expression."""
    star = pattern[-1:] == "*"
    body = pattern[: len(pattern) - star]
    words = ["[^/]*" if word == "+" else re.escape(word) for word in body.split("/")]
    return re.compile("/".join(words) + (".*" if star else ""), re.DOTALL)


def is_exact(pattern: str) -> bool:
    """Tell whether a pattern has no wildcard in any form."""
    return not pattern.endswith("*") and SEGMENT_WILDCARD.search(pattern) is None


def first_wildcard(pattern: str) -> int:
    """Return where a pattern stops being literal."""
    if SEGMENT_WILDCARD.search(pattern):
        return pattern.index("+")
    return pattern.index("*", len(pattern) - 1)


def compare(left: str, right: str) -> int:
    """Return a negative number where the left pattern has the lower priority."""
    questions = (
        first_wildcard,
        lambda pattern: 0 if pattern.endswith("*") else 1,
        lambda pattern: -len([word for word in pattern.rstrip("*").split("/") if word == "+"]),
        lambda pattern: len(pattern.removesuffix("*")),
        lambda pattern: pattern.removesuffix("*"),
    )
    for ask in questions:
        mine, other = ask(left), ask(right)
        if mine != other:
            return -1 if mine < other else 1
    return 0


def choose(patterns: Sequence[str], path: str) -> str | None:
    """Return the wildcard pattern that decides about a path."""
    fitting = [pattern for pattern in patterns if not is_exact(pattern) and to_regex(pattern).fullmatch(path)]
    return max(fitting, key=cmp_to_key(compare)) if fitting else None


def merge(policies: Sequence[Sequence[Block]]) -> dict[str, frozenset[str]]:
    """Return what all policies together say about each pattern."""
    merged: dict[str, frozenset[str]] = {}
    for blocks in policies:
        for written, capabilities in blocks:
            pattern = written.removeprefix("/")
            merged[pattern] = merged.get(pattern, frozenset()) | capabilities
    return {pattern: frozenset({"deny"}) if "deny" in found else found for pattern, found in merged.items()}


def find(merged: Mapping[str, frozenset[str]], path: str, *, as_folder: bool) -> frozenset[str]:
    """Return the capabilities on a path; a folder is looked up with its slash and without it."""
    path = re.sub(r"\A/+", "", path)
    spellings = [path, path[:-1]] if as_folder and path.endswith("/") else [path]
    for spelling in spellings:
        if spelling in merged and is_exact(spelling):
            return merged[spelling]
    for spelling in spellings:
        pattern = choose(list(merged), spelling)
        if pattern is not None:
            return merged[pattern]
    return frozenset()


def allows(merged: Mapping[str, frozenset[str]], operation: str, path: str) -> bool:
    """Decide one operation."""
    if operation == "help":
        return True
    if operation in LISTING:
        return operation in find(merged, path if path.endswith("/") or path == "" else path + "/", as_folder=True)
    return operation in find(merged, path, as_folder=False)


def capabilities(merged: Mapping[str, frozenset[str]], path: str) -> tuple[str, ...]:
    """Answer as sys/capabilities does."""
    return tuple(sorted(find(merged, path, as_folder=True))) or ("deny",)
