"""Settings and listing of secrets."""

from typing import Any

import pytest

from tests.unit.vault.modules.engines.world import World
from vault.errors import InvalidRequest
from vault.logical.operation import Operation
from vault.modules.engines.kv.backend import kv_v2

REQUIRED = "metadata check-and-set parameter required for this call"
MISMATCH = "metadata check-and-set parameter does not match the current version"


@pytest.fixture
def world() -> World:
    """Return a fresh versioned mount."""
    return World(kv_v2())


def _custom(world: World, path: str = "metadata/a") -> Any:
    return world.data(path)["custom_metadata"]


@pytest.mark.parametrize(
    "fields",
    [
        {"max_versions": "x"},
        {"max_versions": -1},
        {"max_versions": 1.5},
        {"max_versions": [1]},
        {"delete_version_after": -1},
        {"delete_version_after": "-1h"},
        {"delete_version_after": "x"},
        {"delete_version_after": 1.5},
        {"cas_required": "x"},
        {"cas_required": [True]},
        {"custom_metadata": "x"},
        {"custom_metadata": ["a=b"]},
        {"custom_metadata": 5},
        {"metadata_cas": "x"},
        {"metadata_cas": 1.5},
    ],
)
def test_settings_are_typed(world: World, fields: dict[str, Any]) -> None:
    """A setting of the wrong type is refused by its name, in a write and in a patch."""
    world.write("metadata/a", {"max_versions": 1})
    for call in (world.write, world.patch):
        with pytest.raises(InvalidRequest, match=f"field .{next(iter(fields))}."):
            call("metadata/a", fields)
    assert world.data("metadata/a")["current_metadata_version"] == 1


def test_settings_are_written_before_any_version(world: World) -> None:
    """Metadata may come first; durations are shown as Go does."""
    world.write("metadata/a", {"custom_metadata": {"k": "v"}, "max_versions": 2, "delete_version_after": "1h", "cas_required": True})
    assert world.data("metadata/a") == {
        "cas_required": True,
        "created_time": "2023-11-14T22:13:20Z",
        "current_metadata_version": 1,
        "current_version": 0,
        "custom_metadata": {"k": "v"},
        "delete_version_after": "1h0m0s",
        "max_versions": 2,
        "metadata_cas_required": False,
        "oldest_version": 0,
        "updated_time": "2023-11-14T22:13:20Z",
        "versions": {},
    }
    assert world.read("data/a") is None


def test_write_changes_only_what_is_given(world: World) -> None:
    """Absent settings stay, null resets; a null duration counts as absent."""
    world.write("metadata/a", {"max_versions": 2, "cas_required": True, "delete_version_after": "1h", "custom_metadata": {"a": "b"}})
    world.now_ns += 10**9
    world.write("metadata/a", {"max_versions": None})
    known = world.data("metadata/a")
    assert (known["max_versions"], known["cas_required"], known["delete_version_after"]) == (0, True, "1h0m0s")
    assert (known["custom_metadata"], known["updated_time"]) == ({"a": "b"}, "2023-11-14T22:13:21Z")
    world.write("metadata/a", {"cas_required": None, "custom_metadata": None, "delete_version_after": None})
    known = world.data("metadata/a")
    assert (known["cas_required"], known["custom_metadata"], known["delete_version_after"]) == (False, None, "1h0m0s")
    world.write("metadata/a", {"delete_version_after": ""})
    assert world.data("metadata/a")["delete_version_after"] == "0s"


@pytest.mark.parametrize("fields", [{}, {"surplus": 1}, {"delete_version_after": None}, {"metadata_cas": 4}])
def test_write_of_nothing_changes_nothing(world: World, fields: dict[str, Any]) -> None:
    """No setting given: nothing is created, nothing is counted."""
    assert world.write("metadata/a", fields) is None
    assert world.patch("metadata/a", fields) is None
    assert world.read("metadata/a") is None
    world.write("metadata/a", {"max_versions": 1})
    world.write("metadata/a", fields)
    assert world.data("metadata/a")["current_metadata_version"] == 1


@pytest.mark.parametrize("value", [False, None])
def test_what_the_mount_mandates_cannot_be_waived(world: World, value: Any) -> None:
    """Asking less than the mount does is answered by a warning, and changes nothing in what is asked."""
    world.write("metadata/a", {"max_versions": 1})
    world.write("config", {"cas_required": True, "metadata_cas_required": True})
    fields = {"cas_required": value, "metadata_cas_required": value}
    for version, call in ((1, world.write), (2, world.patch)):
        response = call("metadata/a", {**fields, "metadata_cas": version})
        assert response is not None
        assert [warning.split(" set to false, but is mandated")[0] for warning in response.warnings] == [f'"{name}"' for name in fields]
    assert world.write("metadata/a", {"cas_required": True, "metadata_cas": 3}) is None
    with pytest.raises(InvalidRequest, match="check-and-set parameter required"):
        world.write("data/a", {"data": {}})


def test_data_writes_do_not_count_as_metadata(world: World) -> None:
    """The version of the metadata counts its own changes, and a secret shows its custom metadata with its data."""
    world.write("data/a", {"data": {}})
    assert world.data("metadata/a")["current_metadata_version"] == 0
    world.write("metadata/a", {"custom_metadata": {"k": "v"}})
    assert world.data("data/a")["metadata"]["custom_metadata"] == {"k": "v"}


# -- check-and-set --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cas", [0, 2, None, "", -1])
def test_metadata_cas_must_be_the_current_version(world: World, cas: Any) -> None:
    """Any other number changes nothing."""
    world.write("metadata/a", {"max_versions": 1, "metadata_cas": 0})
    for call in (world.write, world.patch):
        with pytest.raises(InvalidRequest, match=f"^{MISMATCH}$"):
            call("metadata/a", {"max_versions": 2, "metadata_cas": cas})
    world.patch("metadata/a", {"max_versions": 2, "metadata_cas": "1"})
    assert world.data("metadata/a")["max_versions"] == 2


def test_metadata_cas_of_new_metadata_is_zero(world: World) -> None:
    """Any other number creates nothing."""
    with pytest.raises(InvalidRequest, match=r"^metadata_cas must be 0 when creating new metadata$"):
        world.write("metadata/a", {"max_versions": 1, "metadata_cas": 1})


@pytest.mark.parametrize("place", ["config", "metadata/a"])
def test_metadata_cas_can_be_required(world: World, place: str) -> None:
    """Mount and secret can both ask for it."""
    world.write("metadata/a", {"max_versions": 1})
    world.write(place, {"metadata_cas_required": True})
    for call in (world.write, world.patch):
        with pytest.raises(InvalidRequest, match=f"^{REQUIRED}$"):
            call("metadata/a", {"max_versions": 2})
    world.write("metadata/a", {"max_versions": 2, "metadata_cas": world.data("metadata/a")["current_metadata_version"]})


# -- patch ----------------------------------------------------------------------------------------------------------------


def test_patch_of_missing_metadata_is_not_found(world: World) -> None:
    """A patch creates nothing."""
    response = world.patch("metadata/a", {"max_versions": 1})
    assert response is not None
    assert (response.status, response.body) == (404, b"")
    assert not world.rows.rows


def test_patch_merges_custom_metadata(world: World) -> None:
    """Null removes a pair, an empty patch nothing, a null patch all."""
    world.write("metadata/a", {"custom_metadata": {"k": "v", "l": "w"}, "max_versions": 3})
    world.patch("metadata/a", {"custom_metadata": {"k": None, "m": "x", "none": None}})
    assert _custom(world) == {"l": "w", "m": "x"}
    world.patch("metadata/a", {"custom_metadata": {}})
    assert _custom(world) == {"l": "w", "m": "x"}
    world.patch("metadata/a", {"custom_metadata": None})
    assert _custom(world) is None
    world.patch("metadata/a", {"max_versions": None})
    assert world.data("metadata/a")["max_versions"] == 0


# -- deleting -------------------------------------------------------------------------------------------------------------


def test_delete_removes_every_row_of_the_secret(world: World) -> None:
    """A deleted secret leaves nothing, its neighbours everything; a new one begins at one."""
    for path in ("a", "a/b", "ab"):
        world.write(f"data/{path}", {"data": {"p": path}})
        world.write(f"data/{path}", {"data": {"p": path}})
    world.write("destroy/a", {"versions": [1]})
    world.delete("metadata/a")
    assert not [path for path in world.rows.rows if path.endswith(("metadata/a", "versions/a/1", "versions/a/2"))]
    assert len(world.rows.rows) == 6
    response = world.write("data/a", {"data": {}})
    assert response is not None
    assert response.data is not None
    assert response.data["version"] == 1


# -- listing --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tree() -> World:
    """Return a mount with some folders."""
    world = World(kv_v2())
    for path in ("a", "a/x", "ab", "b", "d/e", "d/f/g", "d", "%", "_", "d/f/h/i"):
        world.write(f"data/{path}", {"data": {}})
    return world


def test_list_shows_one_folder(tree: World) -> None:
    """Names in byte order, folders with a slash, a name that is both twice; nothing of neighbours."""
    assert tree.list("metadata/") == ("%", "_", "a", "a/", "ab", "b", "d", "d/")
    assert tree.list("metadata/a/") == ("x",)
    assert tree.list("metadata/d") == ("e", "f/")
    assert tree.list("metadata/_/") == ()
    assert tree.call(Operation.LIST, "metadata/none/") is None


@pytest.mark.parametrize(
    ("fields", "names"),
    [
        ({"after": "a"}, ("a/", "ab", "b", "d", "d/")),
        ({"after": "a", "limit": "2"}, ("a/", "ab")),
        ({"after": "d/"}, ()),
        ({"limit": 1}, ("%",)),
        ({"limit": 0, "after": "b"}, ("d", "d/")),
        ({"limit": -1, "after": "b"}, ("d", "d/")),
        ({"limit": "", "after": "b"}, ("d", "d/")),
    ],
)
def test_list_can_be_paged(tree: World, fields: dict[str, Any], names: tuple[str, ...]) -> None:
    """A page begins after a name; no limit, zero and less mean all."""
    assert tree.list("metadata/", **fields) == names


def test_detailed_list_tells_what_is_known_of_each(tree: World) -> None:
    """Secrets come with their metadata, folders with nothing."""
    response = tree.call(Operation.LIST, "detailed-metadata/d/", {"limit": 2})
    assert response is not None
    assert response.data == {"keys": ["e", "f/"], "key_info": {"e": tree.data("metadata/d/e"), "f/": {}}}
    assert tree.call(Operation.LIST, "detailed-metadata/none/") is None


def test_scan_shows_all_below(tree: World) -> None:
    """A folder's own names come first, then its folders from last to first."""
    response = tree.call(Operation.SCAN, "metadata/")
    assert response is not None
    assert response.data == {"keys": ["%", "_", "a", "ab", "b", "d", "d/e", "d/f/g", "d/f/h/i", "a/x"]}
    detailed = tree.call(Operation.SCAN, "detailed-metadata/d/")
    assert detailed is not None
    assert detailed.data is not None
    assert detailed.data["keys"] == ["e", "f/g", "f/h/i"]
    assert detailed.data["key_info"]["f/g"] == tree.data("metadata/d/f/g")
