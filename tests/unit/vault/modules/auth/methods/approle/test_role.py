"""Roles: what they take, and the paths of their fields."""

from typing import Any

import pytest

from tests.unit.vault.modules.auth.methods.approle.machine import ROLES, make_role, require_invalid
from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, UnsupportedPath
from vault.logical.operation import Operation
from vault.modules.auth.methods.approle.role import PROPERTIES


@pytest.mark.parametrize(
    "fields",
    [
        {"bind_secret_id": False},
        {"secret_id_num_uses": -1},
        {"secret_id_num_uses": 1.5},
        {"secret_id_num_uses": True},
        {"secret_id_ttl": -1},
        {"secret_id_ttl": "soon"},
        {"token_num_uses": -1},
        {"token_ttl": "NaN"},
        {"token_ttl": 20, "token_max_ttl": 10},
        {"secret_id_bound_cidrs": "nowhere"},
        {"token_policies": "root"},
        {"role_id": ""},
        {"role_id": "TAKEN"},
        {"role_id": "a\x00b"},
        {"role_id": "x" * 600},
        {"local_secret_ids": True},
    ],
    ids=str,
)
def test_bad_fields_are_refused(world: World, fields: dict[str, Any]) -> None:
    """T26: nothing is stored."""
    make_role(world, "taken")
    make_role(world)
    require_invalid(world, f"{ROLES}/web", **fields)


@pytest.mark.parametrize("name", ["..", "a b", ".a", "a\x00b", "é", "x" * 300])
def test_bad_names_are_refused(world: World, name: str) -> None:
    """Nothing but letters, digits, and dots, dashes or underscores between them."""
    with pytest.raises(InvalidRequest):
        world.write(f"{ROLES}/{name}")


def test_names_are_the_same_in_any_case(world: World) -> None:
    """A09: written, read and deleted by any spelling, there is one role."""
    make_role(world, "MiXed")
    world.write(f"{ROLES}/MIXED", token_ttl=5)
    assert world.list(ROLES) == ("mixed",)
    assert world.read(f"{ROLES}/mIxEd")["token_ttl"] == 5
    world.delete(f"{ROLES}/mixeD")
    assert world.send(Operation.READ, f"{ROLES}/mixed", {}) is None


VALUES: dict[str, Any] = {
    "token_policies": ["a"],
    "bind_secret_id": True,
    "secret_id_bound_cidrs": ["10.0.0.0/8"],
    "secret_id_num_uses": 3,
    "secret_id_ttl": 60,
    "token_bound_cidrs": ["10.0.0.0/8"],
    "token_ttl": 60,
    "token_max_ttl": 60,
    "token_num_uses": 3,
    "token_period": 60,
}


@pytest.mark.parametrize("one", PROPERTIES, ids=lambda one: one.segment)
def test_each_field_has_a_path(world: World, one: Any) -> None:
    """Written, read, reset; a role that there is not has no fields; a write that says nothing is refused."""
    segment, field = one.segment, one.field
    shown = one.shown or field
    make_role(world)
    place = f"{ROLES}/WEB/{segment}"
    untouched = world.read(place)[shown]
    for name in one.names:
        world.write(place, **{name: VALUES[field]})
        assert world.read(place)[shown] == VALUES[field]
        assert world.read(f"{ROLES}/web")[field] == VALUES[field]
        world.delete(place)
        assert world.read(place)[shown] == untouched
    with pytest.raises(InvalidRequest, match="missing"):
        world.write(place)
    with pytest.raises(UnsupportedPath):
        world.write(f"{ROLES}/nosuch/{segment}", **{field: VALUES[field]})
    world.delete(f"{ROLES}/nosuch/{segment}")


def test_the_last_constraint_stays(world: World) -> None:
    """A role that asks for no secret id keeps its addresses, whichever path would take them away."""
    make_role(world, bind_secret_id=False, secret_id_bound_cidrs="10.0.0.0/8")
    for segment in ("secret-id-bound-cidrs", "bound-cidr-list"):
        with pytest.raises(InvalidRequest, match="constraint"):
            world.delete(f"{ROLES}/web/{segment}")
    assert world.read(f"{ROLES}/web")["secret_id_bound_cidrs"] == ["10.0.0.0/8"]


def test_older_names_are_shown_where_they_spoke_last(world: World) -> None:
    """As Vault shows them."""
    make_role(world, policies="a", period=60)
    assert world.read(f"{ROLES}/web")["policies"] == ["a"]
    world.write(f"{ROLES}/web/policies", token_policies="b")
    assert "policies" not in world.read(f"{ROLES}/web/policies")
    assert world.read(f"{ROLES}/web")["period"] == 60


def test_a_role_id_can_be_taken_over_once_it_is_free(world: World) -> None:
    """Changing it or deleting its role frees it."""
    make_role(world)
    world.write(f"{ROLES}/web/role-id", role_id="NEW")
    make_role(world, "other", role_id="WEB")
    world.delete(f"{ROLES}/web")
    world.write(f"{ROLES}/other/role-id", role_id="NEW")
    assert world.read(f"{ROLES}/other/role-id") == {"role_id": "NEW"}
