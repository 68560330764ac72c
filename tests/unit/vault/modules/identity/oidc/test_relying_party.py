"""What relying parties read: userinfo and public documents; and what is said of clients."""

import pytest

from tests.unit.vault.modules.identity.oidc.world import Client, OidcWorld, P, refusal, tokens
from tests.unit.vault.modules.system.world import ROOT
from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.operation import Operation


def test_userinfo_tells_what_holds_now(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """The claims are those of the scopes, of the entity as it is now."""
    token, entity = ann
    access = tokens(world.exchange(client, world.code(client, token)))["access_token"]
    assert tokens(world.userinfo(access)) == {"sub": entity, "groups": ["doctors"]}
    world.change(entity, group_names=("nurses",))
    assert tokens(world.userinfo(access)) == {"sub": entity, "groups": ["nurses"]}
    bare = tokens(world.exchange(client, world.code(client, token, scope="openid")))["access_token"]
    assert tokens(world.userinfo(bare)) == {"sub": entity}


def test_userinfo_takes_access_tokens_only(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """Any other token, none, an expired one, one of another provider, or one that came in another header: invalid."""
    access = tokens(world.exchange(client, world.code(client, ann[0])))["access_token"]
    for other in (
        "",
        "nobody",
        ROOT,
        ann[0],
        access[:-2],
        world.issue("identity", entity_id=ann[1], meta={"oidc_token_type": "access token"}),
    ):
        response = world.userinfo(other)
        assert refusal(response) == (401, "invalid_token")
        assert response.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')
    assert refusal(world.userinfo(access, "identity/oidc/provider/default")) == (401, "invalid_token")
    assert refusal(world.userinfo(access, "identity/oidc/provider/none")) == (400, "invalid_request")
    assert refusal(world.answer(Operation.READ, f"{P}/userinfo", {}, token=access)) == (401, "invalid_token")
    world.clock.advance(86401)
    assert refusal(world.userinfo(access)) == (401, "invalid_token")


def test_userinfo_stops_with_what_it_was_given_for(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """Who is disabled, gone or not assigned any more is not told about; nor is a client told that is gone or may not ask."""
    token, entity = ann
    access = tokens(world.exchange(client, world.code(client, token)))["access_token"]
    world.change(entity, disabled=True)
    assert refusal(world.userinfo(access)) == (403, "access_denied")
    world.change(entity, disabled=False)
    world.write("identity/oidc/client/app", assignments="")
    assert refusal(world.userinfo(access)) == (403, "access_denied")
    world.write("identity/oidc/client/app", assignments="allow_all")
    world.write(P, allowed_client_ids="other")
    assert refusal(world.userinfo(access)) == (403, "access_denied")
    world.write(P, allowed_client_ids="*")
    assert tokens(world.userinfo(access))
    del world.crowd.known[entity]
    assert refusal(world.userinfo(access)) == (403, "access_denied")
    world.delete("identity/oidc/client/app")
    assert refusal(world.userinfo(access)) == (403, "access_denied")


def test_access_token_opens_nothing_else(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """It has no policies, not even the default one, and none of its entity."""
    access = tokens(world.exchange(client, world.code(client, ann[0])))["access_token"]
    for operation, path in (
        (Operation.READ, "auth/token/lookup-self"),
        (Operation.UPDATE, "auth/token/create"),
        (Operation.UPDATE, f"{P}/authorize"),
        (Operation.READ, "identity/oidc/client/app"),
        (Operation.READ, "cubbyhole/x"),
    ):
        with pytest.raises(PermissionDenied):
            world.answer(operation, path, {}, token=access)


def test_provider_shows_the_keys_of_its_clients(world: OidcWorld, client: Client) -> None:
    """Whoever may not use a provider has no key there; who rotates publishes the next key ahead of use."""

    def kids(path: str = P) -> list[str]:
        return [key["kid"] for key in world.read(f"{path}/.well-known/keys", token=None)["keys"]]

    before = kids()
    assert len(before) == 2
    world.write("identity/oidc/key/quick/rotate")
    assert kids()[0] == before[1]
    world.write("identity/oidc/provider/empty", allowed_client_ids="")
    assert kids("identity/oidc/provider/empty") == []
    world.write("identity/oidc/provider/empty", allowed_client_ids=client["client_id"])
    assert kids("identity/oidc/provider/empty") == kids()
    assert world.send(Operation.READ, "identity/oidc/provider/none/.well-known/keys", {}, token=None) is None


def test_what_is_needed_stays(world: OidcWorld, client: Client) -> None:
    """A scope of a provider and an assignment of a client are not deleted."""
    world.write("identity/oidc/assignment/staff", entity_ids="x")
    world.write("identity/oidc/client/app", assignments="staff")
    with pytest.raises(InvalidRequest, match="these clients: app"):
        world.delete("identity/oidc/assignment/staff")
    with pytest.raises(InvalidRequest, match="these providers: main"):
        world.delete("identity/oidc/scope/groups")
    assert world.read("identity/oidc/client/app")["client_id"] == client["client_id"]


def test_client_secrets_are_in_no_listing(world: OidcWorld, client: Client) -> None:
    """A listing tells of clients without their secrets; a deleted client is known by no id any more."""
    response = world.answer(Operation.LIST, "identity/oidc/client/", {})
    assert client["client_secret"] not in str(response.data)
    world.delete("identity/oidc/client/app")
    assert not [path for path in world.rows.rows if "oidc/client" in path]
