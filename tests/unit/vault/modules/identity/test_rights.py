"""Whose rights an entity has: merges and aliases carry nobody else's along."""

from dataclasses import dataclass
from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest
from vault.logical.login import Login
from vault.logical.mount import Mount
from vault.logical.standing import Standing


@dataclass(frozen=True, slots=True)
class Town:
    """A server with an external group of one mount."""

    world: World
    mount: Mount
    group: str

    def enter(self, name: str, *groups: str) -> Standing:
        """Log in at the mount."""
        identity, login = self.world.first.identity, Login(alias=name, groups=groups)
        return self.world.first.store.run(lambda transaction: identity.recognise(transaction, self.mount, login))

    def standing(self, entity_id: str) -> Standing:
        """Return what an entity gives now."""
        found = self.world.first.identity.find_standing(self.world.first.store.read(), entity_id)
        assert found is not None
        return found

    def alias(self, entity_id: str) -> dict[str, Any]:
        """Return the first alias of an entity."""
        found: dict[str, Any] = self.world.read(f"identity/entity/id/{entity_id}")["aliases"][0]
        return found


@pytest.fixture
def town() -> Town:
    """Return a fresh server."""
    world = World()
    mount = world.first.mounts.require(world.first.store.read(), "auth/token/")
    group = world.write("identity/group", name="staff", type="external", policies=["staff"]).data["id"]
    world.write("identity/group-alias", name="staff", mount_accessor=mount.accessor, canonical_id=group)
    return Town(world, mount, group)


def members(town: Town) -> list[str]:
    """Return who is in the group."""
    return town.world.read(f"identity/group/id/{town.group}")["member_entity_ids"] or []


def test_merge_gives_no_policies(town: Town) -> None:
    """Policies end with the entity that is merged; its tokens are those of the other."""
    first, second = (town.world.write("identity/entity", name=name, policies=[name]).data["id"] for name in ("one", "two"))
    town.world.write("identity/entity/merge", to_entity_id=first, from_entity_ids=[second])
    assert town.standing(first).policies == ("one",)
    assert town.standing(second) == town.standing(first)


def test_merge_drops_groups_of_the_alias_that_goes(town: Town) -> None:
    """Of two aliases of a mount one stays, and only what was said of that one."""
    plain, staff = town.enter("ann").entity_id, town.enter("bob", "staff").entity_id
    with pytest.raises(InvalidRequest, match="same mount accessor"):
        town.world.write("identity/entity/merge", to_entity_id=plain, from_entity_ids=[staff])
    kept = [town.alias(plain)["id"]]
    town.world.write("identity/entity/merge", to_entity_id=plain, from_entity_ids=[staff], conflicting_alias_ids_to_keep=kept)
    assert town.standing(plain).policies == ()
    assert members(town) == []


def test_merge_keeps_groups_of_the_alias_that_stays(town: Town) -> None:
    """The alias of the merged entity is kept: the group comes with it."""
    plain, staff = town.enter("ann").entity_id, town.enter("bob", "staff").entity_id
    kept = [town.alias(staff)["id"]]
    town.world.write("identity/entity/merge", to_entity_id=plain, from_entity_ids=[staff], conflicting_alias_ids_to_keep=kept)
    assert town.standing(plain).policies == ("staff",)
    assert members(town) == [plain]


def test_renamed_alias_leaves_its_groups(town: Town) -> None:
    """What a mount said of one name is not true of another; a login by the new name says what is."""
    entity_id = town.enter("bob", "staff").entity_id
    town.world.write(f"identity/entity-alias/id/{town.alias(entity_id)['id']}", name="eve")
    assert town.standing(entity_id).policies == ()
    assert members(town) == []
    assert town.enter("eve", "staff").policies == ("staff",)


def test_renewal_without_alias_joins_nothing(town: Town) -> None:
    """An old token of an entity that the mount knows no more brings it into no group."""
    entity_id = town.enter("bob", "staff").entity_id
    town.world.delete(f"identity/entity-alias/id/{town.alias(entity_id)['id']}")
    identity, store = town.world.first.identity, town.world.first.store
    store.run(lambda transaction: identity.follow_groups(transaction, town.mount, entity_id, ("staff",)))
    assert town.standing(entity_id).policies == ()
    assert members(town) == []


def test_alias_cannot_join_an_entity_that_has_one(town: Town) -> None:
    """Who may write an alias cannot become somebody whom the mount knows already, by entity or by name."""
    eve, ann = town.enter("eve").entity_id, town.enter("ann").entity_id
    own = f"identity/entity-alias/id/{town.alias(eve)['id']}"
    with pytest.raises(InvalidRequest, match="already has an alias"):
        town.world.write(own, canonical_id=ann)
    with pytest.raises(InvalidRequest, match="already exists"):
        town.world.write(own, name="ANN")
    assert town.enter("eve").entity_id == eve


@pytest.mark.parametrize("name", ["x" * 513, "a\0b"])
def test_odd_name_of_a_login_is_refused(town: Town, name: str) -> None:
    """A name that no row can have is the caller's fault, and leaves no entity."""
    with pytest.raises(InvalidRequest, match="invalid alias name"):
        town.enter(name)
    assert town.world.list("identity/entity/id") == ()
