"""identity/: entities, aliases and groups, driven by hvac and by `bao`."""

from __future__ import annotations

from collections.abc import Iterator

import hvac
import hvac.exceptions
import pytest

from tests.compat.command import Command
from tests.compat.wire import Wire


@pytest.fixture
def accessor(root: Wire, name: str) -> Iterator[str]:
    """Return the accessor of a mount of its own for each test."""
    assert root.post(f"sys/auth/{name}", {"type": "userpass"}).status == 204
    yield root.get("sys/auth").data[f"{name}/"]["accessor"]
    root.delete(f"sys/auth/{name}")


def test_hvac_drives_entities_and_aliases(client: hvac.Client, accessor: str, name: str) -> None:
    """Make, read, change, list, look up, merge and delete, by id and by name."""
    identity = client.secrets.identity
    made = identity.create_or_update_entity(name, metadata={"team": "icu"}, policies=["a"])["data"]
    other = identity.create_or_update_entity_by_name(f"{name}-other", policies=["b"])["data"]
    assert identity.read_entity(made["id"])["data"]["metadata"] == {"team": "icu"}
    assert identity.read_entity_by_name(name)["data"]["id"] == made["id"]
    identity.update_entity(made["id"], name=name, policies=["c"])
    assert made["id"] in identity.list_entities(method="LIST")["data"]["keys"]
    assert name in identity.list_entities_by_name(method="LIST")["data"]["keys"]
    alias = identity.create_or_update_entity_alias(f"{name}-alias", other["id"], accessor)["data"]
    assert identity.read_entity_alias(alias["id"])["data"]["canonical_id"] == other["id"]
    identity.update_entity_alias(alias["id"], f"{name}-renamed", other["id"], accessor)
    assert alias["id"] in identity.list_entity_aliases(method="LIST")["data"]["keys"]
    assert identity.lookup_entity(alias_name=f"{name}-renamed", alias_mount_accessor=accessor)["data"]["id"] == other["id"]
    identity.merge_entities([other["id"]], made["id"])
    assert identity.lookup_entity(alias_id=alias["id"])["data"]["id"] == made["id"]
    with pytest.raises(hvac.exceptions.InvalidPath):
        identity.read_entity(other["id"])
    identity.delete_entity_alias(alias["id"])
    identity.delete_entity_by_name(name)
    third = identity.create_or_update_entity(f"{name}-third")["data"]
    client.write("identity/entity/batch-delete", entity_ids=[third["id"]])
    last = identity.create_or_update_entity(f"{name}-last")["data"]
    identity.delete_entity(last["id"])
    for gone in (made, third, last):
        with pytest.raises(hvac.exceptions.InvalidPath):
            identity.read_entity(gone["id"])


def test_hvac_drives_groups_and_their_aliases(client: hvac.Client, accessor: str, name: str) -> None:
    """Internal with members, external with an alias, by id and by name."""
    identity = client.secrets.identity
    entity = identity.create_or_update_entity(name)["data"]["id"]
    inner = identity.create_or_update_group(f"{name}-inner", member_entity_ids=[entity])["data"]["id"]
    identity.create_or_update_group_by_name(f"{name}-outer", member_group_ids=[inner], policies=["p"])
    outer = identity.read_group_by_name(f"{name}-outer")["data"]
    assert outer["member_group_ids"] == [inner]
    assert identity.read_entity(entity)["data"]["inherited_group_ids"] == [outer["id"]]
    identity.update_group(inner, name=f"{name}-inner", metadata={"k": "v"}, member_entity_ids=[])
    assert identity.read_group(inner)["data"]["metadata"] == {"k": "v"}
    assert identity.read_entity(entity)["data"]["group_ids"] == []
    assert inner in identity.list_groups(method="LIST")["data"]["keys"]
    assert f"{name}-outer" in identity.list_groups_by_name(method="LIST")["data"]["keys"]
    outside = identity.create_or_update_group(f"{name}-outside", group_type="external")["data"]["id"]
    alias = identity.create_or_update_group_alias("doctors", mount_accessor=accessor, canonical_id=outside)["data"]["id"]
    identity.update_group_alias(alias, "nurses", mount_accessor=accessor, canonical_id=outside)
    assert identity.read_group_alias(alias)["data"]["name"] == "nurses"
    assert alias in identity.list_group_aliases(method="LIST")["data"]["keys"]
    assert identity.lookup_group(alias_name="nurses", alias_mount_accessor=accessor)["data"]["id"] == outside
    identity.delete_group_alias(alias)
    identity.delete_group(outside)
    identity.delete_group_by_name(f"{name}-outer")
    identity.delete_group(inner)
    with pytest.raises(hvac.exceptions.InvalidPath):
        identity.read_group(outside)
    identity.delete_entity(entity)


def test_bao_writes_and_reads(cli: Command, name: str) -> None:
    """As operators do."""
    made = cli.run("write", "-format=json", "identity/entity", f"name={name}", "metadata=team=icu", "policies=a,b").ok().json["data"]
    read = cli.run("read", "-format=json", f"identity/entity/id/{made['id']}").ok().json["data"]
    assert (read["metadata"], read["policies"]) == ({"team": "icu"}, ["a", "b"])
    cli.run("write", "identity/group", f"name={name}", f"member_entity_ids={made['id']}").ok()
    assert name in cli.run("list", "identity/group/name").ok().out
    cli.run("delete", f"identity/group/name/{name}").ok()
    cli.run("delete", f"identity/entity/id/{made['id']}").ok()
    assert cli.run("read", f"identity/entity/id/{made['id']}").code != 0
