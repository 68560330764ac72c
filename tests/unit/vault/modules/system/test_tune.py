"""Tuning a mount that is in use."""

from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest

PLACE = "sys/mounts/m/tune"
_TUNES: dict[str, Any] = {"description": "x", "default_lease_ttl": "1h", "options": {}, "listing_visibility": "unauth"}


@pytest.fixture
def mounted(world: World) -> World:
    """Return a server with an unversioned key-value mount."""
    world.write("sys/mounts/m", type="kv", options={"version": "1"})
    return world


@pytest.mark.parametrize("name", ["default_lease_ttl", "max_lease_ttl"])
@pytest.mark.parametrize("value", ["abc", "-5", -5, 1.5, "1.5", [1], {"a": 1}, True, "9999999999h", "1e3", 2**63 - 1])
def test_tune_refuses_bad_durations(mounted: World, name: str, value: Any) -> None:
    """What is no duration is refused, and nothing changes."""
    before = mounted.read(PLACE)
    with pytest.raises(InvalidRequest):
        mounted.write(PLACE, description="changed", **{name: value})
    assert mounted.read(PLACE) == before


@pytest.mark.parametrize("value", [0, "0", "system"])
def test_system_gives_lease_times_back(mounted: World, value: Any) -> None:
    """Zero and the word mean the server's own."""
    mounted.write(PLACE, default_lease_ttl="1h", max_lease_ttl="2h")
    mounted.write(PLACE, default_lease_ttl="")
    assert mounted.read(PLACE)["default_lease_ttl"] == 3600
    mounted.write(PLACE, default_lease_ttl=value, max_lease_ttl=value)
    assert (mounted.read(PLACE)["default_lease_ttl"], mounted.read(PLACE)["max_lease_ttl"]) == (2764800, 2764800)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"default_lease_ttl": "3h"}, "backend max lease TTL of 7200 would be less than backend default lease TTL of 10800"),
        ({"max_lease_ttl": "30m"}, "backend max lease TTL of 1800 would be less than backend default lease TTL of 3600"),
        ({"listing_visibility": "x"}, "invalid listing_visibility x"),
        ({"token_type": "batch"}, "'token_type' can only be modified on auth mounts"),
        ({"options": {"version": "9"}}, "invalid version provided: 9"),
        ({"user_lockout_config": {"x": 1}}, 'tuning of user lockout configuration for auth type "kv" not allowed'),
        ({"plugin_version": "v1"}, "cannot select non-builtin version"),
    ],
    ids=str,
)
def test_tune_refuses(mounted: World, fields: dict[str, Any], text: str) -> None:
    """A refused tune says why."""
    mounted.write(PLACE, default_lease_ttl="1h", max_lease_ttl="2h")
    with pytest.raises(InvalidRequest) as refusal:
        mounted.write(PLACE, **fields)
    assert text in str(refusal.value)


def test_lists_are_set_and_emptied(mounted: World) -> None:
    """Lists come back as lists; an empty one takes them away."""
    mounted.write(PLACE, audit_non_hmac_request_keys=["a", "b"], passthrough_request_headers="X-A")
    tuned = mounted.read(PLACE)
    assert (tuned["audit_non_hmac_request_keys"], tuned["passthrough_request_headers"]) == (["a", "b"], ["X-A"])
    assert mounted.read("sys/mounts/m")["config"]["audit_non_hmac_request_keys"] == ["a", "b"]
    mounted.write(PLACE, audit_non_hmac_request_keys=[], passthrough_request_headers="")
    assert not {"audit_non_hmac_request_keys", "passthrough_request_headers"} & mounted.read(PLACE).keys()


def test_missing_mounts_have_their_own_words(world: World) -> None:
    """Reading and tuning a mount that is not there are told apart."""
    with pytest.raises(InvalidRequest, match='cannot fetch sysview for path "nosuch/"'):
        world.read("sys/mounts/nosuch/tune")
    with pytest.raises(InvalidRequest, match='tune of path "nosuch/" failed: no mount entry found'):
        world.write("sys/mounts/nosuch/tune", description="x")
    with pytest.raises(InvalidRequest, match='cannot fetch sysview for path "auth/nosuch/"'):
        world.read("sys/auth/nosuch/tune")


@pytest.mark.parametrize("place", ["sys", "cubbyhole", "identity"])
def test_built_in_mounts_are_hardly_tuned(world: World, place: str) -> None:
    """Only what audit shows, and caching, can be changed there."""
    for name, value in _TUNES.items():
        with pytest.raises(InvalidRequest, match=f"cannot tune parameter {name} of {place}/"):
            world.write(f"sys/mounts/{place}/tune", **{name: value})
    world.write(f"sys/mounts/{place}/tune", audit_non_hmac_request_keys="a")
    assert world.read(f"sys/mounts/{place}/tune")["audit_non_hmac_request_keys"] == ["a"]


def test_token_method_is_tuned_at_both_addresses(world: World) -> None:
    """The settings of an auth method are the same under sys/auth and sys/mounts/auth."""
    world.write("sys/auth/token/tune", description="x", max_lease_ttl="1h")
    assert world.read("sys/auth/token/tune") == world.read("sys/mounts/auth/token/tune")
    assert world.read("sys/auth/token/tune")["max_lease_ttl"] == 3600
    with pytest.raises(InvalidRequest, match="'token_type' cannot be set for"):
        world.write("sys/auth/token/tune", token_type="batch")


def test_upgrade_moves_secrets_to_the_versioned_layout(mounted: World) -> None:
    """After version 2 the secrets are there with one version; there is no way back."""
    for number in range(3):
        mounted.write(f"m/s{number}", k=number)
    answer = mounted.write(PLACE, options={"version": "2"})
    assert answer.warnings[0].startswith("Upgrading mount from version 1")
    assert mounted.read("m/data/s2", worker=mounted.worker())["data"] == {"k": 2}
    assert mounted.read(PLACE)["options"] == {"version": "2"}
    with pytest.raises(InvalidRequest, match="cannot downgrade mount from version 2"):
        mounted.write(PLACE, options={"version": "1"})
    assert mounted.write(PLACE, options={"version": "2"}) is None


def test_mount_of_the_first_name_is_upgraded_too(mounted: World) -> None:
    """`generic` is kv without versions until it is tuned, and keeps its name."""
    mounted.write("sys/mounts/old", type="generic")
    mounted.write("old/s", k=1)
    mounted.write("sys/mounts/old/tune", options={"version": "2"})
    assert mounted.read("old/data/s")["data"] == {"k": 1}
    assert mounted.read("sys/mounts/old")["type"] == "generic"
    with pytest.raises(InvalidRequest, match="cannot downgrade mount from version 2"):
        mounted.write("sys/mounts/old/tune", options={"version": "1"})


def test_tune_holds_on_every_worker(mounted: World) -> None:
    """What one worker acknowledged, the next request of another sees."""
    other = mounted.worker()
    assert mounted.read(PLACE, worker=other)["description"] == ""
    mounted.write(PLACE, description="changed")
    assert mounted.read(PLACE, worker=other)["description"] == "changed"
