"""What operators and machines do with roles and secret ids."""

from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, LoginFailed
from vault.logical.operation import Operation
from vault.logical.response import Auth

ROLES = "auth/approle/role"
WRONG = "invalid role or secret ID"
ANYTHING = "another secret id"


def make_role(world: World, name: str = "web", **fields: Any) -> str:
    """Make a role whose role id is its name in capitals; return the role id."""
    world.write(f"{ROLES}/{name}", **{"role_id": name.upper(), **fields})
    return name.upper()


def make_secret(world: World, name: str = "web", **fields: Any) -> tuple[str, str]:
    """Make a secret id; return it and its accessor."""
    data = world.answer(Operation.UPDATE, f"{ROLES}/{name}/secret-id", fields).data
    assert data is not None
    return data["secret_id"], data["secret_id_accessor"]


def log_in(world: World, role_id: str, secret_id: str = "", **more: Any) -> Auth:
    """Log in."""
    fields = {"role_id": role_id, "secret_id": secret_id}
    response = world.send(Operation.UPDATE, "auth/approle/login", fields, token=None, **more)
    assert response is not None
    assert response.auth is not None
    return response.auth


def require_refused(world: World, role_id: str, secret_id: str = "", **more: Any) -> None:
    """Require that a login is refused, in the words of every refusal."""
    with pytest.raises(LoginFailed) as refusal:
        log_in(world, role_id, secret_id, **more)
    assert str(refusal.value) == WRONG


def require_invalid(world: World, path: str, **fields: Any) -> None:
    """Require that a write is refused and that nothing has changed."""
    before = stored(world)
    with pytest.raises(InvalidRequest):
        world.write(path, **fields)
    assert stored(world) == before


def stored(world: World) -> dict[str, bytes]:
    """Return what is stored below the mounts."""
    found = {path: world.rows.get(path) for path in world.rows.rows if path.startswith("logical/")}
    return {path: row.value for path, row in found.items() if row is not None}
