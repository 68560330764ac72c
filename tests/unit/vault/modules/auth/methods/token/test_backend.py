"""Looking at tokens and revoking them, by every name."""

from typing import Any

import pytest

from tests.unit.vault.modules.auth.methods.token.test_create import create
from tests.unit.vault.modules.system.world import ROOT, World
from vault.errors import DeniedByPolicy, InvalidRequest, PermissionDenied
from vault.logical.operation import Operation
from vault.secret import Secret

ALL = 'path "auth/token/*" { capabilities = ["create", "read", "update", "list"] }'


def post(world: World, path: str, token: str = ROOT, **fields: Any) -> Any:
    """Write to the token backend."""
    return world.send(Operation.UPDATE, f"auth/token/{path}", fields, token=token)


def is_live(world: World, token: str) -> bool:
    """Return whether a token is known."""
    return world.first.tokens.find(world.first.store.read(), Secret(token)) is not None


@pytest.mark.parametrize("path", ["lookup-accessor", "renew-accessor", "revoke-accessor"])
def test_accessors_that_name_nothing(world: World, path: str) -> None:
    """Unknown, foreign and empty ones, and ids of tokens."""
    token = world.issue("default")
    for accessor in ("nosuch", token, ROOT, "../id/x", "a/b", "x" * 9000):
        if path == "revoke-accessor":
            assert post(world, path, accessor=accessor).warnings == ("No token found with this accessor",)
        else:
            with pytest.raises(InvalidRequest, match="invalid accessor"):
                post(world, path, accessor=accessor)
    with pytest.raises(InvalidRequest, match="missing accessor"):
        post(world, path)
    assert is_live(world, token)


def test_lookup_tells_an_id_only_to_who_has_it(world: World) -> None:
    """By accessor there is none."""
    token = world.issue("default")
    by_id = world.send(Operation.UPDATE, "auth/token/lookup", {"token": token})
    by_accessor = post(world, "lookup-accessor", accessor=world.accessor(token))
    assert by_id is not None
    assert by_id.data is not None
    assert by_id.data["id"] == token
    assert by_accessor.data["id"] == ""
    assert token not in repr(by_accessor)
    renewed = post(world, "renew-accessor", accessor=world.accessor(token))
    assert renewed.auth.client_token.reveal() == ""


def test_unknown_tokens_are_bad(world: World) -> None:
    """In the words of Vault."""
    with pytest.raises(PermissionDenied, match="bad token"):
        world.send(Operation.UPDATE, "auth/token/lookup", {"token": "nosuch"})
    for path in ("renew", "revoke", "revoke-orphan"):
        with pytest.raises(InvalidRequest, match="missing token ID"):
            post(world, path)
    assert world.send(Operation.UPDATE, "auth/token/revoke", {"token": "nosuch"}) is None
    with pytest.raises(InvalidRequest, match="token to revoke not found"):
        world.send(Operation.UPDATE, "auth/token/revoke-orphan", {"token": "nosuch"})


@pytest.mark.parametrize("path", ["lookup-accessor", "renew-accessor", "revoke-accessor", "lookup", "renew", "revoke", "revoke-orphan"])
def test_each_path_needs_its_own_right(world: World, path: str) -> None:
    """The right to one of them is no right to another."""
    others = "\n".join(
        f'path "auth/token/{other}" {{ capabilities = ["update"] }}'
        for other in ("lookup-accessor", "renew-accessor", "revoke-accessor", "lookup", "renew", "revoke", "revoke-orphan") if other != path
    )  # fmt: skip
    token = world.holder(others)
    victim = world.issue("default")
    with pytest.raises(DeniedByPolicy):
        world.send(Operation.UPDATE, f"auth/token/{path}", {"token": victim, "accessor": world.accessor(victim)}, token=token)
    assert is_live(world, victim)


def test_accessors_are_listed_with_sudo_only(world: World) -> None:
    """In pages."""
    with pytest.raises(DeniedByPolicy):
        world.list("auth/token/accessors", token=world.holder(ALL))
    everything = world.list("auth/token/accessors")
    assert world.list("auth/token/accessors", limit=1) == everything[:1]
    assert world.list("auth/token/accessors", after=everything[0]) == everything[1:]
    for limit in (0, -1, -(2**63)):
        assert world.list("auth/token/accessors", limit=limit) == everything
    bad: tuple[Any, ...] = ("x", True, [1], 2**63)
    for limit in bad:
        with pytest.raises(InvalidRequest, match="limit"):
            world.list("auth/token/accessors", limit=limit)


@pytest.mark.parametrize("by", ["revoke", "revoke-self", "revoke-accessor"])
def test_revocation_takes_the_children(world: World, by: str) -> None:
    """By every name of the token."""
    parent = world.issue("default")
    child = world.issue("default", parent=world.first.tokens.hash_id(parent))
    fields = {"revoke": {"token": parent}, "revoke-accessor": {"accessor": world.accessor(parent)}, "revoke-self": {}}[by]
    assert world.send(Operation.UPDATE, f"auth/token/{by}", fields, token=parent if by == "revoke-self" else ROOT) is None
    assert not is_live(world, parent)
    assert not is_live(world, child)


def test_revoke_orphan_spares_the_children(world: World) -> None:
    """They become orphans; without sudo it is refused."""
    parent = world.issue("default")
    child = world.issue("default", parent=world.first.tokens.hash_id(parent))
    with pytest.raises(InvalidRequest, match="root or sudo"):
        world.send(Operation.UPDATE, "auth/token/revoke-orphan", {"token": parent}, token=world.holder(ALL))
    world.send(Operation.UPDATE, "auth/token/revoke-orphan", {"token": parent})
    assert not is_live(world, parent)
    assert world.read("auth/token/lookup-self", token=child)["orphan"] is True


def test_batch_tokens_are_not_revoked(world: World) -> None:
    """They end by themselves."""
    token = create(world, type="batch", policies=["default"]).client_token.reveal()
    for path in ("revoke", "revoke-orphan"):
        with pytest.raises(InvalidRequest, match="batch tokens cannot be revoked"):
            world.send(Operation.UPDATE, f"auth/token/{path}", {"token": token})
    with pytest.raises(InvalidRequest, match="batch tokens cannot be revoked"):
        post(world, "revoke-self", token)


def test_root_can_be_revoked(world: World) -> None:
    """Also a token that never ends: and all below it."""
    other = create(world).client_token.reveal()
    post(world, "revoke-self", ROOT)
    assert not is_live(world, ROOT)
    assert not is_live(world, other)


def test_lookup_tells_what_a_token_is(world: World) -> None:
    """With the fields that clients know."""
    made = create(world, policies=["default"], ttl=60, meta={"a": "b"}, display_name="x", period=30, num_uses=5)
    found = world.read("auth/token/lookup-self", token=made.client_token.reveal())
    expected = {
        "id": made.client_token.reveal(), "accessor": made.accessor, "policies": ["default"], "path": "auth/token/create",
        "meta": {"a": "b"},
        "display_name": "token-x", "num_uses": 4,
        "orphan": False, "creation_ttl": 30, "ttl": 30, "explicit_max_ttl": 0, "entity_id": "",
        "type": "service", "renewable": True, "period": 30,
    }  # fmt: skip
    assert {name: found[name] for name in expected} == expected
    root = world.read("auth/token/lookup-self")
    assert (root["expire_time"], root["ttl"], root["policies"]) == (None, 0, ["root"])


def test_tidy_answers_at_once(world: World) -> None:
    """With Vault's words and status."""
    answer = post(world, "tidy")
    assert answer.status == 202
    assert answer.warnings
