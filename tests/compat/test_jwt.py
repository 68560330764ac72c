"""Logins by signed tokens: what is refused, and what hvac and bao do with the method. Two workers answer in turns."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import hvac
import orjson
import pytest

from tests.compat.command import Command
from tests.compat.server_process import Server
from tests.compat.wire import Answer, Wire
from tests.jwt_forge import attacks, ec_key, pem, row, rsa_key, sign

ATTACKS = attacks()


@pytest.fixture
def mount(root: Wire, name: str) -> Iterator[str]:
    """Mount the method with static keys and a role."""
    assert root.post(f"sys/auth/{name}", {"type": "jwt"}).status == 204
    configure(root, name)
    yield name
    root.delete(f"sys/auth/{name}")


def configure(root: Wire, mount: str) -> None:
    """Write static keys and a role."""
    config = {"jwt_validation_pubkeys": [pem(rsa_key()), pem(ec_key())], "bound_issuer": "us", "default_role": "r"}
    assert root.post(f"auth/{mount}/config", config).status == 204
    role(root, mount)


def role(root: Wire, mount: str, **fields: Any) -> None:
    """Write the role."""
    written = root.post(f"auth/{mount}/role/r", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": "vault", **fields})
    assert written.status == 204, written.body


def login(wire: Wire, mount: str, token: str, name: str = "r") -> Answer:
    """Try a token."""
    return wire.post(f"auth/{mount}/login", {"role": name, "jwt": token})


@pytest.fixture(scope="module")
def keyed(server: Server) -> Iterator[str]:
    """Mount the method once for all attacks."""
    assert server.root.post("sys/auth/attacked", {"type": "jwt"}).status == 204
    configure(server.root, "attacked")
    yield "attacked"
    server.root.delete("sys/auth/attacked")


@pytest.mark.parametrize("attack", ATTACKS)
def test_attack_is_refused(anonymous: Wire, keyed: str, attack: str) -> None:
    """With a reason, and nothing of the token."""
    token, mount = ATTACKS[attack], keyed
    answer = login(anonymous, mount, token)
    assert answer.status == 400, answer.body
    assert answer.errors
    assert not any(len(piece) > 12 and piece.encode() in answer.body for piece in token.split("."))
    assert login(anonymous, mount, sign()).status == 200


def test_audience_needs_a_bound_audience(root: Wire, anonymous: Wire, mount: str) -> None:
    """A role that names none takes no token that is for somebody."""
    assert root.post(f"auth/{mount}/role/none", {"role_type": "jwt", "user_claim": "sub", "bound_subject": "bob"}).status == 204
    assert login(anonymous, mount, sign(), "none").errors == ["audience claim found in JWT but no audiences bound to the role"]
    assert login(anonymous, mount, sign(aud=None), "none").status == 200
    assert login(anonymous, mount, sign(aud=None, sub="eve"), "none").status == 400


def test_algorithms_can_be_narrowed(root: Wire, anonymous: Wire, mount: str) -> None:
    """What the configuration does not name is refused, whatever the keys could do."""
    assert login(anonymous, mount, sign(ec_key(), "ES256")).status == 200
    config = {"jwt_validation_pubkeys": [pem(rsa_key()), pem(ec_key())], "jwt_supported_algs": "ES256", "bound_issuer": "us"}
    assert root.post(f"auth/{mount}/config", config).status == 204
    assert login(anonymous, mount, sign(ec_key(), "ES256")).status == 200
    assert login(anonymous, mount, sign()).status == 400


@pytest.mark.parametrize("role_name", ["nosuch", "../config", "a/b", "r\0", "", " ", "x" * 3000, "rôle"])
def test_unknown_role_is_refused(root: Wire, anonymous: Wire, mount: str, role_name: str) -> None:
    """Whatever its name, by 400."""
    root.post(f"auth/{mount}/config", {"jwt_validation_pubkeys": [pem(rsa_key())]})
    assert login(anonymous, mount, sign(), role_name).status == 400


def test_renewal_asks_the_role(root: Wire, anonymous: Wire, mount: str) -> None:
    """With its times of now; without the role there is no renewal."""
    role(root, mount, token_ttl="1m", token_max_ttl="1h")
    auth = login(anonymous, mount, sign()).auth
    assert auth["lease_duration"] == 60
    holder = root.with_token(auth["client_token"])
    role(root, mount, token_ttl="2m", token_max_ttl="1h")
    assert holder.post("auth/token/renew-self").auth["lease_duration"] == 120
    root.delete(f"auth/{mount}/role/r")
    assert holder.post("auth/token/renew-self").errors == ["role r does not exist during renewal"]


class KeySet:
    """A web server that has a key set, and counts who asks."""

    def __init__(self) -> None:
        self.keys: list[dict[str, Any]] = []
        self.asked = 0
        self.status = 200


@contextmanager
def key_server() -> Iterator[tuple[KeySet, str]]:
    """Run the server."""
    held = KeySet()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer the keys."""
            held.asked += 1
            self.send_response(held.status)
            self.send_header("Location", "/keys")
            self.end_headers()
            self.wfile.write(orjson.dumps({"keys": held.keys}))

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that is overridden
            """Write nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield held, f"http://127.0.0.1:{server.server_port}/keys"
    finally:
        server.shutdown()
        server.server_close()


def test_key_set_is_fetched_and_kept(root: Wire, anonymous: Wire, mount: str) -> None:
    """Once per worker; unknown key ids ask again at a bounded rate; what cannot be used as a source is not stored."""
    with key_server() as (held, url):
        held.status = 302
        refused = root.post(f"auth/{mount}/config", {"jwks_url": url})
        assert refused.status == 400, refused.body
        assert held.asked == 1
        assert root.get(f"auth/{mount}/config").data["jwks_url"] == ""
        held.status = 200
        held.keys = [
            row(rsa_key(), kid="one"),
            row(rsa_key("other"), kid="two", use="enc"),
            {"kty": "oct", "k": "c2VjcmV0", "kid": "three"},
        ]
        assert root.post(f"auth/{mount}/config", {"jwks_url": url, "bound_issuer": "us"}).status == 204
        assert login(anonymous, mount, sign(headers={"kid": "one"})).status == 200
        assert login(anonymous, mount, sign()).status == 200
        assert login(anonymous, mount, sign(rsa_key("other"), headers={"kid": "two"})).status == 400
        for number in range(30):
            assert login(anonymous, mount, sign(headers={"kid": f"made up {number}"})).status == 400
        assert held.asked <= 10
    assert login(anonymous, mount, sign(headers={"kid": "one"})).status == 200


def test_hvac_drives_the_method(client: hvac.Client, name: str) -> None:
    """Every method of its class."""
    client.sys.enable_auth_method("jwt", path=name)
    client.auth.jwt.configure(jwt_validation_pubkeys=[pem(rsa_key())], bound_issuer="us", path=name)
    assert client.auth.jwt.read_config(path=name)["data"]["bound_issuer"] == "us"
    client.auth.jwt.create_role(
        "app", "sub", [], bound_audiences=["vault"], claim_mappings={"mail": "email"}, token_policies=["p"], token_ttl=60, path=name
    )
    assert client.auth.jwt.list_roles(path=name)["data"]["keys"] == ["app"]
    assert client.auth.jwt.read_role("app", path=name)["data"]["token_policies"] == ["p"]
    auth = client.auth.jwt.jwt_login("app", sign(mail="b@example.org"), use_token=False, path=name)["auth"]
    assert auth["metadata"] == {"role": "app", "email": "b@example.org"}
    assert (auth["token_policies"], auth["lease_duration"]) == (["default", "p"], 60)
    client.auth.jwt.delete_role("app", path=name)
    client.sys.disable_auth_method(path=name)


def test_bao_logs_in(cli: Command, mount: str) -> None:
    """By `bao write`, and by wrapping the token on the way."""
    nobody = cli.with_token(None)
    assert nobody.json("write", f"auth/{mount}/login", "role=R", f"jwt={sign()}")["auth"]["metadata"] == {"role": "r"}
    wrapped = nobody.json("write", "-wrap-ttl=60", f"auth/{mount}/login", "role=r", f"jwt={sign()}")["wrap_info"]
    assert nobody.json("unwrap", wrapped["token"])["auth"]["metadata"] == {"role": "r"}
