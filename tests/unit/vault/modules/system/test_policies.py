"""Policies over both of their addresses."""

import base64
from typing import Any

import pytest

from tests.unit.vault.modules.system.fakes import START_NS
from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, NotFound, UnsupportedOperation
from vault.logical.operation import Operation

READ = 'path "secret/*" { capabilities = ["read"] }'
PLACE = "sys/policies/acl/p"


@pytest.mark.parametrize("name", ["a\u0000b", "a\tb", "\uff52oot", "r\u043eot", "e\u0301", "a/../b", "a//b", "x" * 257])
def test_write_refuses_names_that_pass_for_others(world: World, name: str) -> None:
    """Control characters, look-alikes, other normal forms and path tricks are no names."""
    with pytest.raises(InvalidRequest):
        world.write(f"sys/policies/acl/{name}", policy=READ)
    assert world.list("sys/policies/acl") == ("default", "root")


@pytest.mark.parametrize("name", ["root", "ROOT", " root ", "response-wrapping"])
def test_built_in_policies_cannot_be_changed(world: World, name: str) -> None:
    """Root and the policy of wrapping tokens stay as they are."""
    with pytest.raises(InvalidRequest, match="cannot update"):
        world.write(f"sys/policies/acl/{name}", policy=READ)
    with pytest.raises(InvalidRequest, match="cannot delete"):
        world.delete(f"sys/policies/acl/{name}")


def test_default_policy_can_be_written_but_not_deleted(world: World) -> None:
    """The default policy is the operator's, but it stays."""
    world.write("sys/policies/acl/default", policy=READ)
    assert world.read("sys/policies/acl/default")["version"] == 2
    with pytest.raises(InvalidRequest, match="cannot delete default policy"):
        world.delete("sys/policies/acl/default")


@pytest.mark.parametrize("text", ["path", 'path "a" {', 'path "a" { capabilities = ["fly"] }', ""])
def test_bad_text_is_refused_and_not_stored(world: World, text: str) -> None:
    """What does not parse is not stored."""
    with pytest.raises(InvalidRequest):
        world.write(PLACE, policy=text)
    with pytest.raises(NotFound):
        world.read(PLACE)


@pytest.mark.parametrize("text", [READ, base64.b64encode(READ.encode()).decode()])
def test_policy_is_read_at_both_addresses(world: World, text: str) -> None:
    """The text comes back as it is, also where it was given in base64; the older address calls it rules."""
    world.write("sys/policies/acl/P", policy=text)
    assert world.read(PLACE) == {
        "name": "p", "policy": READ, "version": 1, "cas_required": False, "modified": "2023-11-14T22:13:20Z",
        "allow_slashes_in_identity_templates": False, "allow_wildcards_in_identity_templates": False,
    }  # fmt: skip
    assert world.read("sys/policy/p")["rules"] == READ


def test_older_address_takes_rules_with_a_warning(world: World) -> None:
    """`rules` is old, `policy` beside it counts."""
    assert world.write("sys/policy/p", rules=READ).warnings == ("'rules' is deprecated, please use 'policy' instead",)
    assert world.write("sys/policy/p", policy=READ, rules="x") is None


def test_listing_is_cut_and_ends_with_root(world: World) -> None:
    """After and limit cut the list; root is the last of all."""
    for name in ("c", "a", "b", "f/x"):
        world.write(f"sys/policies/acl/{name}", policy=READ)
    assert world.list("sys/policies/acl") == ("a", "b", "c", "default", "f/x", "root")
    assert world.list("sys/policies/acl", after="a", limit=2) == ("b", "c")
    assert world.list("sys/policies/acl", after="default", limit=5) == ("f/x", "root")
    assert world.list("sys/policies/acl", after="root") == ()
    assert world.list("sys/policies/acl/f") == ("f/x",)
    assert world.list("sys/policies/acl/none") == ()
    assert world.read("sys/policy")["policies"] == ["a", "b", "c", "default", "f/x", "root"]
    with pytest.raises(InvalidRequest):
        world.list("sys/policies/acl", limit="1e3")


def test_detailed_listing_shows_policies(world: World) -> None:
    """The detailed listing tells of each name what reading it would tell."""
    world.write(PLACE, policy=READ)
    response = world.send(Operation.LIST, "sys/policies/detailed/acl/", {})
    assert response is not None
    assert response.data is not None
    assert response.data["key_info"]["p"] == world.read(PLACE)
    assert response.data["key_info"]["root"]["policy"] == ""


@pytest.mark.parametrize(("cas", "text"), [(5, "did not match"), (-1, "existing"), (-2, "did not match"), (0, "did not match")])
def test_write_with_another_version_is_refused(world: World, cas: int, text: str) -> None:
    """Check-and-set lets only the present version pass."""
    world.write(PLACE, policy=READ)
    with pytest.raises(InvalidRequest, match=text):
        world.write(PLACE, policy=READ, cas=cas)
    world.write(PLACE, policy=READ, cas=1)
    assert world.read(PLACE)["version"] == 2


def test_required_check_and_set_is_enforced(world: World) -> None:
    """Where check-and-set is required, no write passes without it."""
    with pytest.raises(InvalidRequest, match="required"):
        world.write(PLACE, policy=READ, cas_required=True)
    world.write(PLACE, policy=READ, cas_required=True, cas=-1)
    with pytest.raises(InvalidRequest, match="required"):
        world.write(PLACE, policy=READ)
    with pytest.raises(InvalidRequest, match="required"):
        world.patch(PLACE, ttl="1h")


def test_policy_ends(world: World) -> None:
    """A policy that has ended grants nothing and is not there, also before anybody writes again."""
    world.write(PLACE, policy='path "sys/policies/acl/p" { capabilities = ["read"] }', ttl=60)
    token = world.issue("p")
    assert world.read(PLACE, token=token)["expiration"] == "2023-11-14T22:14:20Z"
    world.clock.advance(61)
    with pytest.raises(Exception, match="permission denied"):
        world.read(PLACE, token=token)
    assert "p" not in world.list("sys/policies/acl")
    with pytest.raises(NotFound):
        world.read(PLACE)
    world.write(PLACE, policy=READ, cas=-1)
    assert world.read(PLACE)["version"] == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"ttl": 0},
        {"ttl": -5},
        {"expiration": "2001-01-01T00:00:00Z"},
        {"expiration": "x"},
        {"ttl": "1h", "expiration": "2099-01-01T00:00:00Z"},
    ],
    ids=str,
)
def test_bad_ends_are_refused(world: World, fields: dict[str, Any]) -> None:
    """An end lies in the future and is named once."""
    with pytest.raises(InvalidRequest):
        world.write(PLACE, policy=READ, **fields)


def test_patch_changes_what_is_given(world: World) -> None:
    """A patch leaves the text; null takes the end away; a missing policy is refused."""
    with pytest.raises(InvalidRequest, match="policy not found"):
        world.patch(PLACE, cas_required=True)
    world.write(PLACE, policy=READ)
    world.patch(PLACE, ttl="1h", cas_required=False)
    assert world.read(PLACE)["expiration"]
    assert world.read(PLACE)["policy"] == READ
    world.patch(PLACE, expiration=None)
    assert "expiration" not in world.read(PLACE)
    assert world.read(PLACE)["version"] == 3
    with pytest.raises(InvalidRequest, match="not supplied"):
        world.patch(PLACE, policy="")


def test_write_removes_policies_that_ended(world: World) -> None:
    """Rows of ended policies go when the next one with an end is written."""
    world.write(PLACE, policy=READ, ttl=1)
    world.clock.advance(2)
    world.write("sys/policies/acl/q", policy=READ, ttl=100)
    assert not [path for path in world.rows.rows if path.endswith("sys/policy/p")]
    assert world.clock.now_ns() > START_NS


def test_folder_of_policies_is_listed_not_read(world: World) -> None:
    """The folder itself is no policy."""
    with pytest.raises(UnsupportedOperation):
        world.read("sys/policies/acl")
