"""Which pattern decides about a path. The cost of a look-up follows the depth of the path, not the number of patterns.

An exact pattern beats all. Among the others Vault prefers: the later first wildcard; no `*` at the end; fewer `+`; the longer;
the greater text.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

R = TypeVar("R")
Rank = tuple[int, bool, int, int, bytes]

ANY_SEGMENT = "+"


def has_segment_wildcard(pattern: str) -> bool:
    """Tell whether some segment starts with a plus; only a segment that is nothing else matches anything."""
    return pattern == ANY_SEGMENT or pattern.startswith("+/") or "/+" in pattern


@dataclass(frozen=True, slots=True)
class _Candidate(Generic[R]):
    rank: Rank
    rule: R


@dataclass(slots=True)
class _Endings(Generic[R]):
    """Prefixes that may match one text, by their lengths, longest first."""

    lengths: tuple[int, ...] = ()
    candidates: dict[str, _Candidate[R]] = field(default_factory=dict)

    def add(self, prefix: str, candidate: _Candidate[R]) -> None:
        self.candidates[prefix] = candidate
        self.lengths = tuple(sorted({*self.lengths, len(prefix)}, reverse=True))

    def find_longest(self, text: str) -> _Candidate[R] | None:
        for length in self.lengths:
            if (candidate := self.candidates.get(text[:length])) is not None:
                return candidate
        return None


@dataclass(slots=True)
class _Node(Generic[R]):
    """A position between two segments of patterns with wildcards."""

    children: "dict[str, _Node[R]]" = field(default_factory=dict)
    any_child: "_Node[R] | None" = None
    whole: _Candidate[R] | None = None
    endings: _Endings[R] | None = None  # patterns whose last segment is a prefix

    def step(self, segment: str) -> "_Node[R]":
        if segment != ANY_SEGMENT:
            return self.children.setdefault(segment, _Node())
        if self.any_child is None:
            self.any_child = _Node()
        return self.any_child


class PatternTable(Generic[R]):
    """Rules by pattern, ready to be looked up. Read-only once built."""

    def __init__(self, rules: Mapping[str, R]) -> None:
        self._exact: dict[str, R] = {}
        self._root: _Node[R] = _Node()
        for pattern, rule in rules.items():
            if pattern.endswith("*") or has_segment_wildcard(pattern):
                self._add(pattern, rule)
            else:
                self._exact[pattern] = rule

    def _add(self, pattern: str, rule: R) -> None:
        is_prefix = pattern.endswith("*")
        text = pattern[:-1] if is_prefix else pattern
        encoded = text.encode()
        has_wildcard = has_segment_wildcard(pattern)
        first = encoded.index(b"+") if has_wildcard else len(encoded)
        *segments, last = text.split("/")
        wildcards = [*segments, last].count(ANY_SEGMENT)
        candidate = _Candidate((first, not is_prefix, -wildcards, len(encoded), encoded), rule)
        node = self._root
        for segment in segments:
            node = node.step(segment)
        if is_prefix:
            node.endings = node.endings or _Endings()
            node.endings.add(last, candidate)
        else:
            node.step(last).whole = candidate

    def find(self, path: str) -> R | None:
        """Return the rule for a path."""
        rule = self._exact.get(path)
        return rule if rule is not None else self._find_inexact(path)

    def find_folder(self, path: str) -> R | None:
        """Return the rule for a path with a slash at its end, as listing sees it: the slash is tried first, then without."""
        bare = path[:-1]
        rule = self._exact.get(path)
        if rule is None:
            rule = self._exact.get(bare)
        if rule is None:
            rule = self._find_inexact(path)
        return rule if rule is not None else self._find_inexact(bare)

    def _find_inexact(self, path: str) -> R | None:
        """Walk down the segments; where literal and `+` both go on, the `+` waits. No node is visited twice."""
        best: _Candidate[R] | None = None
        node = self._root
        parts = path.split("/")
        index, count = 0, len(parts)
        waiting: list[tuple[_Node[R], int]] = []
        while True:
            child = None
            if index == count:
                best = _better(best, node.whole)
            else:
                part = parts[index]
                index += 1
                if node.endings is not None:
                    best = _better(best, node.endings.find_longest(part))
                child = node.children.get(part)
                if node.any_child is not None:
                    waiting.append((node.any_child, index))
            if child is not None:
                node = child
            elif waiting:
                node, index = waiting.pop()
            else:
                return None if best is None else best.rule


def _better(best: _Candidate[R] | None, found: _Candidate[R] | None) -> _Candidate[R] | None:
    return found if found is not None and (best is None or found.rank > best.rank) else best


def reaches_below(pattern: str, folder: str) -> bool:
    """Tell whether a pattern can match something in a folder (a path with a slash at its end)."""
    text = pattern.removesuffix("*")
    if not has_segment_wildcard(pattern):
        return text.startswith(folder) or (text != pattern and folder.startswith(text))
    wanted = folder.split("/")[:-1]
    *segments, last = text.split("/")
    for index, part in enumerate(wanted):
        if index >= len(segments):
            return text != pattern and index == len(segments) and part.startswith(last)
        if segments[index] not in {ANY_SEGMENT, part}:
            return False
    return True
