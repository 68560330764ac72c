"""A host with one mount of the method and one user."""

import pytest

from tests.unit.vault.modules.auth.methods.userpass.method import FakeHasher
from tests.unit.vault.modules.system.world import World
from vault.modules.auth.methods.userpass import backend


@pytest.fixture
def hasher() -> FakeHasher:
    """Return the hasher."""
    return FakeHasher()


@pytest.fixture
def world(hasher: FakeHasher) -> World:
    """Return a host with a mount and a user."""
    method = backend.build(hasher)

    class Built(World):
        backends = {("auth", "userpass"): {"": method}}  # noqa: RUF012 - a table of the test

    world = Built()
    world.write("sys/auth/userpass", type="userpass")
    world.write("auth/userpass/users/ann", password="right", token_policies="reader")
    return world
