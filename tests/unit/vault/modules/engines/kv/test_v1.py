"""The unversioned engine."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.vault.modules.engines.world import MOUNT, World
from vault import limits
from vault.errors import InvalidRequest, UnsupportedOperation
from vault.logical import json
from vault.logical.mount import MountConfig
from vault.logical.operation import Operation
from vault.modules.engines.kv.backend import kv_v1


@pytest.fixture
def world() -> World:
    """Return a fresh unversioned mount."""
    return World(kv_v1())


def _seconds(world: World, path: str) -> int:
    response = world.read(path)
    assert response is not None
    assert response.lease is not None
    return response.lease.duration_seconds


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [
        ("a", {}, "missing data fields"),
        ("", {"a": 1}, "missing path"),
        ("a/", {"a": 1}, "cannot write to a path ending in '/'"),
    ],
)
def test_write_of_nothing_or_to_nowhere_is_refused(world: World, path: str, fields: dict[str, Any], message: str) -> None:
    """A secret has a name and at least one field."""
    with pytest.raises(InvalidRequest, match=f"^{message}$"):
        world.write(path, fields)
    assert not world.rows.rows


def test_patch_is_not_supported(world: World) -> None:
    """There is no version to patch."""
    with pytest.raises(UnsupportedOperation):
        world.patch("a", {"a": 1})


def test_write_replaces_what_was_there(world: World) -> None:
    """The last write is the secret; a field may have the name of an argument."""
    assert not world.exists("a")
    world.write("a", {"x": 1, "y": {"z": [None, True]}})
    world.write("a", {"path": "own", "after": 1})
    assert world.exists("a")
    assert world.data("a") == {"path": "own", "after": 1}


def test_numbers_come_back_as_they_were_written(world: World) -> None:
    """No digit is lost."""
    text = b'{"n":9007199254740993,"x":1.0,"y":1e3,"z":-0,"e":1e400}'
    world.write("a", json.decode_object(text))
    assert json.encode(World(kv_v1(), world.rows).data("a")) == text


def test_delete_is_no_error_twice(world: World) -> None:
    """What is not there can be deleted, folders as well."""
    world.write("a/b", {"x": 1})
    for path in ("a/b", "a/b", "a", "a/", ""):
        assert world.delete(path) is None
    assert world.read("a/b") is None


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"ttl": "90s"}, 90),
        ({"ttl": 90}, 90),
        ({"ttl": "2h", "lease": "1h"}, 7200),
        ({"lease": "1h"}, 3600),
        ({"ttl": "1d"}, 86400),
        ({"ttl": "500ms"}, 0),
        ({"ttl": ""}, 0),
        ({"ttl": None, "lease": "5m"}, 0),
        ({"ttl": "abc"}, limits.DEFAULT_LEASE_SECONDS),
        ({"ttl": "abc", "lease": "1h"}, limits.DEFAULT_LEASE_SECONDS),
        ({"ttl": [1]}, limits.DEFAULT_LEASE_SECONDS),
        ({"ttl": True}, limits.DEFAULT_LEASE_SECONDS),
        ({"ttl": -4}, limits.DEFAULT_LEASE_SECONDS),
        ({"ttl": "9999999h"}, limits.DEFAULT_LEASE_SECONDS),
        ({"v": 1}, limits.DEFAULT_LEASE_SECONDS),
    ],
)
def test_lease_duration_is_the_ttl_field(world: World, fields: dict[str, Any], seconds: int) -> None:
    """`ttl` counts, then `lease`; what is no duration means the mount's default."""
    world.write("a", fields)
    assert _seconds(world, "a") == seconds
    assert world.data("a") == fields


def test_default_lease_duration_is_that_of_the_mount(world: World) -> None:
    """A tuned mount gives its own default, also for what was cached before."""
    world.write("a", {"v": 1})
    _seconds(world, "a")
    world.mount = replace(MOUNT, config=MountConfig(default_lease_seconds=60))
    assert _seconds(world, "a") == 60


def test_list_and_scan_show_names(world: World) -> None:
    """A folder is listed alone, or with all below; listing is paged where the reference ignores it."""
    for path in ("a", "d", "d/e/f", "d/g", "da"):
        world.write(path, {"x": 1})
    assert world.list("") == ("a", "d", "d/", "da")
    assert world.list("d/") == ("e/", "g")
    assert world.list("", after="a", limit=2) == ("d", "d/")
    assert world.list("none/") == ()
    response = world.call(Operation.SCAN, "")
    assert response is not None
    assert response.data == {"keys": ["a", "d", "da", "d/g", "d/e/f"]}
    assert world.call(Operation.SCAN, "none/") is None


def test_cached_read_costs_no_round_trip(world: World) -> None:
    """A secret is served, parsed, from the worker's memory."""
    world.write("a", {"x": 1})
    first = world.data("a")
    before = world.rows.reads
    assert world.data("a") is first
    assert world.rows.reads == before
