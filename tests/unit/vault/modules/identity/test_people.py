"""Entities as tokens tell about them."""

from vault.modules.identity.oidc.person import Alias, Person
from vault.modules.identity.people import read_person
from vault.modules.identity.record import Alias as StoredAlias
from vault.modules.identity.record import Entity, Group
from vault.modules.identity.store import Circle


def make_alias(accessor: str, name: str, **fields: dict[str, str]) -> StoredAlias:
    """Return an alias."""
    return StoredAlias(id=f"of-{accessor}", name=name, mount_accessor=accessor, created_ns=1, updated_ns=1, **fields)  # type: ignore[arg-type]


def make_group(group_id: str, name: str) -> Group:
    """Return a group."""
    return Group(id=group_id, name=name, created_ns=1, updated_ns=1)


def test_person_is_the_entity_with_all_its_groups() -> None:
    """Aliases are known by their mount; groups that hold groups count."""
    aliases = make_alias("userpass_1", "ann@icu", metadata={"o.u": "y"}, custom_metadata={"k": "v"}), make_alias("ldap_2", "cn=ann")
    entity = Entity(id="e1", name="ann", created_ns=1, updated_ns=1, metadata={"team": "icu"}, disabled=True, aliases=aliases)
    circle = Circle(entity=entity, direct=(make_group("g2", "night.shift"),), inherited=(make_group("g1", "doctors"),))
    assert read_person(circle) == Person(
        id="e1",
        name="ann",
        disabled=True,
        metadata={"team": "icu"},
        aliases={
            "userpass_1": Alias(id="of-userpass_1", name="ann@icu", metadata={"o.u": "y"}, custom_metadata={"k": "v"}),
            "ldap_2": Alias(id="of-ldap_2", name="cn=ann"),
        },
        group_ids=("g1", "g2"),
        group_names=("doctors", "night.shift"),
    )
