"""Applications sign people in by OpenID Connect: a real client library against a server with several workers."""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
import requests
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.integration.server.fleet import Fleet

HOME = "https://app.example.com/callback"
VERIFIER = "a-verifier-of-pkce-that-is-as-long-as-it-has-to-be"
P = "identity/oidc/provider/clinic"
CALLERS = int(os.environ.get("HEALTH_VAULT_TEST_ROUNDS", "20"))


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """An application, and what it knows of the provider."""

    fleet: Fleet
    client_id: str
    client_secret: str | None
    provider: dict[str, Any]

    def session(self, **options: Any) -> OAuth2Session:
        """Return a client of the library."""
        how = "none" if self.client_secret is None else "client_secret_basic"
        usual = {"redirect_uri": HOME, "scope": "openid team", "code_challenge_method": "S256", "token_endpoint_auth_method": how}
        return OAuth2Session(self.client_id, self.client_secret, **{**usual, **options})

    def send_to_sign_in(self, session: OAuth2Session, person: str, **more: Any) -> str:
        """Do what browser and web interface do: ask for a code with somebody's token; return where the browser is sent then."""
        url, state = session.create_authorization_url(self.provider["authorization_endpoint"], code_verifier=VERIFIER, nonce="n-1", **more)
        asked = dict(parse_qsl(urlsplit(url).query))
        answer = self.fleet.once("GET", f"{P}/authorize?{urlencode(asked)}", token=person)
        assert answer.status == 200, answer.body
        assert answer.body["state"] == state
        return f"{asked['redirect_uri']}?{urlencode(answer.body)}"

    def exchange(self, session: OAuth2Session, location: str, **more: Any) -> Any:
        """Let the library exchange what came back for tokens."""
        state = dict(parse_qsl(urlsplit(location).query))["state"]
        sent = {"code_verifier": VERIFIER, "state": state, **more}
        return session.fetch_token(self.provider["token_endpoint"], authorization_response=location, **sent)

    def verify(self, id_token: str, **params: Any) -> Any:
        """Return the claims of an ID token that the library has checked against the published keys."""
        keys = KeySet.import_key_set(requests.get(self.provider["jwks_uri"], timeout=30).json())
        decoded = jwt.decode(id_token, keys, algorithms=self.provider["id_token_signing_alg_values_supported"])
        wanted = {"iss": {"essential": True, "value": self.provider["issuer"]}, "aud": {"essential": True, "value": self.client_id}}
        claims = CodeIDToken(decoded.claims, decoded.header, options=wanted, params={"nonce": "n-1", "client_id": self.client_id, **params})
        claims.validate()
        return claims


def write(fleet: Fleet, path: str, **fields: Any) -> None:
    """Write with the root token."""
    answer = fleet.once("POST", path, fields, fleet.root)
    assert answer.status in (200, 204), answer.body


def sign_up(fleet: Fleet, name: str) -> str:
    """Return a token of somebody who may sign in."""
    write(fleet, "auth/token/roles/people", allowed_entity_aliases="*", orphan=True, allowed_policies="default")
    answer = fleet.once("POST", "auth/token/create/people", {"entity_alias": name}, fleet.root)
    assert answer.status == 200, answer.body
    assert answer.body["auth"]["entity_id"]
    return str(answer.body["auth"]["client_token"])


@pytest.fixture(scope="module")
def provider(fleet: Fleet) -> dict[str, Any]:
    """Set up a provider and return its discovery document."""
    write(fleet, "identity/oidc/scope/team", template='{"id": {{identity.entity.id}}, "teams": {{identity.entity.groups.names}}}')
    write(fleet, P, allowed_client_ids="*", scopes_supported="team")
    document: dict[str, Any] = requests.get(f"http://127.0.0.1:{fleet.port}/v1/{P}/.well-known/openid-configuration", timeout=30).json()
    return document


def register(fleet: Fleet, provider: dict[str, Any], name: str, **fields: Any) -> App:
    """Register a client."""
    write(fleet, f"identity/oidc/client/{name}", **{"redirect_uris": [HOME], "assignments": "allow_all", **fields})
    data = fleet.once("GET", f"identity/oidc/client/{name}", token=fleet.root).data
    return App(fleet=fleet, client_id=data["client_id"], client_secret=data.get("client_secret"), provider=provider)


@pytest.fixture(scope="module")
def app(fleet: Fleet, provider: dict[str, Any]) -> App:
    """Register a client that has a secret."""
    return register(fleet, provider, "app")


@pytest.fixture(scope="module")
def person(fleet: Fleet) -> str:
    """Return a token of somebody."""
    return sign_up(fleet, "ann")


@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_person_signs_in(app: App, person: str, method: str) -> None:
    """From the first request to the claims, everything that the library checks holds."""
    session = app.session(token_endpoint_auth_method=method)
    token = app.exchange(session, app.send_to_sign_in(session, person, max_age=3600))
    claims = app.verify(token["id_token"], max_age=3600, access_token=token["access_token"])
    assert claims["nonce"] == "n-1"
    told = session.get(app.provider["userinfo_endpoint"], timeout=30).json()
    assert told == {"sub": claims["sub"], "id": claims["sub"], "teams": []}


def test_public_client_signs_in_by_pkce_alone(fleet: Fleet, provider: dict[str, Any], person: str) -> None:
    """A client without a secret proves that it is the one that began."""
    phone = register(fleet, provider, "phone", client_type="public")
    session = phone.session()
    assert phone.exchange(session, phone.send_to_sign_in(session, person))["id_token"]
    location = phone.send_to_sign_in(session, person)
    with pytest.raises(AuthlibBaseError, match="invalid_grant"):
        phone.exchange(session, location, code_verifier="x" * 50)
    bare = phone.session(code_challenge_method=None)
    with pytest.raises(AssertionError, match="PKCE is required"):
        phone.send_to_sign_in(bare, person)


def test_wrong_secret_and_other_address_get_nothing(app: App, person: str) -> None:
    """The library is told what was wrong, as OAuth says."""
    session = app.session()
    location = app.send_to_sign_in(session, person)
    stranger = OAuth2Session(app.client_id, "hvo_secret_wrong", redirect_uri=HOME, state=session.state)
    with pytest.raises(AuthlibBaseError, match="invalid_client"):
        app.exchange(stranger, location)
    elsewhere = app.session(redirect_uri="https://evil.example.com/callback")
    with pytest.raises(AuthlibBaseError, match="invalid_grant"):
        app.exchange(elsewhere, location)
    with pytest.raises(AuthlibBaseError, match="invalid_grant"):
        app.exchange(session, location)
    with pytest.raises(AssertionError, match="invalid_redirect_uri"):
        app.send_to_sign_in(elsewhere, person)


def test_unassigned_person_gets_no_code(fleet: Fleet, provider: dict[str, Any], person: str) -> None:
    """A client is for those that it is assigned to."""
    write(fleet, "identity/oidc/assignment/others", entity_ids="somebody-else")
    closed = register(fleet, provider, "closed", assignments="others")
    with pytest.raises(AssertionError, match="access_denied"):
        closed.send_to_sign_in(closed.session(), person)


def test_changes_of_a_person_hold_on_every_worker(fleet: Fleet, provider: dict[str, Any]) -> None:
    """Who logged in with a password signs in by the groups of the entity; who leaves one or is disabled is not told about any more."""
    write(fleet, "sys/auth/oidc-users", type="userpass")
    write(fleet, "auth/oidc-users/users/eve", password="correct horse battery")
    auth = fleet.once("POST", "auth/oidc-users/login/eve", {"password": "correct horse battery"}).body["auth"]
    entity, token = auth["entity_id"], auth["client_token"]
    inner = fleet.once("POST", "identity/group", {"name": "night", "member_entity_ids": entity}, fleet.root).data["id"]
    outer = fleet.once("POST", "identity/group", {"name": "doctors", "member_group_ids": inner}, fleet.root).data["id"]
    write(fleet, "identity/oidc/assignment/doctors", group_ids=outer)
    app = register(fleet, provider, "ward", assignments="doctors")
    session = app.session()
    access = app.exchange(session, app.send_to_sign_in(session, token))["access_token"]

    def ask() -> tuple[int, Any]:
        answer = requests.get(app.provider["userinfo_endpoint"], headers={"Authorization": f"Bearer {access}"}, timeout=30)
        return answer.status_code, answer.json().get("teams")

    for path, change, back in (
        (f"identity/group/id/{inner}", {"member_entity_ids": ""}, {"member_entity_ids": entity}),
        (f"identity/group/id/{outer}", {"member_group_ids": ""}, {"member_group_ids": inner}),
        (f"identity/entity/id/{entity}", {"disabled": True}, {"disabled": False}),
    ):
        assert [ask() for _ in range(8)] == [(200, ["night", "doctors"])] * 8
        write(fleet, path, **change)
        assert [ask() for _ in range(8)] == [(403, None)] * 8
        with pytest.raises(AssertionError, match=r"access_denied|permission denied"):
            app.send_to_sign_in(session, token)
        write(fleet, path, **back)
    assert fleet.once("DELETE", f"identity/entity/id/{entity}", token=fleet.root).status == 204
    assert [ask() for _ in range(8)] == [(403, None)] * 8


def test_code_used_by_many_at_once_is_good_for_one(app: App, person: str) -> None:
    """Of many exchanges of one code, spread over all workers, one gets tokens."""
    for _ in range(5):
        code = dict(parse_qsl(urlsplit(app.send_to_sign_in(app.session(), person)).query))["code"]
        body = {"grant_type": "authorization_code", "code": code, "redirect_uri": HOME, "code_verifier": VERIFIER}

        def exchange(_: int, body: dict[str, str] = body) -> tuple[int, str]:
            answer = requests.post(app.provider["token_endpoint"], data=body, auth=(app.client_id, app.client_secret or ""), timeout=30)
            return answer.status_code, answer.json().get("error", "")

        with ThreadPoolExecutor(CALLERS) as pool:
            results = Counter(pool.map(exchange, range(CALLERS)))
        assert results == {(200, ""): 1, (400, "invalid_grant"): CALLERS - 1}


def test_rotation_holds_on_every_worker(fleet: Fleet, provider: dict[str, Any], person: str) -> None:
    """After a rotation every worker publishes the same keys, signs with the one announced, and what was signed before still verifies."""
    write(fleet, "identity/oidc/key/turning", algorithm="ES256", allowed_client_ids="*")
    app = register(fleet, provider, "turning", key="turning")
    session = app.session()
    former = app.exchange(session, app.send_to_sign_in(session, person))["id_token"]
    with fleet.connected(each=1) as groups:
        workers = [group[0] for group in groups]
        for turn in range(8):
            maker = workers[turn % len(workers)]
            assert maker.call("POST", "identity/oidc/key/turning/rotate", {}, fleet.root).status == 204
            shown = [worker.call("GET", f"{P}/.well-known/keys").body["keys"] for worker in workers]
            assert all(keys == shown[0] for keys in shown)
    assert app.verify(former)["sub"]
    location = app.send_to_sign_in(session, person)
    assert app.verify(app.exchange(session, location)["id_token"])["sub"]


def test_nothing_refers_to_what_is_gone(fleet: Fleet) -> None:
    """However writes and deletes meet: no role or client lacks its key or assignment, or has tokens that outlive the key."""
    calls: list[tuple[str, str, dict[str, Any] | None]] = [
        ("POST", "role/meet", {"key": "meet", "ttl": "1h"}),
        ("DELETE", "key/meet", None),
        ("POST", "client/meet", {"key": "meet", "assignments": "meet"}),
        ("POST", "key/meet/rotate", {}),
        ("POST", "key/meet", {"verification_ttl": 60, "algorithm": "ES256"}),
        ("DELETE", "assignment/meet", None),
    ]

    def call(asked: tuple[str, str, dict[str, Any] | None]) -> int:
        return fleet.once(asked[0], f"identity/oidc/{asked[1]}", asked[2], fleet.root).status

    def read(path: str) -> Any:
        answer = fleet.once("GET", f"identity/oidc/{path}", token=fleet.root)
        return answer.data if answer.status == 200 else None

    with ThreadPoolExecutor(len(calls)) as pool:
        for turn in range(CALLERS):
            write(fleet, "identity/oidc/assignment/meet", entity_ids="x")
            write(fleet, "identity/oidc/key/meet", algorithm="ES256", verification_ttl="24h")
            assert set(pool.map(call, calls[turn % 6 :] + calls[: turn % 6])) <= {204, 400}
            key, role, client = read("key/meet"), read("role/meet"), read("client/meet")
            limit = -1 if key is None else key["verification_ttl"]
            assert role is None or role["ttl"] <= limit
            assert client is None or client["id_token_ttl"] <= limit
            assert client is None or read("assignment/meet") is not None
            for path in ("role/meet", "client/meet"):
                assert call(("DELETE", path, None)) == 204


def test_audit_log_has_no_secrets(app: App, person: str) -> None:
    """What was asked and given is on record, codes, tokens, secrets and verifiers only as hashes."""
    session = app.session()
    location = app.send_to_sign_in(session, person)
    token = app.exchange(session, location)
    session.get(app.provider["userinfo_endpoint"], timeout=30)
    log = app.fleet.audit_file.read_text()
    assert log.count(f'"{P}/token"') >= 2
    code = dict(parse_qsl(urlsplit(location).query))["code"]
    for secret in (code, token["access_token"], token["id_token"], app.client_secret, VERIFIER, person):
        assert secret
        assert secret not in log


@pytest.mark.filterwarnings("ignore:EdDSA is deprecated")  # the library prefers the name Ed25519; Vault's clients know EdDSA
def test_identity_token_verifies_with_the_published_keys(fleet: Fleet) -> None:
    """A role makes tokens for every algorithm that a plain JWT library verifies."""
    base = f"http://127.0.0.1:{fleet.port}/v1/identity/oidc"
    write(fleet, "sys/policies/acl/tokens", policy='path "identity/oidc/token/*" { capabilities = ["read"] }')
    write(fleet, "auth/token/roles/tokens", allowed_entity_aliases="*", orphan=True, allowed_policies="tokens")
    token = fleet.once("POST", "auth/token/create/tokens", {"entity_alias": "ann"}, fleet.root).body["auth"]["client_token"]
    for algorithm in requests.get(f"{base}/.well-known/openid-configuration", timeout=30).json()["id_token_signing_alg_values_supported"]:
        write(fleet, f"identity/oidc/key/{algorithm}", algorithm=algorithm, allowed_client_ids="*")
        write(fleet, f"identity/oidc/role/{algorithm}", key=algorithm, ttl="1h", client_id="app")
        made = fleet.once("GET", f"identity/oidc/token/{algorithm}", token=token).data["token"]
        keys = KeySet.import_key_set(requests.get(f"{base}/.well-known/keys", timeout=30).json())
        claims = jwt.decode(made, keys, algorithms=[algorithm]).claims
        assert (claims["iss"], claims["aud"]) == (base, "app")
        answer = fleet.once("POST", "identity/oidc/introspect", {"token": made}, fleet.root)
        assert answer.body == {"active": True}
