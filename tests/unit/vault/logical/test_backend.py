"""Path tables: which row answers, and what it captures."""

from typing import Any, cast

import pytest

from vault.logical.backend import Backend, Endpoint, Path, path
from vault.logical.operation import Operation


def handle(_context: Any, _args: Any) -> None:
    """Answer nothing."""


def row(*patterns: str, **operations: Endpoint) -> Path:
    """Return a row."""
    return path(*patterns, help="Help.", **cast("Any", operations or {"read": Endpoint(handler=handle)}))


TABLE = Backend(
    kind="sample",
    paths=(
        row("a"),
        row("roles/{name}/secret"),
        row("roles/{name}"),
        row("roles"),
        row("x", "x/{rest*}"),
        row("{any}/end"),
        row("deep/{path*}"),
    ),
)


@pytest.mark.parametrize(
    ("text", "pattern", "captures"),
    [
        ("a", "a", {}),
        ("a/", "a", {}),
        ("roles", "roles", {}),
        ("roles/", "roles", {}),
        ("roles/x", "roles/{name}", {"name": "x"}),
        ("roles/x.y%", "roles/{name}", {"name": "x.y%"}),
        ("roles/secret", "roles/{name}", {"name": "secret"}),
        ("roles/x/secret", "roles/{name}/secret", {"name": "x"}),
        ("x", "x", {}),
        ("x/", "x", {}),
        ("x/y/z/", "x", {"rest": "y/z/"}),
        ("other/end", "{any}/end", {"any": "other"}),
        ("deep/", "deep/{path*}", {"path": ""}),
        ("deep/end", "{any}/end", {"any": "deep"}),
        ("deep/a\nb", "deep/{path*}", {"path": "a\nb"}),
    ],
)
def test_first_row_that_matches_answers(text: str, pattern: str, captures: dict[str, Any]) -> None:
    """In the order of the table, with what the path captured."""
    match = TABLE.find_match(text)
    assert match is not None
    assert match.path.patterns[0] == pattern
    assert {name: value for name, value in match.captures.items() if name in captures} == captures


@pytest.mark.parametrize(
    "text", ["", "b", "A", "aa", "a/b", "/a", "a//", "roles//", "roles//secret", "roles/x/y", "roles/x/secret/y", "deep", "a\n"]
)
def test_unknown_paths_have_no_row(text: str) -> None:
    """A pattern means the whole path, and a name is never empty."""
    assert TABLE.find_match(text) is None


def test_literal_characters_are_no_expression() -> None:
    """Dots and stars in a pattern mean themselves."""
    table = Backend(kind="sample", paths=(row("a.b+c"),))
    assert table.find_match("a.b+c") is not None
    assert table.find_match("aXb+c") is None
    assert table.find_match("a.bbc") is None


def test_create_is_served_by_update_where_none_is_declared() -> None:
    """And nothing else stands in for anything."""
    update, create = Endpoint(handler=handle), Endpoint(handler=handle, summary="create")
    assert row("a", update=update).find_endpoint(Operation.CREATE) is update
    assert row("a", update=update, create=create).find_endpoint(Operation.CREATE) is create
    for operation in (Operation.READ, Operation.PATCH, Operation.DELETE, Operation.LIST, Operation.SCAN, Operation.HELP):
        assert row("a", update=update).find_endpoint(operation) is None
    with pytest.raises(ValueError, match="nosuch"):
        row("a", nosuch=update)


def test_rows_of_any_depth_are_told_apart() -> None:
    """They have folders to be listed."""
    assert row("a/{rest*}").is_open
    assert not row("a/{name}").is_open
