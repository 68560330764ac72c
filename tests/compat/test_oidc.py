"""The OIDC code flow end to end: a real provider, a server with two workers, hvac and bao as clients."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import hvac
import pytest
import requests

from tests.compat.server_process import BAO_BINARY, Server, free_address
from tests.compat.wire import Answer, Wire
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, OpenIdProvider, openid_provider, refusal_query

REDIRECT = "https://vault.example/ui/vault/auth/oidc/oidc/callback"
LOCAL = "http://localhost:8250/oidc/callback"
PARALLEL = int(os.environ.get("HEALTH_VAULT_TEST_ROUNDS", "1")) * 16


@pytest.fixture
def provider() -> Iterator[OpenIdProvider]:
    """Run a provider."""
    with openid_provider() as running:
        yield running


@pytest.fixture
def mount(root: Wire, name: str, provider: OpenIdProvider) -> Iterator[str]:
    """Mount the method, with a provider and a role."""
    assert root.post(f"sys/auth/{name}", {"type": "oidc"}).status == 204
    config = {"oidc_discovery_url": provider.url, "oidc_client_id": CLIENT_ID, "oidc_client_secret": CLIENT_SECRET, "default_role": "r"}
    written = root.post(f"auth/{name}/config", config)
    assert written.status == 204, written.body
    role(root, name)
    yield name
    root.delete(f"sys/auth/{name}")


def role(root: Wire, mount: str, **fields: Any) -> None:
    """Write the role."""
    row = {"user_claim": "sub", "allowed_redirect_uris": [REDIRECT, LOCAL], "token_policies": "p", **fields}
    written = root.post(f"auth/{mount}/role/r", row)
    assert written.status == 204, written.body


def begin(wire: Wire, mount: str, **fields: Any) -> str:
    """Ask for a login page."""
    answer = wire.post(f"auth/{mount}/oidc/auth_url", {"redirect_uri": REDIRECT, **fields})
    assert answer.status == 200, answer.body
    return str(answer.data["auth_url"])


def visit(url: str) -> dict[str, str]:
    """Log in at the provider, as a browser; return what it brings back."""
    answer = requests.get(url, allow_redirects=False, timeout=10)
    assert answer.status_code == 302, answer.text
    return {key: values[0] for key, values in parse_qs(urlsplit(answer.headers["Location"]).query).items()}


def come_back(wire: Wire, mount: str, brought: dict[str, str], **more: str) -> Answer:
    """Call the callback."""
    return wire.get(f"auth/{mount}/oidc/callback?{urlencode({**brought, **more})}")


Login = Callable[..., Answer]


@pytest.fixture
def login(anonymous: Wire, mount: str) -> Login:
    """Return a function that goes all the way."""
    return lambda: come_back(anonymous, mount, visit(begin(anonymous, mount)))


def refused(answer: Answer, text: str) -> None:
    """Require a refusal with this reason."""
    assert answer.status == 400, answer.body
    assert text in answer.errors[0], answer.errors


def test_login_through_the_provider(root: Wire, mount: str, provider: OpenIdProvider, login: Login) -> None:
    """PKCE, state and nonce are sent; the claims become name, metadata and policies; what userinfo tells counts as well."""
    provider.more = {"department": "icu", "groups": ["doctors"]}
    role(
        root, mount, claim_mappings={"department": "dept"}, bound_claims={"groups": ["doctors"]}, groups_claim="groups", oidc_scopes="email"
    )
    query = parse_qs(urlsplit(begin(root, mount)).query)
    assert query["code_challenge_method"] == ["S256"]
    assert query["scope"] == ["openid email"]
    assert len(query["nonce"][0]) == 32
    auth = login().auth
    assert auth["metadata"] == {"dept": "icu", "role": "r"}
    assert auth["token_policies"] == ["default", "p"]
    assert root.post("auth/token/lookup", {"token": auth["client_token"]}).data["display_name"] == f"{mount}-alice"
    provider.more = {"groups": ["nurses"]}
    refused(login(), "does not match any associated bound claim values")


def test_state_works_once(anonymous: Wire, mount: str, provider: OpenIdProvider) -> None:
    """Of many callbacks at once one logs in, and the provider is asked once; a later one is refused, as is a state of anybody's making."""
    brought = visit(begin(anonymous, mount))
    with ThreadPoolExecutor(PARALLEL) as pool:
        answers = list(pool.map(lambda _: come_back(anonymous, mount, brought), range(PARALLEL)))
    assert sorted(answer.status for answer in answers) == [200] + [400] * (PARALLEL - 1)
    assert provider.exchanges == 1
    for state in (brought["state"], "", "x", "AAAA", brought["state"][:-4] + "AAAA"):
        refused(come_back(anonymous, mount, {**brought, "state": state}), "Expired or missing OAuth state")
    assert provider.exchanges == 1


def test_state_belongs_to_its_mount(root: Wire, anonymous: Wire, mount: str, name: str, provider: OpenIdProvider) -> None:
    """Another mount of the method, with the same provider, does not take it."""
    other = f"{name}-other"
    root.post(f"sys/auth/{other}", {"type": "oidc"})
    root.post(
        f"auth/{other}/config", {"oidc_discovery_url": provider.url, "oidc_client_id": CLIENT_ID, "oidc_client_secret": CLIENT_SECRET}
    )
    role(root, other)
    refused(come_back(anonymous, other, visit(begin(anonymous, mount))), "Expired or missing OAuth state")
    root.delete(f"sys/auth/{other}")


def test_client_nonce_binds_the_client(anonymous: Wire, mount: str) -> None:
    """Who began with a nonce must come back with it; a wrong one spends the state."""
    brought = visit(begin(anonymous, mount, client_nonce="secret"))
    refused(come_back(anonymous, mount, brought, client_nonce="other"), "invalid client_nonce")
    refused(come_back(anonymous, mount, brought, client_nonce="secret"), "Expired or missing OAuth state")
    brought = visit(begin(anonymous, mount, client_nonce="secret"))
    assert come_back(anonymous, mount, brought, client_nonce="secret").status == 200


def test_code_of_another_login_is_refused(anonymous: Wire, mount: str) -> None:
    """PKCE and the nonce bind the code to its state: a code that was slipped in logs nobody in."""
    own, foreign = visit(begin(anonymous, mount)), visit(begin(anonymous, mount))
    refused(come_back(anonymous, mount, {**own, "code": foreign["code"]}), "Error exchanging oidc code")


@pytest.fixture
def recent(root: Wire, mount: str) -> None:
    """Ask for a proof that is not older than ten minutes."""
    role(root, mount, max_age=600)


@pytest.mark.usefixtures("recent")
def test_recent_proof_is_taken(login: Login) -> None:
    """What the next test changes is right as it is."""
    assert login().status == 200


@pytest.mark.usefixtures("recent")
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"iss": "https://evil.example"}, "iss"),
        ({"aud": ["somebody"]}, "aud"),
        ({"aud": [CLIENT_ID, "somebody"]}, "azp"),
        ({"azp": "somebody"}, "azp"),
        ({"nonce": "other"}, "nonce"),
        ({"exp": 1000}, "exp"),
        ({"exp": None}, "exp"),
        ({"at_hash": "other"}, "at_hash"),
        ({"auth_time": 1000}, "auth_time"),
        ({"auth_time": None}, "auth_time"),
        ({"sub": 1}, "sub"),
    ],
)
def test_wrong_id_token_is_refused(provider: OpenIdProvider, login: Login, changes: dict[str, Any], text: str) -> None:
    """Another issuer, audience, party, nonce, access token or login; too old, or without an end."""
    provider.id_token_changes = changes
    answer = login()
    refused(answer, "Token verification failed")
    assert text in answer.errors[0]


def test_redirect_uri_is_exact(root: Wire, mount: str) -> None:
    """But for the port of a native client; what does not fit gets an empty URL and no reason."""
    for uri in (
        REDIRECT + "/",
        REDIRECT + "?a=b",
        REDIRECT.replace("https", "http"),
        REDIRECT.replace("vault.example", "vault.example@evil"),
    ):
        assert begin(root, mount, redirect_uri=uri) == "", uri
    for uri in (
        LOCAL + "x",
        "http://localhost.evil:8250/oidc/callback",
        "https://localhost:8250/oidc/callback",
        "http://a@localhost/oidc/callback",
    ):
        assert begin(root, mount, redirect_uri=uri) == "", uri
    assert begin(root, mount, redirect_uri="http://localhost:4711/oidc/callback").startswith("http://")
    refused(root.post(f"auth/{mount}/oidc/auth_url", {"role": "nosuch", "redirect_uri": REDIRECT}), "could not be found")
    refused(root.post(f"auth/{mount}/oidc/auth_url", {}), "missing redirect_uri")


def test_nothing_of_a_stranger_is_reflected(anonymous: Wire, mount: str) -> None:
    """A refusal of the provider is told in plain words only."""
    state = visit(begin(anonymous, mount))["state"]
    answer = anonymous.get(f"auth/{mount}/oidc/callback?{refusal_query(state, '<script>alert(1)</script>')}")
    refused(answer, "Vault login failed. access_denied")
    assert b"script" not in answer.body
    assert answer.headers["content-type"] == "application/json"


def test_form_post_hands_on_what_came(root: Wire, anonymous: Wire, mount: str, provider: OpenIdProvider) -> None:
    """The form is answered by a page that leads to the web client, which then calls back; in query mode forms are refused."""
    assert anonymous.post(f"auth/{mount}/oidc/callback", {"state": "x", "code": "y"}).status == 405
    config = {"oidc_discovery_url": provider.url, "oidc_client_id": CLIENT_ID, "oidc_client_secret": CLIENT_SECRET}
    root.post(f"auth/{mount}/config", {**config, "default_role": "r", "oidc_response_mode": "form_post"})
    url = begin(anonymous, mount)
    query = parse_qs(urlsplit(url).query)
    assert query["response_mode"] == ["form_post"]
    assert query["redirect_uri"] == [REDIRECT.replace("ui/vault", "v1")]
    form = urlencode(visit(url)).encode()
    page = anonymous.send("POST", f"auth/{mount}/oidc/callback", form, {"Content-Type": "application/x-www-form-urlencoded"})
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    found = re.search(r'url=(/ui/vault/auth/[^"]+)"', page.body.decode())
    assert found is not None
    onward = {key: values[0] for key, values in parse_qs(urlsplit(unescape(found[1])).query).items()}
    assert come_back(anonymous, mount, onward).status == 200


def test_hvac_drives_the_flow(client: hvac.Client, mount: str) -> None:
    """With its own methods."""
    url = client.auth.oidc.oidc_authorization_url_request("r", REDIRECT, path=mount)["data"]["auth_url"]
    brought = visit(url)
    auth = client.auth.oidc.oidc_callback(brought["state"], "", brought["code"], path=mount)
    assert auth["auth"]["metadata"] == {"role": "r"}


def test_bao_login_drives_the_flow(server: Server, mount: str, tmp_path: Path) -> None:
    """`bao login -method=oidc` listens on its own port, prints the URL and gets a token."""
    port = free_address().rpartition(":")[2]
    words = [
        "login",
        "-no-store",
        "-format=json",
        "-method=oidc",
        f"-path={mount}",
        "skip_browser=true",
        f"port={port}",
        f"callbackport={port}",
    ]
    environment = {"BAO_ADDR": server.url, "HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    with subprocess.Popen([BAO_BINARY, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stderr is not None
        url = next((found[0] for line in process.stderr if (found := re.search(r"http\S+/authorize\S+", line))), "")
        assert url
        assert requests.get(url, timeout=10).status_code == 200
        out, _ = process.communicate(timeout=20)
    assert '"role": "r"' in out
