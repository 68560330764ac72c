"""Authentication requests: who gets a code, and for what."""

from typing import Any

import pytest

from tests.unit.vault.modules.identity.oidc.world import HOME, Client, OidcWorld, P, refusal, tokens
from tests.unit.vault.modules.system.world import ROOT
from vault import limits
from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.operation import Operation


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"client_id": None}, "invalid_client_id"),
        ({"client_id": "nobody"}, "invalid_client_id"),
        ({"client_id": "../app"}, "invalid_client_id"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": HOME + "/"}, "invalid_redirect_uri"),
        ({"redirect_uri": HOME + "?a=b"}, "invalid_redirect_uri"),
        ({"redirect_uri": HOME + "#x"}, "invalid_redirect_uri"),
        ({"redirect_uri": HOME.upper()}, "invalid_redirect_uri"),
        ({"redirect_uri": HOME.replace("https", "http")}, "invalid_redirect_uri"),
        ({"redirect_uri": HOME.replace(".com", ".com:444")}, "invalid_redirect_uri"),
        ({"redirect_uri": HOME.replace("app.", "user@app.")}, "invalid_redirect_uri"),
        ({"redirect_uri": "https://app.example.com.evil.example/callback"}, "invalid_redirect_uri"),
        ({"redirect_uri": "javascript:alert(1)"}, "invalid_redirect_uri"),
        ({"scope": None}, "invalid_request"),
        ({"scope": "groups"}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "code id_token"}, "unsupported_response_type"),
        ({"request": "x"}, "request_not_supported"),
        ({"request_uri": "x"}, "request_uri_not_supported"),
        ({"max_age": 0}, "invalid_request"),
        ({"max_age": -1}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": "!" * 43}, "invalid_request"),
        ({"code_challenge": "a" * 129}, "invalid_request"),
        ({"code_challenge": "a" * 43, "code_challenge_method": "S512"}, "invalid_request"),
        ({"state": "s" * (limits.OIDC_PARAMETER_BYTES_MAX + 1)}, "invalid_request"),
        ({"nonce": "n" * (limits.OIDC_PARAMETER_BYTES_MAX + 1)}, "invalid_request"),
    ],
)
def test_request_that_is_wrong_gets_no_code(
    world: OidcWorld, client: Client, ann: tuple[str, str], fields: dict[str, Any], error: str
) -> None:
    """A refusal has a code, a sentence and the state; nothing is stored."""
    response = world.ask(client, ann[0], **fields)
    assert refusal(response) == (400, error)
    assert response.data is not None
    assert response.data["state"] == fields.get("state", "st")
    assert not [path for path in world.rows.rows if "oidc/code/" in path]


@pytest.mark.parametrize("age", ["abc", 1.5, True, [], "NaN"])
def test_age_that_is_no_number_is_refused(world: OidcWorld, client: Client, ann: tuple[str, str], age: object) -> None:
    """How long ago somebody may have signed in is a whole number."""
    with pytest.raises(InvalidRequest):
        world.ask(client, ann[0], max_age=age)


def test_only_who_is_somebody_gets_a_code(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """No token: refused by the vault. A token of nobody, of somebody who is gone or disabled: access denied."""
    with pytest.raises(PermissionDenied):
        world.answer(Operation.UPDATE, f"{P}/authorize", {}, token=None)
    assert refusal(world.ask(client, ROOT)) == (400, "access_denied")
    token, entity = ann
    world.change(entity, disabled=True)
    assert refusal(world.ask(client, token)) == (400, "access_denied")
    del world.crowd.known[entity]
    assert refusal(world.ask(client, token)) == (400, "access_denied")


def test_only_the_assigned_get_a_code(world: OidcWorld, ann: tuple[str, str]) -> None:
    """A client is for those whom an assignment names, or whose group it names; without any it is for nobody."""
    token, entity = ann
    client = world.register(assignments="")
    assert refusal(world.ask(client, token)) == (400, "access_denied")
    world.write("identity/oidc/assignment/staff", entity_ids="other", group_ids="g2")
    world.write("identity/oidc/client/app", assignments="staff")
    assert refusal(world.ask(client, token)) == (400, "access_denied")
    world.write("identity/oidc/assignment/staff", group_ids="g1")
    assert world.code(client, token)
    world.write("identity/oidc/assignment/staff", group_ids="", entity_ids=entity)
    assert world.code(client, token)
    world.change(entity, group_ids=())
    world.write("identity/oidc/assignment/staff", group_ids="g1", entity_ids="")
    assert refusal(world.ask(client, token)) == (400, "access_denied")


def test_client_uses_providers_that_allow_it(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """A provider names its clients."""
    world.write(P, allowed_client_ids="other")
    assert refusal(world.ask(client, ann[0])) == (400, "unauthorized_client")
    code = None
    world.write(P, allowed_client_ids=client["client_id"])
    code = world.code(client, ann[0])
    world.write(P, allowed_client_ids="other")
    assert refusal(world.exchange(client, code)) == (401, "invalid_client")


def test_client_for_itself_signs_nobody_in(world: OidcWorld, ann: tuple[str, str]) -> None:
    """A client whose people may not sign in gets no code."""
    client = world.register(authorization_code=False)
    assert refusal(world.ask(client, ann[0])) == (400, "invalid_grant")


def test_old_sign_in_is_refused_where_the_client_says_so(world: OidcWorld, client: Client, ann: tuple[str, str]) -> None:
    """`max_age` is counted from when the token was made, and the ID token then says when that was."""
    signed_in = int(world.clock.now())
    world.clock.advance(100)
    assert refusal(world.ask(client, ann[0], max_age=99)) == (400, "max_age_violation")
    answer = tokens(world.exchange(client, world.code(client, ann[0], max_age="100")))
    assert world.verify(answer["id_token"], f"{P}/.well-known/keys", client["client_id"])["auth_time"] == signed_in
