"""Routing: the longest prefix, and what is in the way of what."""

import itertools

import pytest

from vault.logical.mount import Mount
from vault.router import Router

PLACES = ("a/", "b/c/", "auth/token/", "auth/x/y/", "sys/")


def make_router() -> Router:
    """Return a router with some mounts."""
    return Router.build(Mount(path=place, kind="kv", uuid=place, accessor=place) for place in PLACES)


@pytest.mark.parametrize("path", ["", "/", "ab", "ab/c", "b", "b/", "b/cc", "b/d", "auth", "auth/", "auth/x", "auth/x/z", "A/", "sy", "/a"])
def test_unknown_paths_have_no_mount(path: str) -> None:
    """A prefix means whole segments."""
    assert make_router().find(path) is None


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("a", "a/"),
        ("a/", "a/"),
        ("a/b", "a/"),
        ("a//", "a/"),
        ("a/b/c/", "a/"),
        ("b/c", "b/c/"),
        ("b/c/d", "b/c/"),
        ("auth/x/y/z", "auth/x/y/"),
    ],
)
def test_paths_find_the_mount_above(path: str, place: str) -> None:
    """The mount itself is found with and without its slash."""
    found = make_router().find(path)
    assert found is not None
    assert found.path == place


@pytest.mark.parametrize("path", ["a/", "a/b/", "b/", "b/c/", "b/c/d/", "auth/", "auth/x/", "auth/x/y/z/", "sys/x/"])
def test_conflicts_are_found_above_and_below(path: str) -> None:
    """A mount that would nest, shadow or be shadowed conflicts."""
    assert make_router().find_conflict(path) is not None


@pytest.mark.parametrize("path", ["ab/", "x/", "b/cc/", "b/d/", "auth/a/", "auth/x/z/", "token/", "x/y/"])
def test_places_beside_are_free(path: str) -> None:
    """Neighbours do not conflict, nor does the same name in another family."""
    assert make_router().find_conflict(path) is None


def test_conflict_is_mutual() -> None:
    """Whichever of two mounts comes first, the other one conflicts or neither does."""
    places = ["/".join(parts) + "/" for size in (1, 2, 3) for parts in itertools.product("ab", repeat=size)]
    for first, second in itertools.permutations(places, 2):
        forward = Router.build([Mount(path=first, kind="kv", uuid="1", accessor="1")]).find_conflict(second)
        backward = Router.build([Mount(path=second, kind="kv", uuid="2", accessor="2")]).find_conflict(first)
        assert (forward is None) == (backward is None)
        assert (forward is not None) == (first.startswith(second) or second.startswith(first))
