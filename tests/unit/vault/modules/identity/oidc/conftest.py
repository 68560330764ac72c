"""A server with people and clients for every test."""

import pytest

from tests.unit.vault.modules.identity.oidc.world import Client, OidcWorld


@pytest.fixture
def world() -> OidcWorld:
    """Return a fresh, unsealed server."""
    return OidcWorld()


@pytest.fixture
def client(world: OidcWorld) -> Client:
    """Return a confidential client."""
    return world.register()


@pytest.fixture
def public(world: OidcWorld) -> Client:
    """Return a client that cannot keep a secret."""
    return world.register("phone", client_type="public")


@pytest.fixture
def ann(world: OidcWorld) -> tuple[str, str]:
    """Return the token of somebody, and who it is."""
    return world.enter("ann", group_ids=("g1",), group_names=("doctors",))
