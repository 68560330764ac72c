"""The tables of the key-value engine."""

import pytest

from tests.unit.vault.modules.engines.world import World
from vault.errors import InvalidRequest, UnsupportedOperation
from vault.logical.operation import Operation
from vault.modules.engines.kv.backend import VERSIONS, backend, kv_v1, kv_v2

ROOT = "Non-listing operations on the root of a K/V v2 mount are not supported."
WRITES = (Operation.UPDATE, Operation.PATCH)


@pytest.fixture
def world() -> World:
    """Return a fresh versioned mount."""
    return World(kv_v2())


@pytest.mark.parametrize("options", [{"version": "3"}, {"version": "02"}, {"version": "v2"}])
def test_unknown_version_is_refused(options: dict[str, str]) -> None:
    """A mount has version 1 or 2."""
    with pytest.raises(InvalidRequest):
        backend(options)


def test_version_is_an_option_of_the_mount() -> None:
    """No option, or none of that name, is the unversioned engine."""
    assert backend({"version": "2"}) is VERSIONS["2"]
    for options in (None, {}, {"other": "2"}, {"version": "1"}, {"version": ""}):
        assert len(backend(options).paths) == len(kv_v1().paths)


def test_every_path_has_help_and_needs_a_token() -> None:
    """Nothing here is public, needs sudo or answers while sealed."""
    for version in VERSIONS.values():
        for row in version.paths:
            assert row.help.endswith(".")
            assert not any(endpoint.public or endpoint.sealed or endpoint.sudo for endpoint in row.operations.values())


@pytest.mark.parametrize("path", ["a", "", "nosuch/a", "config/", "config/x", "subkeys", "detailed-metadata", "dataa", "data.x/y"])
@pytest.mark.parametrize(
    ("operation", "verb"),
    [
        (Operation.READ, "get"),
        (Operation.UPDATE, "put"),
        (Operation.PATCH, "patch"),
        (Operation.DELETE, "delete"),
        (Operation.LIST, "list"),
        (Operation.SCAN, "scan"),
    ],
)
def test_unversioned_use_is_told_the_way(world: World, path: str, operation: Operation, verb: str) -> None:
    """Any other path is a 404 with a hint, and stores nothing."""
    response = world.call(operation, path, {"x": 1})
    assert response is not None
    assert (response.status, response.data) == (404, None)
    assert response.warnings[0].startswith("Invalid path for a versioned K/V secrets engine.")
    assert f"'vault kv {verb}'" in response.warnings[0]
    assert not world.rows.rows


@pytest.mark.parametrize("path", ["data", "metadata", "delete", "undelete", "destroy"])
@pytest.mark.parametrize("operation", [Operation.READ, Operation.UPDATE, Operation.PATCH, Operation.DELETE])
def test_bare_folders_are_a_404_with_a_warning(world: World, path: str, operation: Operation) -> None:
    """A folder's name without its slash is no secret."""
    response = world.call(operation, path, {"data": {}, "versions": [1]})
    assert response is not None
    assert (response.status, response.data, response.warnings) == (404, None, (ROOT,))


@pytest.mark.parametrize("path", ["data/", "metadata/", "subkeys/"])
def test_nothing_is_stored_at_the_root(world: World, path: str) -> None:
    """The empty name is never there, and deleting it removes nothing."""
    world.write("data/a", {"data": {}})
    assert world.read(path) is None
    if path != "subkeys/":
        assert world.delete(path) is None
    assert world.list("metadata/") == ("a",)


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("data/a", Operation.LIST),
        ("subkeys/a", Operation.LIST),
        ("subkeys/a", Operation.UPDATE),
        ("subkeys/a", Operation.PATCH),
        ("delete/a", Operation.READ),
        ("undelete/a", Operation.DELETE),
        ("destroy/a", Operation.LIST),
        ("detailed-metadata/a", Operation.READ),
        ("detailed-metadata/a", Operation.DELETE),
        ("config", Operation.PATCH),
        ("config", Operation.DELETE),
    ],
)
def test_other_operations_are_not_supported(world: World, path: str, operation: Operation) -> None:
    """A path does what its row says, nothing else."""
    with pytest.raises(UnsupportedOperation):
        world.call(operation, path, {})


def test_each_right_reaches_its_own_effect_only(world: World) -> None:
    """Deleting data, deleting versions, destroying and deleting metadata are four paths, so four rights: none does more than its own."""
    for path in ("a", "b", "c", "d"):
        world.write(f"data/{path}", {"data": {"x": 1}})
    world.delete("data/a")
    world.write("delete/b", {"versions": [1]})
    world.write("destroy/c", {"versions": [1]})
    world.delete("metadata/d")
    assert world.list("metadata/") == ("a", "b", "c")
    states = {path: world.data(f"metadata/{path}")["versions"]["1"] for path in ("a", "b", "c")}
    assert [state["destroyed"] for state in states.values()] == [False, False, True]
    assert [bool(state["deletion_time"]) for state in states.values()] == [True, True, False]
    assert sum("/versions/" in path for path in world.rows.rows) == 2
