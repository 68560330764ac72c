import pytest

from vault.modules.policy.pattern import PatternTable

# each row: the patterns from the lowest to the highest priority, all of which match the path
PRIORITIES = (
    ("a/b/c", ("*", "a*", "a/*", "a/b*", "a/b/*", "a/b/c*", "a/b/c")),
    ("a/b/c", ("+/b/c", "a/+/c", "a/b/+", "a/b/c")),
    ("a/b/c", ("a/+/*", "a/b/*")),
    ("a/b/c", ("a/*", "a/+/c")),
    ("a/bc", ("a/+", "a/b*")),
    ("a/b/c", ("a/+/c*", "a/+/c")),
    ("a/b/c", ("a/+/+", "a/+/c")),
    ("a/b/cd", ("a/+/*", "a/+/c*", "a/+/cd*")),
    ("a/b/c/d", ("a/+/+/*", "a/+/c/*")),
    ("x/!!/d", ("+/+/d", "+/!!/+")),  # the longer, although the lesser text
    ("x/!/d", ("+/!/+", "+/+/d")),  # the greater text
    ("é/b/c", ("é/+/*", "é/b/*")),
)
MISSES = {
    "a/+": ("a", "a/b/c", "b/a", "a/b/"),
    "a/+/*": ("a/b", "a"),
    "a/+/b": ("a/b", "a/x/y/b", "a//x/b"),
    "a/b": ("a/b/", "a", "a/bc", "/a/b"),
    "a/b*": ("a", "a/", "x/a/b"),
    "a/b+/c": ("a/bx/c",),
    "a/+b/c": ("a/xb/c", "a/b/c"),
    "+": ("a/", "a/b"),
    "a/*/c": ("a/b/c",),
}
HITS = {
    "a/+": ("a/b", "a/", "a/+"),
    "a/+/*": ("a/b/", "a/b/c", "a/b/c/d", "a//"),
    "a/b*": ("a/b", "a/b/", "a/bc/d"),
    "a/+b/c": ("a/+b/c",),
    "+": ("a", ""),
    "*": ("", "a", "a/b", "/"),
    "a/*/c": ("a/*/c",),
    "+/+/+": ("a/b/c", "//"),
}


@pytest.mark.parametrize(("pattern", "path"), [(pattern, path) for pattern, paths in MISSES.items() for path in paths])
def test_pattern_misses(pattern: str, path: str) -> None:
    """A plus is one whole segment, a star counts only at the end, everything else is literal."""
    assert PatternTable({pattern: 1}).find(path) is None


@pytest.mark.parametrize(("pattern", "path"), [(pattern, path) for pattern, paths in HITS.items() for path in paths])
def test_pattern_hits(pattern: str, path: str) -> None:
    """A plus takes any segment, an empty one too; a star takes any rest."""
    assert PatternTable({pattern: 1}).find(path) == 1


@pytest.mark.parametrize(("path", "patterns"), PRIORITIES)
def test_pattern_of_highest_priority_is_chosen(path: str, patterns: tuple[str, ...]) -> None:
    """Among patterns that match, the most specific decides, in whatever order they were given."""
    for count in range(1, len(patterns) + 1):
        kept = patterns[:count]
        for order in (kept, kept[::-1]):
            assert PatternTable({pattern: pattern for pattern in order}).find(path) == kept[-1]


def test_folder_is_found_with_its_slash_first() -> None:
    """Exact patterns come before others, and the spelling with the slash before the one without."""
    assert PatternTable({"a/": 1, "a": 2, "a/*": 3}).find_folder("a/") == 1
    assert PatternTable({"a": 2, "a/*": 3}).find_folder("a/") == 2
    assert PatternTable({"a/*": 3, "a*": 4}).find_folder("a/") == 3
    assert PatternTable({"a*": 4, "+": 5}).find_folder("a/") == 4
    assert PatternTable({"+": 5}).find_folder("a/") == 5
    assert PatternTable({"b": 6}).find_folder("a/") is None


def test_walk_is_bounded_by_the_patterns() -> None:
    """Every mix of literals and pluses along a long path is walked once."""
    names = ["/".join("+" if mask >> bit & 1 else "a" for bit in range(10)) for mask in range(1024)]
    table = PatternTable({name: name for name in names})
    assert table.find("/".join("a" * 10)) == "/".join("a" * 10)
    assert table.find("/".join("b" * 10)) == "/".join("+" * 10)
    assert table.find("/".join("a" * 9 + "b")) == "/".join("a" * 9) + "/+"
    assert table.find("a/" * 1000) is None
