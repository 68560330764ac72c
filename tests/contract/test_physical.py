"""What every physical storage promises."""

import random

import pytest

from tests.contract.conftest import CLEARING
from vault.storage.memory import Memory
from vault.storage.physical import ABSENT, Change, Physical, Row, WriteConflict
from vault.storage.postgres import Postgres

ODD_NAMES = (
    "100%",
    "a_b",
    "axb",
    "back\\slash",
    "it's",
    'quo"te',
    "semi;colon",
    "--",
    "$1",
    "%s",
    "ünïcode",
    "日本",
    " space ",
    "a.b",
    "~",
)


def put(physical: Physical, version: int, *paths: str, value: bytes = b"v") -> None:
    """Write rows unconditionally."""
    physical.prepare(version, [Change(path=path, value=value) for path in sorted(paths)], []).commit()


def test_get_missing_row_is_none(physical: Physical) -> None:
    """A row that was never written is not there."""
    assert physical.get("a/b") is None


def test_put_then_get_returns_value_and_version(physical: Physical) -> None:
    """A row comes back as it was written, bytes that are no text included."""
    value = bytes(range(256))
    put(physical, 7, "a/b", value=value)
    assert physical.get("a/b") == Row(value, 7)


def test_rollback_changes_nothing(physical: Physical) -> None:
    """Prepared changes that are rolled back never happened."""
    put(physical, 1, "a")
    physical.prepare(2, [Change(path="a", value=b"new"), Change(path="b", value=b"new")], ["c/"]).rollback()
    assert physical.get("a") == Row(b"v", 1)
    assert physical.get("b") is None


@pytest.mark.parametrize("kind", ["put", "delete", "guard"])
def test_stale_version_conflicts(physical: Physical, kind: str) -> None:
    """A change or guard that expects another version is refused, with all that came with it."""
    put(physical, 1, "a")
    put(physical, 2, "a")
    change = Change(path="a", value=b"x" if kind == "put" else None, delete=kind == "delete", expected=1)
    with pytest.raises(WriteConflict):
        physical.prepare(3, [change, Change(path="b", value=b"x")], [])
    assert physical.get("a") == Row(b"v", 2)
    assert physical.get("b") is None


def test_expected_absent_conflicts_with_present_row(physical: Physical) -> None:
    """A row that should not be there but is, is a conflict."""
    put(physical, 1, "a")
    with pytest.raises(WriteConflict):
        physical.prepare(2, [Change(path="a", value=b"x", expected=ABSENT)], [])


def test_expected_version_conflicts_with_deleted_row(physical: Physical) -> None:
    """A row that was deleted since it was read is a conflict."""
    put(physical, 1, "a")
    physical.prepare(2, [Change(path="a", delete=True)], []).commit()
    with pytest.raises(WriteConflict):
        physical.prepare(3, [Change(path="a", value=b"x", expected=1)], [])


def test_prepared_tells_what_came_and_went(physical: Physical) -> None:
    """A commit names rows that are new and rows that are gone, those below deleted prefixes included."""
    put(physical, 1, "keep", "gone", "below/x", "below/y/z")
    changes = [
        Change(path="gone", delete=True),
        Change(path="keep", value=b"n"),
        Change(path="missing", delete=True),
        Change(path="new", value=b"n"),
    ]
    prepared = physical.prepare(2, changes, ["below/"])
    prepared.commit()
    assert prepared.created == {"new"}
    assert prepared.removed == {"gone", "below/x", "below/y/z"}
    assert physical.list_children("", "", None) == ("keep", "new")


def test_delete_prefix_leaves_neighbours(physical: Physical) -> None:
    """Deleting below a folder touches no name that only starts alike."""
    put(physical, 1, "a/x", "a/y/z", "a", "ab", "a0", "a.b/c", "a-/d")
    physical.prepare(2, [], ["a/"]).commit()
    assert physical.list_children("", "", None) == ("a", "a-/", "a.b/", "a0", "ab")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_are_data(physical: Physical, name: str) -> None:
    """No name is a pattern or a piece of a statement."""
    put(physical, 1, f"{name}/child", "other/child", "axb", "aXb")
    assert physical.list_children(f"{name}/", "", None) == ("child",)
    assert physical.get(f"{name}/child") is not None
    physical.prepare(2, [], [f"{name}/"]).commit()
    assert physical.get("other/child") is not None


def test_listing_shows_one_level(physical: Physical) -> None:
    """A folder shows its rows and its folders, each once, in byte order; a row and a folder may share a name."""
    put(physical, 1, "f/b", "f/a", "f/a/1", "f/a/2/3", "f/c/4", "f/Z", "fa/x", "f")
    assert physical.list_children("f/", "", None) == ("Z", "a", "a/", "b", "c/")
    assert physical.list_children("f/a/", "", None) == ("1", "2/")
    assert physical.list_children("nothing/", "", None) == ()


def test_listing_pages_are_the_whole(physical: Physical) -> None:
    """Pages taken one after the other are the listing, whatever the page size."""
    random.seed(4)
    paths = {"p/" + "/".join(random.choice("abc/.-0") * random.randint(1, 2) for _ in range(random.randint(1, 3))) for _ in range(60)}
    paths = {path for path in paths if "//" not in path and not path.endswith("/")}
    put(physical, 1, *paths)
    whole = physical.list_children("p/", "", None)
    model = {path[2:].partition("/")[0] + ("/" if "/" in path[2:] else "") for path in paths}
    assert set(whole) == model
    assert list(whole) == sorted(whole, key=str.encode)
    for size in (1, 2, 7):
        found: list[str] = []
        while page := physical.list_children("p/", found[-1] if found else "", size):
            assert len(page) <= size
            found += page
        assert tuple(found) == whole


def test_subtree_pages_are_the_whole(physical: Physical) -> None:
    """Pages of a subtree are all rows below the prefix, each once."""
    paths = {f"s/{a}{b}" for a in ("", "x/", "x/y/", "z/") for b in "abc"}
    put(physical, 1, *paths, "sa", "t/a")
    found: list[str] = []
    while page := physical.list_subtree("s/", found[-1] if found else "", 5):
        found += page
    assert len(found) == len(set(found))
    assert {"s/" + name for name in found} == paths


def test_expired_rows_come_oldest_first(physical: Physical) -> None:
    """Rows whose time has come are found, oldest first; rows without a time never."""
    changes = [Change(path=f"e/{at}", value=b"v", expires_at=float(at)) for at in (1, 2, 3, 9)]
    physical.prepare(1, [*changes, Change(path="e/never", value=b"v")], []).commit()
    assert physical.list_expired(5.0, 10) == ("e/1", "e/2", "e/3")
    assert physical.list_expired(5.0, 2) == ("e/1", "e/2")
    put(physical, 2, "e/1")
    assert physical.list_expired(5.0, 10) == ("e/2", "e/3")


def test_row_put_below_a_deleted_prefix_stays(physical: Physical) -> None:
    """Emptying a folder and writing into it in one transaction leaves what was written, new or not."""
    put(physical, 1, "a/old", "a/kept", "a/b/c")
    prepared = physical.prepare(
        2, [Change(path="a/kept", value=b"n", expected=1), Change(path="a/new", value=b"n", expected=ABSENT)], ["a/"]
    )
    prepared.commit()
    assert physical.list_subtree("a/", "", 10) == ("kept", "new")
    assert prepared.removed == {"a/old", "a/b/c"}
    assert prepared.created == {"a/new"}


@pytest.mark.parametrize("kind", ["put", "delete", "guard"])
def test_expected_absent_row_may_be_absent(physical: Physical, kind: str) -> None:
    """A change of a row that was read as absent goes through, and a guard leaves nothing behind."""
    change = Change(path="a", value=b"x" if kind == "put" else None, delete=kind == "delete", expected=ABSENT)
    physical.prepare(1, [change, Change(path="b", value=b"x")], []).commit()
    assert physical.list_children("", "", None) == (("a", "b") if kind == "put" else ("b",))


def test_memory_is_the_model_of_postgres(dsn: str) -> None:
    """Random changes leave both implementations with the same listings."""
    random.seed(11)
    memory, postgres = Memory(), Postgres(dsn, 2)
    postgres.open()
    postgres.prepare(CLEARING, [], [""]).commit()
    try:
        for version in range(2, 120):
            path = "/".join(random.choice(("a", "b", "c.", "d-", "0")) for _ in range(random.randint(1, 4)))
            change = Change(path=path, delete=True) if random.random() < 0.3 else Change(path=path, value=b"v")
            for storage in (memory, postgres):
                storage.prepare(version, [change], []).commit()
        for prefix in ("", "a/", "a/b/", "0/", "c./"):
            for after in ("", "a", "a/", "b", "c./"):
                assert memory.list_children(prefix, after, None) == postgres.list_children(prefix, after, None), (prefix, after)
            assert memory.list_subtree(prefix, "", 1000) == postgres.list_subtree(prefix, "", 1000)
    finally:
        postgres.close()
