"""How versions go, by deletion, destruction, number and age, and how they come back."""

from typing import Any

import pytest

from tests.unit.vault.modules.engines.world import HOUR_NS, SECOND_NS, World
from vault.modules.engines.kv.backend import kv_v2


@pytest.fixture
def world() -> World:
    """Return a fresh versioned mount."""
    return World(kv_v2())


def _write(world: World, path: str, *values: Any) -> None:
    for value in values:
        world.write(f"data/{path}", {"data": {"v": value}})


def _version(world: World, path: str, number: int) -> Any:
    response = world.read(f"data/{path}", version=number)
    return None if response is None or response.data is None else response.data["data"]


# -- going and coming back ------------------------------------------------------------------------------------------------


def test_deleted_version_answers_404_with_its_metadata(world: World) -> None:
    """What is deleted still tells that it was there, and since when it is gone."""
    _write(world, "a", 1)
    world.now_ns += 5
    world.delete("data/a")
    for path, empty in (("data/a", "data"), ("subkeys/a", "subkeys")):
        response = world.read(path)
        assert response is not None
        assert response.data is not None
        assert (response.status, response.data[empty]) == (404, None)
        assert response.data["metadata"]["deletion_time"] == "2023-11-14T22:13:20.000000005Z"


def test_delete_removes_the_current_version_only(world: World) -> None:
    """Deleting data deletes one version: never an older one, never metadata, never a row."""
    _write(world, "a", 1, 2)
    rows = len(world.rows.rows)
    world.delete("data/a")
    assert [_version(world, "a", number) for number in (1, 2)] == [{"v": 1}, None]
    assert len(world.rows.rows) == rows
    assert world.list("metadata/") == ("a",)


def test_deleting_again_keeps_the_first_time(world: World) -> None:
    """The deletion time is that of the first deletion; a destroyed version gets none."""
    _write(world, "a", 1, 2)
    world.delete("data/a")
    first = world.data("metadata/a")["versions"]["2"]
    world.now_ns += HOUR_NS
    world.delete("data/a")
    world.write("delete/a", {"versions": [2]})
    assert world.data("metadata/a")["versions"]["2"] == first
    world.write("destroy/a", {"versions": [1]})
    world.write("delete/a", {"versions": [1]})
    assert world.data("metadata/a")["versions"]["1"]["deletion_time"] == ""


@pytest.mark.parametrize("path", ["data/none", "metadata/none"])
def test_deleting_nothing_is_no_error(world: World, path: str) -> None:
    """What is not there can be deleted."""
    assert world.delete(path) is None
    assert not world.rows.rows


@pytest.mark.parametrize("versions", ["1,3", ["1", 3], (1, 3)])
def test_named_versions_are_deleted_and_undeleted(world: World, versions: Any) -> None:
    """Each named version goes and comes back; unknown numbers are left out."""
    _write(world, "a", 1, 2, 3)
    world.write("delete/a", {"versions": versions})
    world.write("delete/a", {"versions": [0, -1, 99]})
    assert [_version(world, "a", number) for number in (1, 2, 3)] == [None, {"v": 2}, None]
    world.write("undelete/a", {"versions": versions})
    assert [_version(world, "a", number) for number in (1, 2, 3)] == [{"v": 1}, {"v": 2}, {"v": 3}]


def test_destroyed_data_is_gone_from_storage(world: World) -> None:
    """Destroying removes the row, keeps what is known, and cannot be undone."""
    _write(world, "a", 1, 2)
    rows = len(world.rows.rows)
    world.write("destroy/a", {"versions": [1, 1, 99]})
    assert len(world.rows.rows) == rows - 1
    world.write("undelete/a", {"versions": [1]})
    response = world.read("data/a", version=1)
    assert response is not None
    assert response.data is not None
    assert response.status == 404
    assert response.data["metadata"]["destroyed"] is True
    assert _version(world, "a", 2) == {"v": 2}


@pytest.mark.parametrize("verb", ["delete", "undelete", "destroy"])
def test_versions_of_nothing_are_no_error(world: World, verb: str) -> None:
    """Naming versions of a secret that is not there does nothing."""
    assert world.write(f"{verb}/none", {"versions": [1]}) is None
    assert not world.rows.rows


# -- limits in number and time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mount", "secret", "kept"), [(0, 0, 10), (3, 0, 3), (0, 2, 2), (3, 2, 3), (3, 5, 5), (1, 0, 1)])
def test_oldest_versions_are_pruned(world: World, mount: int, secret: int, kept: int) -> None:
    """The larger of both limits counts, ten where there is none; what is pruned is gone from storage."""
    world.write("config", {"max_versions": mount})
    world.write("metadata/a", {"max_versions": secret})
    _write(world, "a", *range(1, 13))
    known = world.data("metadata/a")
    assert [int(number) for number in known["versions"]] == list(range(13 - kept, 13))
    assert (known["oldest_version"], known["current_version"]) == (13 - kept, 12)
    assert sum("/versions/" in path for path in world.rows.rows) == kept
    assert world.read("data/a", version=12 - kept) is None


def test_oldest_version_is_told_once_all_places_are_taken(world: World) -> None:
    """The oldest version is zero while there is room, and never goes back."""
    world.write("metadata/a", {"max_versions": 3})
    told = []
    for number in range(5):
        _write(world, "a", number)
        told.append(world.data("metadata/a")["oldest_version"])
    assert told == [0, 0, 1, 2, 3]
    world.write("metadata/a", {"max_versions": 9})
    _write(world, "a", 6)
    assert world.data("metadata/a")["oldest_version"] == 3


def test_pruning_happens_on_the_next_write(world: World) -> None:
    """A lower limit takes nothing away by itself; a destroyed version is pruned like any other."""
    _write(world, "a", 1, 2, 3)
    assert world.data("metadata/a")["oldest_version"] == 0
    world.write("metadata/a", {"max_versions": 1})
    world.write("destroy/a", {"versions": [2]})
    assert len(world.data("metadata/a")["versions"]) == 3
    _write(world, "a", 4)
    assert list(world.data("metadata/a")["versions"]) == ["4"]
    assert sum("/versions/" in path for path in world.rows.rows) == 1


@pytest.mark.parametrize(
    ("mount", "secret", "hours"),
    [("2h", "0", 2), ("0", "1h", 1), ("2h", "1h", 1), ("2h", "3h", 2), ("0", "0", None), ("-1s", "1h", None), ("-1s", "0", None)],
)
def test_versions_are_deleted_by_age(world: World, mount: str, secret: str, hours: int | None) -> None:
    """The shorter of both ages counts, a mount can forbid it; nothing but time is needed for it to come."""
    world.write("config", {"delete_version_after": mount})
    world.write("metadata/a", {"delete_version_after": secret})
    _write(world, "a", 1)
    world.now_ns += (hours or 1000) * HOUR_NS - 1
    assert _version(world, "a", 1) == {"v": 1}
    world.now_ns += 1
    assert _version(world, "a", 1) == (None if hours else {"v": 1})


def test_undeleted_version_gets_its_age_anew(world: World) -> None:
    """An undeleted version lives as long as a new one; the present limit counts, not that of its beginning."""
    world.write("config", {"delete_version_after": "1h"})
    _write(world, "a", 1)
    world.now_ns += 2 * HOUR_NS
    world.write("config", {"delete_version_after": "10s"})
    world.write("undelete/a", {"versions": [1]})
    world.now_ns += 10 * SECOND_NS - 1
    assert _version(world, "a", 1) == {"v": 1}
    world.now_ns += 1
    assert _version(world, "a", 1) is None
    world.write("config", {"delete_version_after": "0s"})
    world.write("undelete/a", {"versions": [1]})
    world.now_ns += 1000 * HOUR_NS
    assert _version(world, "a", 1) == {"v": 1}


def test_deletion_that_lies_ahead_comes_now(world: World) -> None:
    """Deleting a version that has yet to age deletes it at once."""
    world.write("config", {"delete_version_after": "1h"})
    _write(world, "a", 1)
    world.delete("data/a")
    assert _version(world, "a", 1) is None
    assert world.data("metadata/a")["versions"]["1"]["deletion_time"] == "2023-11-14T22:13:20Z"
