"""A host with one mount of the method."""

import pytest

from tests.unit.vault.modules.system.world import World
from vault.modules.auth.methods.approle import backend
from vault.modules.auth.methods.approle.upkeep import Upkeep


@pytest.fixture
def world() -> World:
    """Return a host with a mount."""
    built: list[World] = []

    def sweep(prefix: str) -> None:
        store = built[0].first.store
        Upkeep(store, store, built[0].clock).sweep(prefix)

    class Built(World):
        backends = {("auth", "approle"): {"": backend.build(sweep)}}  # noqa: RUF012 - a table of the test

    world = Built()
    built.append(world)
    world.write("sys/auth/approle", type="approle", config={"user_lockout_config": {"lockout_disable": True}})
    return world
