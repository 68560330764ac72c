"""Settings of a versioned mount."""

from typing import Any

import pytest

from tests.unit.vault.modules.engines.world import World
from vault.errors import InvalidRequest, UnsupportedOperation
from vault.logical.operation import Operation
from vault.modules.engines.kv.backend import kv_v2
from vault.modules.engines.kv.config import format_go_duration

DEFAULT = {"cas_required": False, "delete_version_after": "0s", "max_versions": 0, "metadata_cas_required": False}


@pytest.fixture
def world() -> World:
    """Return a fresh versioned mount."""
    return World(kv_v2())


@pytest.mark.parametrize(
    "fields",
    [
        {"max_versions": "x"},
        {"max_versions": -1},
        {"max_versions": {"a": 1}},
        {"max_versions": 2**63},
        {"cas_required": "x"},
        {"cas_required": [1]},
        {"delete_version_after": "x"},
        {"delete_version_after": [1]},
        {"metadata_cas_required": {}},
    ],
)
def test_config_is_typed(world: World, fields: dict[str, Any]) -> None:
    """A setting of the wrong type is refused by its name."""
    with pytest.raises(InvalidRequest, match=f"field .{next(iter(fields))}."):
        world.write("config", fields)
    assert world.data("config") == DEFAULT


def test_config_changes_only_what_is_given(world: World) -> None:
    """Absent settings stay, null resets, a null duration counts as absent, unknown fields write nothing."""
    world.write("config", {"surplus": 1})
    assert not world.rows.rows
    world.write("config", {"max_versions": "3", "cas_required": "true", "delete_version_after": "90m"})
    world.write("config", {"metadata_cas_required": 1, "delete_version_after": None})
    assert world.data("config") == {
        "cas_required": True,
        "delete_version_after": "1h30m0s",
        "max_versions": 3,
        "metadata_cas_required": True,
    }
    world.write("config", {"max_versions": None, "cas_required": None, "metadata_cas_required": None, "delete_version_after": ""})
    assert world.data("config") == DEFAULT


@pytest.mark.parametrize("duration", [-1, "-1h"])
def test_negative_age_is_shown_as_one_second(world: World, duration: Any) -> None:
    """How negative it is does not matter."""
    world.write("config", {"delete_version_after": duration})
    assert world.data("config")["delete_version_after"] == "-1s"


@pytest.mark.parametrize("operation", [Operation.PATCH, Operation.DELETE])
def test_config_is_read_and_written_only(world: World, operation: Operation) -> None:
    """There is nothing to patch or delete."""
    with pytest.raises(UnsupportedOperation):
        world.call(operation, "config", {})


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (59, "59s"), (60, "1m0s"), (3600, "1h0m0s"), (90061, "25h1m1s"), (-1, "-1s"), (-3600, "-1h0m0s")]
)
def test_durations_are_printed_as_go_does(seconds: int, text: str) -> None:
    """Smaller units follow the largest, zeros too."""
    assert format_go_duration(seconds) == text
