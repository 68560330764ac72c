"""The versions of a secret: writing, reading, patching, deleting, destroying."""

from typing import Any

import pytest

from tests.unit.vault.modules.engines.world import World
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
