"""Token requests: what is given for a code, and to whom."""

import hashlib
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from tests.unit.vault.modules.identity.oidc.world import (
    ADDRESS,
    CHALLENGE,
    HOME,
    S256,
    VERIFIER,
    Client,
    OidcWorld,
    P,
    refusal,
    tokens,
)
from vault import limits
from vault.logical.request import BasicCredentials
from vault.secret import Secret


@pytest.mark.parametrize("basic", [True, False])
def test_code_is_exchanged_for_tokens(world: OidcWorld, client: Client, ann: tuple[str, str], basic: bool) -> None:
    """The ID token is signed by a published key and says who, for whom and in answer to what."""
    token, entity = ann
    code = world.code(client, token, nonce="n-1")
    response = world.exchange(client, code, basic=basic)
    answer = tokens(response)
    assert response.headers == {"Pragma": "no-cache"}
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 86400)
    claims = world.verify(answer["id_token"], f"{P}/.well-known/keys", client["client_id"])
    half = hashlib.sha256(answer["access_token"].encode()).digest()[:16]
    now = int(world.clock.now())
    assert claims.pop("at_hash") == urlsafe_b64encode(half).rstrip(b"=").decode()
    assert claims.pop("c_hash") == urlsafe_b64encode(hashlib.sha256(code.encode()).digest()[:16]).rstrip(b"=").decode()
    assert claims == {
        "iss": f"{ADDRESS}/v1/{P}",
        "namespace": "root",
        "sub": entity,
        "aud": client["client_id"],
        "iat": now,
        "exp": now + 86400,
        "nonce": "n-1",
        "groups": ["doctors"],
    }


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"code": None}, "invalid_request"),
        ({"code": "x"}, "invalid_grant"),
        ({"code": "\0"}, "invalid_grant"),
        ({"grant_type": None}, "unsupported_grant_type"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": "https://other.example.com"}, "invalid_grant"),
        ({"code_verifier": VERIFIER}, "invalid_request"),
    ],
)
def test_exchange_that_is_wrong_gets_nothing(
    world: OidcWorld, client: Client, ann: tuple[str, str], fields: dict[str, Any], error: str
) -> None:
    """What is wrong has a code of OAuth."""
    response = world.exchange(client, world.code(client, ann[0]), **fields)
    assert refusal(response) == (400, error)
    assert response.headers == {"Pragma": "no-cache"}


def test_code_is_good_once(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """The second exchange gets nothing, on whichever worker."""
    code, other = world.code(client, ann[0]), world.worker()
    tokens(world.exchange(client, code, worker=other))
    assert refusal(world.exchange(client, code)) == (400, "invalid_grant")
    assert refusal(world.exchange(client, code, worker=other)) == (400, "invalid_grant")


def test_code_shown_with_anything_wrong_is_used_up(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """Whoever tries addresses or verifiers has one try."""
    code = world.code(client, ann[0], **CHALLENGE)
    assert refusal(world.exchange(client, code, code_verifier="w" * 43)) == (400, "invalid_grant")
    assert refusal(world.exchange(client, code, code_verifier=VERIFIER)) == (400, "invalid_grant")
    code = world.code(client, ann[0])
    assert refusal(world.exchange(client, code, redirect_uri="https://other.example.com")) == (400, "invalid_grant")
    assert refusal(world.exchange(client, code)) == (400, "invalid_grant")


def test_code_is_for_the_client_that_asked(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """Another client gets nothing for it, and neither does another provider give anything."""
    other = world.register("other")
    assert refusal(world.exchange(other, world.code(client, ann[0]))) == (400, "invalid_grant")
    code = world.code(client, ann[0])
    fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": HOME}
    basic = BasicCredentials(name=client["client_id"], secret=Secret(client["client_secret"]))
    assert refusal(world.oauth("identity/oidc/provider/default/token", fields, basic=basic)) == (400, "invalid_grant")


def test_code_expires_and_is_swept(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """After five minutes a code is good for nothing, and after that it is gone."""
    code = world.code(client, ann[0])
    world.clock.advance(limits.OIDC_CODE_SECONDS - 1)
    world.upkeep.run()
    assert [path for path in world.rows.rows if "oidc/code/" in path]
    assert code not in str(list(world.rows.rows))
    world.clock.advance(2)
    assert refusal(world.exchange(client, code)) == (400, "invalid_grant")
    world.upkeep.run()
    assert not [path for path in world.rows.rows if "oidc/code/" in path]


def test_client_must_show_its_secret(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """A wrong secret, none, or a client that does not exist: the same answer; the code is still good."""
    code = world.code(client, ann[0])
    attempts: list[dict[str, Any]] = [
        {**client, "client_secret": "hvo_secret_wrong"},
        {**client, "client_secret": ""},
        {**client, "client_id": "nobody"},
        {"client_id": client["client_id"]},
        {**client, "client_secret": client["client_secret"] + " "},
        {**client, "client_secret": "\ud800"},
    ]
    for attempt in attempts:
        for basic in (True, False):
            response = world.exchange(attempt, code, basic=basic)
            assert refusal(response) == (401, "invalid_client")
            assert response.headers["WWW-Authenticate"] == "Basic"
            assert response.data == {"error": "invalid_client", "error_description": "client failed to authenticate"}
    assert refusal(world.exchange(client, code, client_secret=client["client_secret"])) == (400, "invalid_request")
    assert tokens(world.exchange(client, code))


def test_client_secret_of_another_client_is_none(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """A secret proves one client."""
    other = world.register("other")
    mixed = {**client, "client_secret": other["client_secret"]}
    assert refusal(world.exchange(mixed, world.code(client, ann[0]))) == (401, "invalid_client")


def test_public_client_needs_pkce(world: OidcWorld, public: Client, ann: tuple[str, str]) -> None:
    """A client without a secret gets no code without a challenge, and nothing for it without the verifier."""
    assert "client_secret" not in public
    assert refusal(world.ask(public, ann[0])) == (400, "invalid_request")
    for verifier, error in ((None, "invalid_request"), ("", "invalid_request"), ("w" * 43, "invalid_grant"), (S256, "invalid_grant")):
        assert refusal(world.exchange(public, world.code(public, ann[0], **CHALLENGE), code_verifier=verifier)) == (400, error)
    assert tokens(world.exchange(public, world.code(public, ann[0], **CHALLENGE), code_verifier=VERIFIER))
    plain = world.code(public, ann[0], code_challenge=VERIFIER)
    assert tokens(world.exchange(public, plain, code_verifier=VERIFIER))


def test_person_is_looked_at_again(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """Who was disabled or lost the assignment after the code was made gets no tokens."""
    token, entity = ann
    code = world.code(client, token)
    world.change(entity, disabled=True)
    assert refusal(world.exchange(client, code)) == (400, "invalid_request")
    world.change(entity, disabled=False)
    code = world.code(client, token)
    world.write("identity/oidc/client/app", assignments="")
    assert refusal(world.exchange(client, code)) == (400, "invalid_request")


def test_key_that_lost_a_client_signs_no_more(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """The key of a client must allow it."""
    code = world.code(client, ann[0])
    world.write("identity/oidc/key/quick", allowed_client_ids="other")
    assert refusal(world.exchange(client, code)) == (401, "invalid_client")


def test_scopes_that_claim_the_same_are_refused_together(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """Of two scopes with one claim, neither wins; a scope that the provider does not know is ignored."""
    world.write("identity/oidc/scope/also", template='{"groups": 1}')
    world.write(P, scopes_supported=["groups", "also"])
    assert refusal(world.exchange(client, world.code(client, ann[0], scope="openid groups also"))) == (400, "invalid_request")
    assert tokens(world.exchange(client, world.code(client, ann[0], scope="openid also nothing")))


def test_client_gets_a_token_of_its_own(world: OidcWorld) -> None:
    """With client_credentials a client that can show a secret gets a signed token about itself."""
    client = world.register(client_credentials=True, authorization_code=False)
    fields: dict[str, Any] = {"grant_type": "client_credentials", "scope": "openid groups"}
    answer = tokens(world.exchange(client, "", **fields))
    claims = world.verify(answer["access_token"], f"{P}/.well-known/keys", client["client_id"])
    assert claims["sub"] == client["client_id"]
    assert "groups" not in claims
    assert "id_token" not in answer
    assert refusal(world.exchange({**client, "client_secret": "x"}, "", **fields)) == (401, "invalid_client")


def test_public_client_gets_no_token_of_its_own(world: OidcWorld) -> None:
    """Who cannot prove to be a client gets nothing in its name."""
    client = world.register(client_credentials=True, client_type="public")
    assert refusal(world.exchange(client, "", grant_type="client_credentials", scope="openid")) == (400, "invalid_grant")
