"""A server for every test."""

import pytest

from tests.unit.vault.modules.system.world import World


@pytest.fixture
def world() -> World:
    """Return a fresh, unsealed server."""
    return World()
