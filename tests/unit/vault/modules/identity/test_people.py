"""Entities as tokens tell about them."""

import pytest

from tests.unit.vault.modules.system.world import World
from vault.modules.identity.oidc.person import Alias, Person
from vault.modules.identity.people import People


@pytest.fixture
def world() -> World:
    """Return a server with its identity store."""
    return World()


def find(world: World, entity_id: str) -> Person | None:
    """Return an entity as tokens see it."""
    return People(world.first.identity).find_person(world.first.store.read(), entity_id)


def test_person_is_the_entity_with_all_its_groups(world: World) -> None:
    """Names, metadata and aliases are the entity's; groups are those that hold it, then those that hold them."""
    accessor = world.read("sys/auth")["token/"]["accessor"]
    entity = world.write("identity/entity", name="ann", metadata={"team": "icu"}).data["id"]
    fields = {"name": "ann@icu", "mount_accessor": accessor, "canonical_id": entity, "custom_metadata": {"k": "v"}}
    alias = world.write("identity/entity-alias", **fields).data["id"]
    inner = world.write("identity/group", name="night.shift", member_entity_ids=[entity]).data["id"]
    outer = world.write("identity/group", name="doctors", member_group_ids=[inner]).data["id"]
    assert find(world, entity) == Person(
        id=entity,
        name="ann",
        metadata={"team": "icu"},
        aliases={accessor: Alias(id=alias, name="ann@icu", custom_metadata={"k": "v"})},
        group_ids=(inner, outer),
        group_names=("night.shift", "doctors"),
    )


def test_person_is_disabled_or_unknown_as_the_entity_is(world: World) -> None:
    """Nobody is told about who is not there."""
    entity = world.write("identity/entity", name="ann").data["id"]
    world.write(f"identity/entity/id/{entity}", disabled=True)
    found = find(world, entity)
    assert found is not None
    assert found.disabled
    world.delete(f"identity/entity/id/{entity}")
    for name in (entity, "", "../x", "a\0b"):
        assert find(world, name) is None
