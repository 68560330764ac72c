"""Creating tokens: nobody gets more than they have, and nobody gets what nobody could take back."""

from typing import Any

import pytest

from tests.unit.vault.modules.system.world import ROOT, World
from vault.errors import DeniedByPolicy, InvalidRequest
from vault.logical.operation import Operation
from vault.logical.response import Auth

MAKER = 'path "auth/token/*" { capabilities = ["create", "read", "update"] }'
SUDO = 'path "auth/token/*" { capabilities = ["create", "read", "update", "sudo"] }'


def create(world: World, caller: str = ROOT, *, path: str = "create", **fields: Any) -> Auth:
    """Create a token; return it as its holder gets it."""
    answer = world.answer(Operation.UPDATE, f"auth/token/{path}", fields, token=caller)
    assert answer.auth is not None
    return answer.auth


def caller(world: World, *policies: str, sudo: bool = False, **fields: Any) -> str:
    """Return a token that may create tokens, and has some policies more."""
    world.write("sys/policies/acl/maker", policy=SUDO if sudo else MAKER)
    return world.issue(*sorted({"maker", *policies}), **fields)


def refuse(world: World, text: str, token: str = ROOT, *, path: str = "create", **fields: Any) -> None:
    """Expect a refusal, and that nothing was stored for it."""
    before = dict(world.rows.rows)
    with pytest.raises(InvalidRequest, match=text):
        create(world, token, path=path, **fields)
    assert dict(world.rows.rows) == before


# -- policies -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["root", "ROOT", " root ", "Root\t", "root\n", "\u00a0root"])
@pytest.mark.parametrize("sudo", [False, True])
def test_only_root_makes_root(world: World, name: str, sudo: bool) -> None:
    """However it is spelled, and even with sudo."""
    token = caller(world, "default", sudo=sudo)
    for names in ([name], ["default", name], name):
        refuse(world, "subset of parent|without parent token being root", token, policies=names)
        refuse(world, "subset of parent|without parent token being root", token, path="create-orphan", policies=names)
    made = create(world, policies=["x", name])
    assert made.policies == ("root",)


@pytest.mark.parametrize("name", ["\uff52\uff4f\uff4f\uff54", "\uff32oot", "ro\uff4ft"])
def test_lookalikes_of_root_are_given_to_nobody(world: World, name: str) -> None:
    """Full-width letters do not make another policy of that name."""
    refuse(world, "cannot assign policy", policies=[name])


def test_child_has_no_policy_that_its_parent_lacks(world: World) -> None:
    """Not one, and not the default policy."""
    token = caller(world)
    refuse(world, "subset of parent", token, policies=["other"])
    refuse(world, "subset of parent", token, policies=["maker", "other"])
    refuse(world, "subset of parent", token, policies=["default"])
    inherited: tuple[dict[str, Any], ...] = ({}, {"policies": ["maker"]}, {"policies": [" MAKER "]}, {"policies": []})
    for fields in inherited:
        assert create(world, token, **fields).policies == ("maker",)
    rich = caller(world, "default", "other")
    assert create(world, rich).policies == ("default", "maker", "other")
    assert create(world, rich, policies=["other"]).policies == ("default", "other")
    assert create(world, rich, policies=["other", "default"], no_default_policy=True).policies == ("other",)
    assert create(world, rich, policies=["", " "]).policies == ("default",)
    assert create(world, token, policies=["", " "]).policies == ()


def test_sudo_may_give_any_policy_but_inherits_no_more(world: World) -> None:
    """Named ones, with the default policy; without names the caller's own."""
    token = caller(world, sudo=True)
    assert create(world, token, policies=["other"]).policies == ("default", "other")
    assert create(world, token, policies=["other"], no_default_policy=True).policies == ("other",)
    assert create(world, token).policies == ("maker",)


def test_missing_policies_are_named(world: World) -> None:
    """They may come later."""
    answer = world.answer(Operation.UPDATE, "auth/token/create", {"policies": ["nosuch", "default"]})
    assert 'Policy "nosuch" does not exist' in answer.warnings


# -- what needs sudo ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"id": "abc"}, {"no_parent": True}, {"period": 60}, {"period": "1h"}])
def test_some_fields_need_sudo(world: World, fields: dict[str, Any]) -> None:
    """On both plain endpoints."""
    token = caller(world)
    for path in ("create", "create-orphan"):
        refuse(world, "root or sudo privileges required", token, path=path, **fields)
    assert create(world, caller(world, sudo=True), **fields).accessor


@pytest.mark.parametrize("token_id", ["s.x", "hvs.x", "a.b", "hvb.x", ".", "a b", " a", "a\n", "é", "a/b", "a,b", "x" * 513, "a:b", "a'b"])
def test_custom_ids_that_could_be_altered_on_the_way_are_refused(world: World, token_id: str) -> None:
    """And those that look like ids of the service."""
    refuse(world, "custom token ID", id=token_id)


@pytest.mark.parametrize("token_id", ["a", "A-b_c", "x" * 512, "0", "a=", "~+"])
def test_custom_ids_work(world: World, token_id: str) -> None:
    """With another accessor, once."""
    made = create(world, id=token_id, policies=["default"])
    assert made.client_token.reveal() == token_id
    assert world.read("auth/token/lookup-self", token=token_id)["accessor"] == made.accessor
    refuse(world, "duplicate", id=token_id)


# -- who may have children ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["create", "create-orphan", "create/r"])
def test_batch_and_use_limited_tokens_have_no_children(world: World, path: str) -> None:
    """Not even orphans, with sudo or as root."""
    world.write("auth/token/roles/r", allowed_policies="default")
    batch = create(world, caller(world, sudo=True), type="batch").client_token.reveal()
    refuse(world, "batch tokens cannot create more tokens", batch, path=path)
    for policy in ("root", "maker"):
        limited = world.issue(policy, uses_left=5)
        with pytest.raises(InvalidRequest, match="restricted use token"):
            create(world, limited, path=path)


def test_parent_and_orphans(world: World) -> None:
    """A child goes with its parent, an orphan stays."""
    token = caller(world, sudo=True)
    child, orphan, other = create(world, token), create(world, token, no_parent=True), create(world, token, path="create-orphan")
    assert (child.orphan, orphan.orphan, other.orphan) == (False, True, True)
    world.write("auth/token/revoke-self", token=token)
    for made, lives in ((child, False), (orphan, True), (other, True)):
        found = world.first.tokens.find(world.first.store.read(), made.client_token)
        assert (found is not None) is lives


def test_children_stay_bound_to_the_addresses_of_their_parent(world: World) -> None:
    """A binding is not shed by making a token."""
    token = caller(world, bound_cidrs=("10.0.0.0/8",))
    answer = world.send(Operation.UPDATE, "auth/token/create", {}, token=token, address="10.1.1.1")
    assert answer is not None
    assert answer.auth is not None
    found = world.first.tokens.find(world.first.store.read(), answer.auth.client_token)
    assert found is not None
    assert found.bound_cidrs == ("10.0.0.0/8",)


# -- numbers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", ["ttl", "lease", "explicit_max_ttl", "period", "num_uses"])
@pytest.mark.parametrize("value", [-1, "-1", True, 0.5, "x", "1e3", 1e308, 10**400, 2**63, [1], {"a": 1}, float("nan")])
def test_bad_numbers_are_refused(world: World, field: str, value: Any) -> None:
    """Every numeric field, and nothing is stored."""
    refuse(world, f"{field}|number of uses", **{field: value})


def test_times_are_cut_to_the_maximum(world: World) -> None:
    """With a warning, and never to no end."""
    for ttl in ("99999h", 2**33, "106751d"):
        answer = world.answer(Operation.UPDATE, "auth/token/create", {"ttl": ttl, "policies": ["default"]})
        assert answer.auth is not None
        assert answer.auth.lease_duration_seconds == 768 * 3600
        assert any("capped" in text for text in answer.warnings)
    assert create(world, ttl=0, policies=["default"]).lease_duration_seconds == 768 * 3600
    assert create(world, ttl="10h", explicit_max_ttl="1h", policies=["default"]).lease_duration_seconds == 3600
    assert create(world, ttl="100ms", policies=["default"]).lease_duration_seconds == 768 * 3600


def test_only_root_tokens_never_end(world: World) -> None:
    """And those only where nothing limits them."""
    made = create(world)
    assert (made.lease_duration_seconds, made.renewable) == (0, False)
    assert world.read("auth/token/lookup-self", token=made.client_token.reveal())["expire_time"] is None
    for fields in ({"ttl": 60}, {"explicit_max_ttl": 60}, {"period": 60}, {"policies": ["default"]}):
        made = create(world, **fields)
        assert made.lease_duration_seconds > 0
        assert world.read("auth/token/lookup-self", token=made.client_token.reveal())["expire_time"]
    ending = create(world, ttl=60).client_token.reveal()
    refuse(world, "expiring root tokens", ending)


@pytest.mark.parametrize("fields", [{"period": 60}, {"num_uses": 1}, {"explicit_max_ttl": 60}])
def test_batch_tokens_have_no_state(world: World, fields: dict[str, Any]) -> None:
    """Nothing that would have to be counted or renewed."""
    refuse(world, "batch tokens cannot have", policies=["default"], type="batch", **fields)
    refuse(world, "cannot be root", type="batch")
    made = create(world, policies=["default"], type="batch", renewable=True)
    assert (made.token_type, made.renewable, made.accessor) == ("batch", False, "")


def test_bad_fields_are_refused(world: World) -> None:
    """Kinds and aliases that do not exist."""
    refuse(world, "token_type", type="x")
    refuse(world, "entity_alias", entity_alias="x")
    refuse(world, "meta", meta={"a": {"b": "c"}})
    refuse(world, "policies", policies={"a": 1})
    refuse(world, "policies", policies=[["root"]])
    with pytest.raises(DeniedByPolicy):
        create(world, world.issue("default"))


def test_role_gives_tokens_to_entities_that_it_allows(world: World) -> None:
    """A token with an alias belongs to the entity of that alias, the same for every spelling; the role says which aliases those are."""
    world.write("auth/token/roles/shop", allowed_entity_aliases=["till-*", "Clerk"], orphan=True)

    def entity(alias: str) -> str:
        response = world.write("auth/token/create/shop", entity_alias=alias, policies=["default"])
        return str(response.auth.entity_id)

    for alias in ("manager", "x-till-1", "till-\n", "till-" + "x" * 512):
        with pytest.raises(InvalidRequest, match="invalid 'entity_alias' value"):
            entity(alias)
    assert entity("till-1") == entity("TILL-1") != ""
    assert entity("clerk") not in ("", entity("till-1"))


def test_display_name_is_plain(world: World) -> None:
    """Whatever is given: it goes into logs."""
    made = create(world, policies=["default"], display_name='x"\n<b>é')
    name = world.read("auth/token/lookup-self", token=made.client_token.reveal())["display_name"]
    assert name.startswith("token-x")
    assert name.replace("-", "").isalnum()
    assert name.isascii()
