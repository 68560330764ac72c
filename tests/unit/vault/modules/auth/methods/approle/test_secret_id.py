"""Secret ids: within what the role says, kept as keyed hashes, gone with their role."""

import hashlib
from typing import Any

import pytest

from tests.unit.vault.modules.auth.methods.approle.machine import (
    ROLES,
    log_in,
    make_role,
    make_secret,
    require_invalid,
    require_refused,
    stored,
)
from tests.unit.vault.modules.system.world import World
from vault.errors import NotFound
from vault.modules.auth.methods.approle.rows import REMOVED_PAGE
from vault.modules.auth.methods.approle.upkeep import INTERVAL_SECONDS, Upkeep


def mount_rows(world: World, *folders: str) -> list[str]:
    """Return the rows of the mount in these folders."""
    mount = world.first.mounts.require(world.first.store.read(), "auth/approle/")
    return [path for path in world.rows.rows if path.startswith(tuple(mount.storage_prefix + folder for folder in folders))]


@pytest.mark.parametrize(
    "fields",
    [
        {"num_uses": -1},
        {"num_uses": 1.5},
        {"num_uses": True},
        {"num_uses": "many"},
        {"num_uses": 6},
        {"num_uses": 0},
        {"ttl": -1},
        {"ttl": "x"},
        {"ttl": 601},
        {"ttl": 0},
        {"cidr_list": "nowhere"},
        {"cidr_list": "11.0.0.0/8"},
        {"cidr_list": "10.0.0.0/7"},
        {"cidr_list": "::/0"},
        {"token_bound_cidrs": "10.2.0.0/16"},
        {"metadata": "junk"},
        {"metadata": "[1]"},
        {"metadata": '{"a":1}'},
        {"metadata": {"a": "b"}},
        {"metadata": '{"a":"' + "x" * 20_000 + '"}'},
    ],
    ids=str,
)
def test_what_the_role_does_not_allow_is_refused(world: World, fields: dict[str, Any]) -> None:
    """More uses, a longer time, other addresses, and what is no number or no metadata at all: nothing is stored."""
    make_role(world, secret_id_num_uses=5, secret_id_ttl=600, secret_id_bound_cidrs="10.0.0.0/8", token_bound_cidrs="10.1.0.0/16")
    require_invalid(world, f"{ROLES}/web/secret-id", **fields)


@pytest.mark.parametrize("secret_id", ["", "x" * 5_000, "taken"])
def test_bad_custom_secret_ids_are_refused(world: World, secret_id: str) -> None:
    """None, one that is too long, one that there is already."""
    make_role(world)
    world.write(f"{ROLES}/web/custom-secret-id", secret_id="taken")
    require_invalid(world, f"{ROLES}/web/custom-secret-id", secret_id=secret_id)


def test_an_accessor_is_of_its_role(world: World) -> None:
    """A08: through another role it is as unknown as any, and stays good."""
    make_role(world)
    make_role(world, "other")
    secret, accessor = make_secret(world)
    for action in ("lookup", "destroy"):
        for name in (accessor, "unknown", "../x"):
            with pytest.raises(NotFound):
                world.write(f"{ROLES}/other/secret-id-accessor/{action}", secret_id_accessor=name)
        world.write(f"{ROLES}/other/secret-id/{action}", secret_id=secret)
    log_in(world, "WEB", secret)


def test_a_secret_id_is_stored_nowhere(world: World) -> None:
    """Neither it nor its plain hash is in any row."""
    make_role(world)
    secret, _ = make_secret(world)
    store = world.first.store
    plain = {path: entry.value for path in stored(world) if (entry := store.load(path)) is not None}
    forms = (secret.encode(), hashlib.sha256(secret.encode()).hexdigest().encode())
    assert plain
    assert not [path for path, value in plain.items() if any(form in value or form in path.encode() for form in forms)]


def test_two_roles_may_have_the_same_custom_secret_id(world: World) -> None:
    """It is looked for below its role; destroying one leaves the other."""
    for name in ("web", "other"):
        make_role(world, name)
        world.write(f"{ROLES}/{name}/custom-secret-id", secret_id="same")
    world.write(f"{ROLES}/web/secret-id/destroy", secret_id="same")
    require_refused(world, "WEB", "same")
    log_in(world, "OTHER", "same")


def test_what_is_left_of_a_deleted_role_goes(world: World) -> None:
    """More secret ids than one step clears: all rows go, those of other roles stay."""
    make_role(world)
    make_role(world, "other")
    kept, _ = make_secret(world, "other")
    for _ in range(REMOVED_PAGE + 5):
        make_secret(world)
    world.delete(f"{ROLES}/web")
    world.clock.advance(1)
    world.write("auth/approle/tidy/secret-id")
    assert len(mount_rows(world, "secret/", "accessor/")) == 2
    assert mount_rows(world, "removed/") == []
    log_in(world, "OTHER", kept)


def test_expired_ones_go_and_others_stay(world: World) -> None:
    """The background work clears away what has expired, once a minute, and not a moment before it has."""
    make_role(world)
    make_secret(world, ttl=30)
    kept, _ = make_secret(world, ttl=1000, num_uses=3)
    log_in(world, "WEB", kept)  # an update keeps the time
    store = world.first.store
    upkeep = Upkeep(store, store, world.clock)
    world.clock.advance(29)
    upkeep.run(lambda reader: world.first.mounts.table(reader).mounts)
    assert len(mount_rows(world, "secret/")) == 2
    world.clock.advance(INTERVAL_SECONDS)
    upkeep.run(lambda reader: world.first.mounts.table(reader).mounts)
    assert (len(mount_rows(world, "secret/")), len(mount_rows(world, "accessor/"))) == (1, 1)
    log_in(world, "WEB", kept)
    world.clock.advance(1000)
    upkeep.run(lambda reader: world.first.mounts.table(reader).mounts)
    assert mount_rows(world, "secret/", "accessor/") == []
