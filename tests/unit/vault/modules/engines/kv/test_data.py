"""The versions of a secret: writing, reading, patching, deleting, destroying."""

from typing import Any

import pytest

from tests.unit.vault.modules.engines.world import HOUR_NS, SECOND_NS, World
from vault import limits
from vault.errors import InvalidRequest, NotFound, TooLarge
from vault.logical import json
from vault.modules.engines.kv.backend import kv_v2
from vault.modules.engines.kv.layout import version_row

REQUIRED = "check-and-set parameter required for this call"
MISMATCH = "check-and-set parameter did not match the current version"


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


# -- refusals ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{}, {"x": 1}, {"options": {"cas": "x"}}])
def test_write_without_data_is_refused(world: World, fields: dict[str, Any]) -> None:
    """No data is a refusal, before anything else is looked at; for a patch as well."""
    for call in (world.write, world.patch):
        with pytest.raises(InvalidRequest, match=r"^no data provided$"):
            call("data/a", fields)


@pytest.mark.parametrize("data", ["x", 5, ["a"], [1], True])
def test_write_of_no_object_is_refused_without_echo(world: World, data: Any) -> None:
    """Data that is no object is refused, and the refusal does not hold it."""
    with pytest.raises(InvalidRequest, match=r"error converting input for field .data.: expected an object$"):
        world.write("data/a", {"data": data})


@pytest.mark.parametrize("path", ["data/", "data/a/"])
def test_write_to_a_folder_is_refused(world: World, path: str) -> None:
    """A secret never has the name of a folder."""
    with pytest.raises(InvalidRequest, match="cannot write to a path ending in '/'"):
        world.write(path, {"data": {}})


@pytest.mark.parametrize("cas", ["x", 1.5, "1.5", [1], [], {"a": 1}, True, 2**63])
def test_cas_that_is_no_number_is_refused(world: World, cas: Any) -> None:
    """A check-and-set parameter must be a whole number."""
    with pytest.raises(InvalidRequest, match=r"^error parsing check-and-set parameter$"):
        world.write("data/a", {"data": {}, "options": {"cas": cas}})


@pytest.mark.parametrize("cas", [0, 1, 3, "1", None, "", -1])
def test_cas_must_be_the_current_version(world: World, cas: Any) -> None:
    """Any number but that of the current version changes nothing; null and empty text are zero."""
    _write(world, "a", 1, 2)
    for call in (world.write, world.patch):
        with pytest.raises(InvalidRequest, match=f"^{MISMATCH}$"):
            call("data/a", {"data": {}, "options": {"cas": cas}})
    assert world.data("metadata/a")["current_version"] == 2


def test_cas_zero_means_that_no_version_exists(world: World) -> None:
    """Zero creates, also where only metadata exists, and never replaces: not even what is deleted."""
    world.write("metadata/a", {"max_versions": 3})
    world.write("data/a", {"data": {}, "options": {"cas": 0}})
    world.delete("data/a")
    with pytest.raises(InvalidRequest, match=MISMATCH):
        world.write("data/a", {"data": {}, "options": {"cas": 0}})


@pytest.mark.parametrize("place", ["config", "metadata/a"])
def test_cas_can_be_required(world: World, place: str) -> None:
    """Mount and secret can both ask that every write names the version it replaces."""
    world.write(place, {"cas_required": True})
    with pytest.raises(InvalidRequest, match=f"^{REQUIRED}$"):
        world.write("data/a", {"data": {}})
    world.write("data/a", {"data": {}, "options": {"cas": "0"}})
    with pytest.raises(InvalidRequest, match=f"^{REQUIRED}$"):
        world.patch("data/a", {"data": {}})


@pytest.mark.parametrize(("verb", "message"), [("delete", "No"), ("undelete", "No"), ("destroy", "no")])
@pytest.mark.parametrize("fields", [{}, {"versions": None}, {"versions": []}, {"versions": ""}])
def test_versions_must_be_named(world: World, verb: str, message: str, fields: dict[str, Any]) -> None:
    """Nothing named is a refusal, not everything."""
    _write(world, "a", 1)
    with pytest.raises(InvalidRequest, match=f"^{message} version number provided$"):
        world.write(f"{verb}/a", fields)
    assert _version(world, "a", 1) == {"v": 1}


@pytest.mark.parametrize("version", ["x", "1.5", -1, ["1", "2"], "true"])
def test_version_that_is_no_number_is_refused(world: World, version: Any) -> None:
    """A version is a whole number that is not negative."""
    with pytest.raises(InvalidRequest, match=r"field .version."):
        world.read("data/a", version=version)


# -- writing and reading --------------------------------------------------------------------------------------------------


def test_write_answers_the_new_version(world: World) -> None:
    """A write answers number, time and what is known of the version, not the data."""
    response = world.write("data/a", {"data": {"k": "v"}})
    assert response is not None
    assert response.data == {
        "created_time": "2023-11-14T22:13:20Z",
        "custom_metadata": None,
        "deletion_time": "",
        "destroyed": False,
        "version": 1,
    }
    assert world.data("data/a") == {"data": {"k": "v"}, "metadata": response.data}


def test_every_version_can_be_read(world: World) -> None:
    """Versions count from one; zero and nothing mean the current one, unknown ones are not there."""
    _write(world, "a", "one", "two")
    assert [_version(world, "a", number) for number in (1, 2, 0, 3)] == [{"v": "one"}, {"v": "two"}, {"v": "two"}, None]
    assert world.read("data/a", version=3) is None
    assert world.read("data/b") is None


@pytest.mark.parametrize(("sent", "kept"), [(None, None), ([], {}), ({}, {}), ({"a": None}, {"a": None})])
def test_empty_data_is_kept(world: World, sent: Any, kept: Any) -> None:
    """Null and nothing are data; an empty list is an empty object."""
    world.write("data/a", {"data": sent})
    assert world.data("data/a")["data"] == kept


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1e400}',
        b'{"a":9007199254740993,"b":-0.0,"c":1.10,"d":1E3,"e":-0,"f":1.0}',
        b'{"a":123456789012345678901234567890,"":0.1000}',
        '{"b":"<&>\u2028é","a":[[],{},null,true,false]}'.encode(),
    ],
)
def test_values_come_back_as_they_were_written(world: World, text: bytes) -> None:
    """Numbers keep their digits, names their order, text its characters."""
    world.write("data/a", {"data": json.decode(text)})
    assert json.encode(World(kv_v2(), world.rows).data("data/a")["data"]) == text


def test_names_that_look_like_rows_do_not_meet(world: World) -> None:
    """`a`, `a/1` and `a/1/1` are three secrets."""
    for path in ("a", "a/1", "a/1/1", "a/b"):
        _write(world, path, path)
    world.delete("metadata/a")
    assert world.read("data/a") is None
    assert [_version(world, path, 1) for path in ("a/1", "a/1/1", "a/b")] == [{"v": "a/1"}, {"v": "a/1/1"}, {"v": "a/b"}]


def test_existence_is_that_of_the_metadata(world: World) -> None:
    """A write is a create only where nothing at all is known."""
    assert not world.exists("data/a")
    world.write("metadata/a", {"max_versions": 1})
    assert world.exists("data/a")
    world.write("data/a", {"data": {}})
    world.delete("data/a")
    assert world.exists("data/a")
    world.delete("metadata/a")
    assert not world.exists("data/a")


def test_version_removed_since_its_record_was_read_is_not_found(world: World) -> None:
    """A reader that comes between another worker's commit and its own second read gets no half answer."""
    _write(world, "a", 1)
    world.view(lambda view: view.delete(version_row("a", 1)))
    with pytest.raises(NotFound):
        world.read("data/a")


def test_cached_read_costs_no_round_trip(world: World) -> None:
    """Record and version are served, parsed, from the worker's memory."""
    _write(world, "a", 1)
    reader = world.worker()
    first = reader.data("data/a")["data"]
    before = world.rows.reads
    assert reader.data("data/a")["data"] is first
    assert world.rows.reads == before


def test_write_commits_once(world: World) -> None:
    """A version and its record become visible together."""
    _write(world, "a", 1)
    before = (world.rows.commits, world.rows.reads)
    _write(world, "a", 2)
    assert (world.rows.commits, world.rows.reads) == (before[0] + 1, before[1])


# -- patching -------------------------------------------------------------------------------------------------------------


def test_patch_merges_into_the_current_version(world: World) -> None:
    """A patch makes a new version and leaves the old one as it was."""
    world.write("data/a", {"data": {"x": 1, "m": {"k": "v", "l": [1]}}})
    response = world.patch("data/a", {"data": {"x": None, "m": {"k": None, "n": 2}}, "options": {"cas": 1}})
    assert response is not None
    assert response.data is not None
    assert response.data["version"] == 2
    assert world.data("data/a")["data"] == {"m": {"l": [1], "n": 2}}
    assert _version(world, "a", 1) == {"x": 1, "m": {"k": "v", "l": [1]}}


def test_patch_needs_a_secret(world: World) -> None:
    """Nothing there, or only metadata: Vault's 404 without a body."""
    world.write("metadata/b", {"max_versions": 1})
    for path, options in (("data/a", {"cas": "x"}), ("data/b", {})):
        response = world.patch(path, {"data": {"a": 1}, "options": options})
        assert response is not None
        assert (response.status, response.body) == (404, b"")
    assert world.list("metadata/") == ("b",)


@pytest.mark.parametrize("verb", ["delete", "destroy"])
def test_patch_needs_a_version_that_is_not_gone(world: World, verb: str) -> None:
    """A patch of what is gone answers 404 with what is known of it, and writes nothing."""
    _write(world, "a", 1)
    world.write(f"{verb}/a", {"versions": [1]})
    response = world.patch("data/a", {"data": {"a": 1}, "options": {"cas": 1}})
    assert response is not None
    assert response.status == 404
    assert response.data is not None
    assert response.data["version"] == 1
    assert world.data("metadata/a")["current_version"] == 1
    with pytest.raises(InvalidRequest, match=MISMATCH):
        world.patch("data/a", {"data": {"a": 1}, "options": {"cas": 0}})


def test_patch_by_null_replaces_all(world: World) -> None:
    """A null patch makes the data null, and null data cannot be patched."""
    _write(world, "a", 1)
    world.patch("data/a", {"data": None})
    assert world.data("data/a")["data"] is None
    response = world.patch("data/a", {"data": {"a": 1}})
    assert response is not None
    assert response.status == 404


def test_patches_do_not_outgrow_the_limits(world: World) -> None:
    """What a body may not hold cannot be pieced together: it could be stored, but never read again."""
    half = limits.JSON_MEMBERS_MAX * 2 // 3
    world.write("data/a", {"data": {f"a{number}": 1 for number in range(half)}})
    with pytest.raises(InvalidRequest, match="too many members"):
        world.patch("data/a", {"data": {f"b{number}": 1 for number in range(half)}})
    world.write("data/b", {"data": {"a": "x" * (limits.BODY_BYTES_MAX * 2 // 3)}})
    with pytest.raises(TooLarge):
        world.patch("data/b", {"data": {"b": "x" * (limits.BODY_BYTES_MAX * 2 // 3)}})
    assert world.data("metadata/b")["current_version"] == 1


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


# -- subkeys --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "shown"),
    [
        (0, {"a": None, "b": {"c": {"d": None}, "e": None}, "f": None}),
        (1, {"a": None, "b": None, "f": None}),
        (2, {"a": None, "b": {"c": None, "e": None}, "f": None}),
        ("", {"a": None, "b": {"c": {"d": None}, "e": None}, "f": None}),
    ],
)
def test_subkeys_show_names_without_values(world: World, depth: Any, shown: Any) -> None:
    """Lists and empty objects are leaves; depth counts levels of names."""
    world.write("data/a", {"data": {"a": 1, "b": {"c": {"d": "secret"}, "e": []}, "f": {}}})
    assert world.data("subkeys/a", depth=depth)["subkeys"] == shown


@pytest.mark.parametrize(("data", "shown"), [({}, {}), (None, None)])
def test_subkeys_of_nothing(world: World, data: Any, shown: Any) -> None:
    """No names are an empty object; null has none at all."""
    world.write("data/a", {"data": data})
    assert world.data("subkeys/a")["subkeys"] == shown
    assert world.read("subkeys/a", version=2) is None
    assert world.read("subkeys/none") is None
