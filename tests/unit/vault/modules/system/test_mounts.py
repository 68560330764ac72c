"""Mounts: beginning, end, listings."""

from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import DeniedByPolicy, InvalidRequest, UnsupportedPath
from vault.logical.operation import Operation

REFUSALS: list[Any] = [
    *(
        (place, {"type": "kv"}, f'cannot mount "{place}/"')
        for place in ("sys", "sys/x", "auth", "auth/x", "cubbyhole/x", "identity", "audit")
    ),
    ("bad", {}, "backend type must be specified as a string"),
    ("bad", {"type": "nosuch"}, "plugin not found in the catalog: nosuch"),
    ("bad", {"type": 5}, "plugin not found in the catalog: 5"),
    *(("bad", {"type": kind}, f'mount type of "{kind}" is not mountable') for kind in ("system", "token", "cubbyhole", "identity")),
    ("bad", {"type": "kv", "options": {"version": "9"}}, "invalid version provided: 9"),
    ("bad", {"type": "generic", "options": {"version": "1"}}, 'secrets engine "generic" does not allow setting a version'),
    ("bad", {"type": "kv", "options": "x"}, "options"),
    ("bad", {"type": "kv", "config": "x"}, "config"),
    ("bad", {"type": "kv", "local": "x"}, "local"),
    ("bad", {"type": "kv", "plugin_version": "v1"}, "cannot select non-builtin version of secrets plugin kv"),
    ("bad", {"type": "kv", "config": {"default_lease_ttl": "2h", "max_lease_ttl": "1h"}}, "given default lease TTL greater than given max"),
    ("bad", {"type": "kv", "config": {"default_lease_ttl": "9999h"}}, "greater than system max lease TTL of 2764800"),
    ("bad", {"type": "kv", "config": {"default_lease_ttl": "abc"}}, 'unable to parse default TTL of abc: time: invalid duration "abc"'),
    ("bad", {"type": "kv", "config": {"max_lease_ttl": -5}}, "unable to parse max TTL of -5"),
    ("bad", {"type": "kv", "config": {"max_lease_ttl": True}}, "unable to parse max TTL"),
    ("bad", {"type": "kv", "config": {"max_lease_ttl": [1]}}, "unable to convert given mount config information"),
    ("bad", {"type": "kv", "config": {"force_no_cache": "x"}}, "unable to convert given mount config information"),
    ("bad", {"type": "kv", "config": {"audit_non_hmac_request_keys": 5}}, "unable to convert given mount config information"),
    ("bad", {"type": "kv", "config": {"listing_visibility": "x"}}, "invalid listing_visibility x"),
]


@pytest.mark.parametrize(("place", "fields", "text"), REFUSALS, ids=str)
def test_mount_refuses(world: World, place: str, fields: dict[str, Any], text: str) -> None:
    """A refused mount says why and leaves nothing."""
    before = world.read("sys/mounts")
    with pytest.raises(InvalidRequest) as refusal:
        world.write(f"sys/mounts/{place}", **fields)
    assert text in str(refusal.value)
    assert world.read("sys/mounts") == before


@pytest.mark.parametrize(("place", "other"), [("a", "a"), ("a", "a/b"), ("a/b", "a")])
def test_mounts_cannot_nest(world: World, place: str, other: str) -> None:
    """One mount neither shadows nor holds another."""
    world.write(f"sys/mounts/{place}", type="kv")
    with pytest.raises(InvalidRequest, match=f"path is already in use at {place}/"):
        world.write(f"sys/mounts/{other}", type="kv")


def test_mount_is_described(world: World) -> None:
    """A mount shows what it was made with; the alias kv-v2 is kv with an option."""
    world.write(
        "sys/mounts/a/b", type="kv-v2", description="mine", local=True,
        config={"default_lease_ttl": "1h", "audit_non_hmac_request_keys": "x,y", "listing_visibility": "unauth"},
    )  # fmt: skip
    entry = world.read("sys/mounts/a/b")
    assert entry == world.read("sys/mounts")["a/b/"]
    assert (entry["type"], entry["options"], entry["local"], entry["description"]) == ("kv", {"version": "2"}, True, "mine")
    assert entry["config"] == {
        "default_lease_ttl": 3600, "max_lease_ttl": 0, "force_no_cache": False, "audit_non_hmac_request_keys": ["x", "y"],
        "listing_visibility": "unauth",
    }  # fmt: skip
    assert entry["deprecation_status"] == "supported"
    assert world.read("sys/mounts")["sys/"]["options"] is None
    with pytest.raises(InvalidRequest, match="No secret engine mount at nosuch/"):
        world.read("sys/mounts/nosuch")


def test_empty_name_is_no_mount(world: World) -> None:
    """The folder of the mounts is not a mount."""
    with pytest.raises(InvalidRequest):
        world.write("sys/auth//", type="userpass")


@pytest.mark.parametrize("place", ["sys", "cubbyhole", "identity", "auth/token", "auth/x"])
def test_built_in_mounts_stay(world: World, place: str) -> None:
    """What is built in cannot be unmounted."""
    with pytest.raises(InvalidRequest, match=f'cannot unmount "{place}/"'):
        world.delete(f"sys/mounts/{place}")


def test_unmount_destroys_data_and_leases(world: World) -> None:
    """After the answer the path is free, its data and leases are gone, on every worker."""
    other = world.worker()
    world.write("sys/mounts/m", type="kv")
    world.write("m/a", k="v")
    token = world.issue("default", path="m/login")
    assert world.read("m/a", worker=other) == {"k": "v"}
    uuid = world.read("sys/mounts/m")["uuid"]
    assert world.delete("sys/mounts/m") is None
    with pytest.raises(UnsupportedPath):
        world.read("m/a", worker=other)
    assert not [path for path in world.rows.rows if uuid in path]
    with pytest.raises(Exception, match="permission denied"):
        world.read("auth/token/lookup-self", token=token, worker=other)
    assert world.delete("sys/mounts/m") is None
    world.write("sys/mounts/m", type="kv")
    assert world.read("sys/mounts/m")["uuid"] != uuid


def test_closed_mount_is_hidden_until_it_is_gone(world: World) -> None:
    """A mount whose removal was interrupted is not listed, not read, and finished by whoever comes next."""
    world.write("sys/mounts/m", type="kv")
    closed = world.first.store.run(lambda transaction: world.first.mounts.taint(transaction, "m/"))
    assert "m/" not in world.read("sys/mounts")
    with pytest.raises(InvalidRequest):
        world.read("sys/mounts/m/tune")
    with pytest.raises(InvalidRequest):
        world.write("sys/mounts/m", type="kv")
    world.first.revoker.remove_mount(closed)
    world.write("sys/mounts/m", type="kv")


def test_auth_methods_have_their_own_rules(world: World) -> None:
    """The token method is always there, alone; other kinds are unknown."""
    assert world.read("sys/auth")["token/"]["config"]["token_type"] == "default-service"
    assert world.read("sys/auth/token")["type"] == "token"
    refusals: tuple[tuple[dict[str, Any], str], ...] = (
        ({"type": "nosuch"}, "plugin not found in the catalog: nosuch"),
        ({"type": "kv"}, "plugin not found in the catalog: kv"),
        ({"type": "token"}, "token credential backend cannot be instantiated"),
        ({}, "backend type must be specified as a string"),
    )
    for fields, text in refusals:
        with pytest.raises(InvalidRequest, match=text):
            world.write("sys/auth/x", **fields)
    with pytest.raises(InvalidRequest, match="token credential backend cannot be disabled"):
        world.delete("sys/auth/token")
    with pytest.raises(InvalidRequest, match="No auth engine at nosuch/"):
        world.read("sys/auth/nosuch")
    assert world.delete("sys/auth/nosuch") is None


def test_auth_paths_need_sudo(world: World) -> None:
    """Every capability but sudo is not enough."""
    token = world.holder('path "*" { capabilities = ["create", "read", "update", "delete", "list", "patch"] }')
    for operation in (Operation.READ, Operation.UPDATE, Operation.DELETE):
        with pytest.raises(DeniedByPolicy):
            world.send(operation, "sys/auth/x", {"type": "x"}, token=token)
    assert world.read("sys/mounts", token=token)
