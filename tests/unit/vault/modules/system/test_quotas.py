from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, RateLimited
from vault.logical.operation import Operation

PLACE = "sys/quotas/rate-limit"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, "'rate' is invalid"),
        ({"rate": 0}, "'rate' is invalid"),
        ({"rate": -1}, "'rate' is invalid"),
        ({"rate": "nan"}, "'rate' is invalid"),
        ({"rate": "inf"}, "'rate' is invalid"),
        ({"rate": 1e300}, "'rate' is invalid"),
        ({"rate": "x"}, "Field validation failed"),
        ({"rate": True}, "Field validation failed"),
        ({"rate": [1]}, "Field validation failed"),
        ({"rate": 1, "interval": -1}, "Field validation failed"),
        ({"rate": 1, "block_interval": "-1s"}, "Field validation failed"),
        ({"rate": 1, "path": "nosuch/x"}, 'invalid mount path "nosuch/x/"'),
        ({"rate": 1, "path": "sys", "role": "x"}, "not a valid auth method and therefore unsuitable"),
        ({"rate": 1, "type": "lease-count"}, "only quotas of the type rate-limit"),
        ({"rate": 1, "path": "sys/"}, 'quota rule with similar properties exists under the name "taken"'),
    ],
    ids=str,
)
def test_refused_quotas_say_why(world: World, fields: dict[str, Any], text: str) -> None:
    """A quota that means nothing, or that could not be kept, is not stored."""
    world.write(f"{PLACE}/taken", rate=1000, path="sys")
    with pytest.raises(InvalidRequest) as refusal:
        world.write(f"{PLACE}/q", **fields)
    assert text in str(refusal.value)
    assert world.list(PLACE) == ("taken",)


@pytest.mark.parametrize(
    ("path", "kept", "inheritable"),
    [("", "", True), ("sys", "sys/", False), ("/sys/mounts/", "sys/mounts", False), ("sys/*", "sys/*", False)],
)
def test_quota_is_read_as_it_was_written(world: World, path: str, kept: str, inheritable: bool) -> None:
    """A path has one spelling; numbers come back as numbers."""
    world.write(f"{PLACE}/q", rate="1000.5", path=path, interval="10s", block_interval=5)
    assert world.read(f"{PLACE}/q") == {
        "name": "q", "type": "rate-limit", "path": kept, "role": "", "rate": 1000.5, "interval": 10, "block_interval": 5,
        "inheritable": inheritable,
    }  # fmt: skip
    world.delete(f"{PLACE}/q")
    assert world.send(Operation.READ, f"{PLACE}/q", {}) is None
    world.delete(f"{PLACE}/q")


def test_config_is_replaced_as_a_whole(world: World) -> None:
    """What is not named is off, or empty."""
    assert "sys/health" in world.read("sys/quotas/config")["rate_limit_exempt_paths"]
    world.write("sys/quotas/config", rate_limit_exempt_paths=["/a/", "b/*"], enable_rate_limit_audit_logging=True)
    assert world.read("sys/quotas/config") == {
        "rate_limit_exempt_paths": ["a", "b/*"], "enable_rate_limit_audit_logging": True, "enable_rate_limit_response_headers": False,
    }  # fmt: skip
    world.write("sys/quotas/config")
    assert world.read("sys/quotas/config")["rate_limit_exempt_paths"] == []


def test_quotas_move_and_end_with_their_mount(world: World) -> None:
    """Moving a mount takes no limit away and gives no fresh window; the next mount of the same place is limited by nobody's old rules."""
    world.write("sys/mounts/old", type="kv")
    for name, place in {"mount": "old", "path": "old/a", "star": "old/b/*", "other": "sys"}.items():
        world.write(f"{PLACE}/{name}", rate=1, interval="1h", path=place)
    world.first.gate.admit("old/a", "192.0.2.1")
    move: dict[str, Any] = {"from": "old", "to": "new/place"}
    world.write("sys/remount", **move)
    assert {name: world.read(f"{PLACE}/{name}")["path"] for name in world.list(PLACE)} == {
        "mount": "new/place/", "path": "new/place/a", "star": "new/place/b/*", "other": "sys/",
    }  # fmt: skip
    with pytest.raises(RateLimited):
        world.first.gate.admit("new/place/a", "192.0.2.1")
    world.delete("sys/mounts/new/place")
    assert world.list(PLACE) == ("other",)
