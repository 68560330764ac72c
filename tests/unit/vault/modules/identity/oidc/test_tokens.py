"""Identity tokens: keys, roles, tokens, introspection."""

from typing import Any

import pytest

from tests.unit.vault.modules.identity.oidc.world import ADDRESS, OidcWorld
from vault import limits
from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.operation import Operation

KEYS = "identity/oidc/.well-known/keys"
ISSUER = f"{ADDRESS}/v1/identity/oidc"


def shown(world: OidcWorld) -> list[str]:
    """Return the ids of the published keys."""
    return [key["kid"] for key in world.read(KEYS, token=None)["keys"]]


@pytest.fixture
def role(world: OidcWorld) -> str:
    """Return the path at which tokens are made."""
    world.write("identity/oidc/key/quick", algorithm="ES256", allowed_client_ids="*", rotation_period="1h", verification_ttl="2h")
    template = '{"who": {{identity.entity.name}}, "groups": {{identity.entity.groups.names}}}'
    world.write("identity/oidc/role/app", key="quick", ttl="1h", client_id="app", template=template)
    return "identity/oidc/token/app"


def introspect(world: OidcWorld, token: str, **fields: Any) -> Any:
    """Return what the service says of a token."""
    response = world.answer(Operation.UPDATE, "identity/oidc/introspect", {"token": token, **fields})
    assert response.status is None
    return response.data


@pytest.mark.parametrize("seconds", [-1, 1.5, True, "abc", "NaN", "1e3", [], {}, 2**70])
@pytest.mark.parametrize("field", ["rotation_period", "verification_ttl"])
def test_doubtful_time_of_a_key_is_refused(world: OidcWorld, field: str, seconds: Any) -> None:
    """A time is a whole number of seconds, or text with units; nothing is stored of any other."""
    with pytest.raises(InvalidRequest):
        world.write("identity/oidc/key/odd", **{field: seconds})
    assert world.list("identity/oidc/key") == ("default",)


@pytest.mark.parametrize("name", ["..", ".a", "a.", "a b", "a\0", "a\n", "é", "-", "a" * 257, "a;b"])
@pytest.mark.parametrize("kind", ["key", "role", "scope", "assignment", "client", "provider"])
def test_odd_name_is_refused(world: OidcWorld, kind: str, name: str) -> None:
    """A name is letters, digits and a few signs within it."""
    with pytest.raises(InvalidRequest):
        world.write(f"identity/oidc/{kind}/{name}", key="default")


@pytest.mark.parametrize("name", ["../config/config", "a\0b", "\ud800", "x" * 5000])
def test_odd_reference_is_refused(world: OidcWorld, name: str) -> None:
    """What a row refers to is looked for by its name, never by a path."""
    for path, fields in (
        ("role/a", {"key": name}),
        ("client/a", {"key": name}),
        ("client/a", {"assignments": [name]}),
        ("provider/a", {"scopes_supported": [name]}),
    ):
        with pytest.raises(InvalidRequest):
            world.write(f"identity/oidc/{path}", **fields)


def test_list_has_a_limit(world: OidcWorld) -> None:
    """Nobody makes every sign-in read a list of any length."""
    with pytest.raises(InvalidRequest, match="at most"):
        world.write("identity/oidc/assignment/a", entity_ids=[str(number) for number in range(1_001)])


def test_token_needs_an_entity(world: OidcWorld, role: str) -> None:
    """The root token is nobody, and a stranger gets nothing."""
    with pytest.raises(InvalidRequest, match="no entity"):
        world.read(role)
    with pytest.raises(PermissionDenied):
        world.read(role, token=None)


def test_token_tells_who_the_caller_is(world: OidcWorld, role: str) -> None:
    """The claims are those of the service, then those of the template; the published keys check the signature."""
    token, entity = world.enter("ann", group_names=("doctors",))
    data = world.read(role, token=token)
    assert (data["client_id"], data["ttl"]) == ("app", 3600)
    now = int(world.clock.now())
    assert world.verify(data["token"], KEYS, "app") == {
        "iss": ISSUER,
        "namespace": "root",
        "sub": entity,
        "aud": "app",
        "iat": now,
        "exp": now + 3600,
        "who": "ann",
        "groups": ["doctors"],
    }


def test_key_signs_for_its_clients_only(world: OidcWorld, role: str) -> None:
    """A key that lost a client signs no more for it."""
    token, _ = world.enter("ann")
    world.write("identity/oidc/key/quick", allowed_client_ids="other")
    with pytest.raises(InvalidRequest, match="does not list the client ID"):
        world.read(role, token=token)


def test_issuer_can_be_named(world: OidcWorld, role: str) -> None:
    """Tokens and documents name the issuer that is configured; tokens of another issuer are not ours any more."""
    token, _ = world.enter("ann")
    former = world.read(role, token=token)["token"]
    world.write("identity/oidc/config", issuer="https://id.example.com")
    made = world.read(role, token=token)["token"]
    assert world.verify(made, KEYS, "app")["iss"] == "https://id.example.com/v1/identity/oidc"
    assert world.read("identity/oidc/.well-known/openid-configuration", token=None)["issuer"] == "https://id.example.com/v1/identity/oidc"
    assert introspect(world, made) == {"active": True}
    assert introspect(world, former)["active"] is False


def test_introspection_says_what_holds_now(world: OidcWorld, role: str) -> None:
    """A token is active while its signature, audience, time and entity are good."""
    token, entity = world.enter("ann")
    made = world.read(role, token=token)["token"]
    assert introspect(world, made) == {"active": True}
    assert introspect(world, made, client_id="app") == {"active": True}
    assert introspect(world, made, client_id="other")["active"] is False
    assert introspect(world, made[:-6] + "AAAAAA")["active"] is False
    assert introspect(world, "x")["active"] is False
    world.change(entity, disabled=True)
    assert introspect(world, made) == {"active": False, "error": "entity is disabled"}
    world.change(entity, disabled=False)
    world.clock.advance(3601)
    assert introspect(world, made)["active"] is False
    world.clock.advance(-3601)
    assert introspect(world, made) == {"active": True}
    del world.crowd.known[entity]
    assert introspect(world, made) == {"active": False, "error": "entity was not found"}


def test_rotated_key_is_checked_until_its_time_is_over(world: OidcWorld, role: str) -> None:
    """A rotation signs with the key that was announced, and what was signed before stays good for the verification time."""
    token, _ = world.enter("ann")
    made = world.read(role, token=token)["token"]
    current, announced = shown(world)
    world.write("identity/oidc/key/quick/rotate")
    assert shown(world)[0] == announced
    assert current in shown(world)
    assert len(shown(world)) == 3
    assert introspect(world, made) == {"active": True}
    assert world.verify(world.read(role, token=token)["token"], KEYS, "app")["aud"] == "app"
    world.clock.advance(7201)
    assert current not in shown(world)
    assert introspect(world, made)["active"] is False


def test_rotation_may_cut_the_time_of_the_former_key(world: OidcWorld, role: str) -> None:
    """With no verification time at all the former key is out at once: the answer to a key that got into wrong hands."""
    token, _ = world.enter("ann")
    made = world.read(role, token=token)["token"]
    world.write("identity/oidc/key/quick/rotate", verification_ttl=0)
    assert introspect(world, made)["active"] is False
    assert len(shown(world)) == 2


@pytest.mark.usefixtures("role")
def test_pairs_of_a_key_have_a_limit(world: OidcWorld) -> None:
    """Nobody makes a key publish pairs without end, neither by rotations nor by algorithms; time makes room again."""
    for _ in range(limits.OIDC_RETIRED_MAX):
        world.write("identity/oidc/key/quick/rotate")
    with pytest.raises(InvalidRequest, match="verification time is not over"):
        world.write("identity/oidc/key/quick/rotate")
    with pytest.raises(InvalidRequest, match="verification time is not over"):
        world.write("identity/oidc/key/quick", algorithm="EdDSA")
    world.clock.advance(7201)
    world.write("identity/oidc/key/quick/rotate")
    assert len(shown(world)) == 3


def test_rotation_holds_on_every_worker(world: OidcWorld, role: str) -> None:
    """What one worker rotated, another signs with and publishes at its next request."""
    other = world.worker()
    token, _ = world.enter("ann")
    world.read(role, token=token, worker=other)
    announced = shown(world)[1]
    world.write("identity/oidc/key/quick/rotate")
    made = world.read(role, token=token, worker=other)["token"]
    assert world.verify(made, KEYS, "app")
    assert world.read(KEYS, token=None, worker=other)["keys"][0]["kid"] == announced


@pytest.mark.usefixtures("role")
def test_key_is_rotated_when_it_is_due(world: OidcWorld) -> None:
    """The background work rotates once the period is over, once, and takes away what checks nothing any more."""
    first, announced = shown(world)
    world.clock.advance(3599)
    world.upkeep.run()
    assert shown(world) == [first, announced]
    world.clock.advance(2)
    world.upkeep.run()
    world.upkeep.run()
    assert shown(world)[0] == announced
    assert len(shown(world)) == 3
    world.clock.advance(7201)
    world.upkeep.run()
    world.upkeep.run()
    assert first not in shown(world)
    view_rows = [path for path in world.rows.rows if "oidc/key/quick" in path]
    assert len(view_rows) == 1


def test_key_that_nobody_needs_is_not_made(world: OidcWorld) -> None:
    """The key that always exists gets its pairs with the first role or client, and the work of rotation leaves it alone until then."""
    world.clock.advance(10**6)
    world.upkeep.run()
    assert not [path for path in world.rows.rows if "oidc/key" in path]
    world.write("identity/oidc/role/app", key="default", ttl="1h")
    assert len(shown(world)) == 2


def test_other_algorithm_replaces_the_pairs(world: OidcWorld, role: str) -> None:
    """Tokens of the former algorithm stay good for the verification time."""
    token, _ = world.enter("ann")
    made = world.read(role, token=token)["token"]
    world.write("identity/oidc/key/quick", algorithm="EdDSA")
    assert introspect(world, made) == {"active": True}
    assert world.verify(world.read(role, token=token)["token"], KEYS, "app")
    world.clock.advance(7201)
    assert [key["alg"] for key in world.read(KEYS, token=None)["keys"]] == ["EdDSA", "EdDSA"]


@pytest.mark.usefixtures("role")
def test_key_that_is_needed_stays(world: OidcWorld) -> None:
    """A key with roles or clients is neither deleted nor made to forget their tokens early."""
    world.write("identity/oidc/client/c", key="quick", id_token_ttl="90m")
    with pytest.raises(InvalidRequest, match="these roles: app"):
        world.delete("identity/oidc/key/quick")
    with pytest.raises(InvalidRequest, match="roles with a token ttl greater than 60"):
        world.write("identity/oidc/key/quick", verification_ttl=60)
    with pytest.raises(InvalidRequest, match="clients with an id_token_ttl greater than 3600"):
        world.write("identity/oidc/key/quick", verification_ttl=3600)
    world.delete("identity/oidc/role/app")
    with pytest.raises(InvalidRequest, match="these clients: c"):
        world.delete("identity/oidc/key/quick")
    world.delete("identity/oidc/client/c")
    world.delete("identity/oidc/key/quick")
    assert world.list("identity/oidc/key") == ("default",)


@pytest.mark.usefixtures("role")
def test_public_documents_may_be_kept_for_a_while(world: OidcWorld) -> None:
    """Keys are kept no longer than a rotation leaves them enough; everything else is never kept."""

    def kept(document: str) -> str:
        return world.answer(Operation.READ, f"identity/oidc/.well-known/{document}", {}, token=None).headers["Cache-Control"]

    assert (kept("keys"), kept("openid-configuration")) == ("max-age=3600", "max-age=3600")
    world.write("identity/oidc/role/app", ttl=60)
    world.write("identity/oidc/key/quick", rotation_period=60, verification_ttl=600)
    assert kept("keys") == "max-age=60"


@pytest.mark.usefixtures("role")
def test_private_keys_are_nowhere_to_be_read(world: OidcWorld) -> None:
    """Neither an answer nor a stored row shows the private half."""
    entry = world.first.store.read().get(next(path for path in world.rows.rows if path.endswith("oidc/key/quick")))
    assert entry is not None
    private = entry.value.split(b'"private":"')[1].split(b'"')[0]
    assert len(private) > 50
    assert not any(private in row.value for row in world.rows.rows.values())
    for path in ("identity/oidc/key/quick", KEYS):
        assert private.decode() not in str(world.read(path))
