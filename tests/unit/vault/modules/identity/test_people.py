"""Entities as tokens tell about them."""

from vault.logical.standing import Standing
from vault.modules.identity.oidc.person import Alias, Person
from vault.modules.identity.people import People, read_person
from vault.storage.transaction import Transaction

VALUES = {
    "identity.entity.id": "e1",
    "identity.entity.name": "ann",
    "identity.entity.metadata.team": "icu",
    "identity.entity.metadata.dotted.key": "d",
    "identity.entity.aliases.userpass_1.id": "a1",
    "identity.entity.aliases.userpass_1.name": "ann@icu",
    "identity.entity.aliases.userpass_1.metadata.ou": "x",
    "identity.entity.aliases.userpass_1.metadata.o.u": "y",
    "identity.entity.aliases.userpass_1.custom_metadata.k": "v",
    "identity.entity.aliases.ldap_2.name": "cn=ann",
    "identity.groups.ids.g2.name": "night.shift",
    "identity.groups.ids.g1.name": "doctors",
    "identity.groups.ids.g1.metadata.name": "not a group",
    "identity.groups.names.night.shift.id": "g2",
}


def test_person_is_read_from_what_policies_see() -> None:
    """Metadata, aliases and groups are those that placeholders of policies stand for."""
    assert read_person(Standing(entity_id="e1", values=VALUES)) == Person(
        id="e1",
        name="ann",
        metadata={"team": "icu", "dotted.key": "d"},
        aliases={
            "userpass_1": Alias(id="a1", name="ann@icu", metadata={"ou": "x", "o.u": "y"}, custom_metadata={"k": "v"}),
            "ldap_2": Alias(name="cn=ann"),
        },
        group_ids=("g1", "g2"),
        group_names=("doctors", "night.shift"),
    )


def test_person_is_disabled_or_unknown_as_the_entity_is() -> None:
    """Nobody is told about who is not there."""

    class One:
        def find_standing(self, transaction: Transaction, entity_id: str) -> Standing | None:
            return Standing(entity_id="e1", disabled=True) if entity_id == "e1" else None

    people, transaction = People(One()), Transaction.__new__(Transaction)
    found = people.find_person(transaction, "e1")
    assert found is not None
    assert found.disabled
    assert people.find_person(transaction, "e2") is None
