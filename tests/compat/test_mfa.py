"""Second factors and quotas of logins, by the clients that people use: `bao login` with its prompt, `bao write`, hvac."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import pty
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bcrypt
import hvac
import hvac.exceptions
import pyotp
import pytest

from tests.compat.command import RUN_SECONDS_MAX, Command
from tests.compat.server_process import BAO_BINARY
from tests.compat.wire import Wire

LONG = 120  # longer than a test takes


class Coded:
    """A mount whose logins need a code, and the app of its user."""

    def __init__(self, root: Wire, mount: str) -> None:
        self._root = root
        self.mount = mount
        password_hash = bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()
        assert root.post(f"sys/auth/{mount}", {"type": "userpass"}).status == 204
        assert root.post(f"auth/{mount}/users/ann", {"password_hash": password_hash}).status == 204
        login = root.post(f"auth/{mount}/login/ann", {"password": "right"})
        self.method = root.post("identity/mfa/method/totp", {"issuer": "Clinic", "method_name": mount, "period": LONG}).json["data"][
            "method_id"
        ]
        enrolled = {"method_id": self.method, "entity_id": login.auth["entity_id"]}
        self.made = root.post("identity/mfa/method/totp/admin-generate", enrolled).json["data"]
        app = pyotp.parse_uri(self.made["url"])
        assert isinstance(app, pyotp.TOTP)
        self.app = app
        accessor = root.get(f"sys/auth/{mount}").json["data"]["accessor"]
        rule = {"mfa_method_ids": [self.method], "auth_method_accessors": [accessor]}
        assert root.post(f"identity/mfa/login-enforcement/{mount}", rule).status == 204

    def code(self, later: int = 0) -> str:
        """Return the code of now, or of some periods later."""
        return self.app.at(int(time.time()) + later * LONG)

    def remove(self) -> None:
        """Leave nothing behind."""
        self._root.delete(f"identity/mfa/login-enforcement/{self.mount}")
        self._root.delete(f"identity/mfa/method/totp/{self.method}")
        self._root.delete(f"sys/auth/{self.mount}")


@pytest.fixture
def coded(root: Wire, name: str) -> Iterator[Coded]:
    """Return a mount of its own for each test."""
    made = Coded(root, name)
    yield made
    made.remove()


def run_at_terminal(cli: Command, words: list[str], answer: str) -> tuple[int, str]:
    """Run the command at a terminal and answer its one question; return its exit code and what it showed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "BAO_"))}
    kept |= {"BAO_ADDR": cli.url, "HOME": str(cli.home), "TERM": "dumb"}
    ours, theirs = pty.openpty()
    with subprocess.Popen([BAO_BINARY, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=kept, start_new_session=True) as process:
        os.close(theirs)
        shown, answered = b"", False
        with contextlib.suppress(OSError):  # how a terminal ends
            while part := os.read(ours, 4096):
                shown += part
                if b"Enter the passphrase" in shown and not answered:
                    os.write(ours, answer.encode() + b"\n")
                    answered = True
        os.close(ours)
        return process.wait(RUN_SECONDS_MAX), shown.decode(errors="replace")


def test_a_wrong_code_at_the_prompt_is_refused(cli: Command, coded: Coded) -> None:
    """`bao login` says so, and no token is kept."""
    words = ["login", "-method=userpass", f"-path={coded.mount}", "username=ann", "password=right"]
    code, shown = run_at_terminal(cli, words, "000000")
    assert code != 0
    assert "failed to satisfy enforcement" in shown
    assert not (cli.home / ".vault-token").exists()


def test_bao_login_asks_for_the_code(cli: Command, coded: Coded) -> None:
    """And keeps the token that it gets for it."""
    words = ["login", "-method=userpass", f"-path={coded.mount}", "username=ann", "password=right"]
    code, shown = run_at_terminal(cli, words, coded.code())
    assert code == 0, shown
    assert coded.method in shown
    token = next(path.read_text() for path in cli.home.iterdir() if path.name.endswith("-token"))
    assert cli.with_token(token).json("token", "lookup")["data"]["path"] == f"auth/{coded.mount}/login/ann"


def test_bao_brings_the_code_in_one_step_and_in_two(cli: Command, coded: Coded, tmp_path: Path) -> None:
    """`-mfa` with the login; a payload for the question that a login without one has answered."""
    stranger = cli.with_token(None)
    login = f"auth/{coded.mount}/login/ann"
    direct = stranger.json("write", f"-mfa={coded.mount}:{coded.code()}", login, "password=right")
    assert direct["auth"]["client_token"]
    asked = stranger.json("write", login, "password=right")["auth"]["mfa_requirement"]
    assert asked["mfa_constraints"][coded.mount]["any"] == [
        {"type": "totp", "id": coded.method, "uses_passcode": True, "name": coded.mount}
    ]
    payload = tmp_path / "payload.json"
    payload.write_text(json.dumps({"mfa_request_id": asked["mfa_request_id"], "mfa_payload": {coded.method: [coded.code(1)]}}))
    finished = stranger.json("write", "sys/mfa/validate", f"@{payload}")
    assert finished["auth"]["client_token"]
    assert stranger.run("write", "sys/mfa/validate", f"@{payload}").code != 0


def test_bao_drives_methods_and_enforcements(cli: Command, coded: Coded) -> None:
    """Read, list, generate, destroy, delete."""
    assert coded.method in cli.json("list", "identity/mfa/method")
    assert cli.json("read", f"identity/mfa/method/{coded.method}")["data"]["period"] == LONG
    assert coded.mount in cli.json("list", "identity/mfa/login-enforcement")
    assert cli.json("read", f"identity/mfa/login-enforcement/{coded.mount}")["data"]["mfa_method_ids"] == [coded.method]
    assert base64.b64decode(coded.made["barcode"]).startswith(b"\x89PNG")
    refused = cli.run("delete", f"identity/mfa/method/totp/{coded.method}")
    assert "still used by an enforcement" in refused.err
    assert "not supported" in cli.run("write", "identity/mfa/method/duo", "secret_key=x").err
    entity = cli.json("list", "identity/entity/id")
    assert entity


def test_hvac_finishes_a_login(client: hvac.Client, coded: Coded, server: Any) -> None:
    """A client that knows nothing of MFA writes to the two paths."""
    stranger = hvac.Client(url=server.url)
    auth = stranger.auth.userpass.login("ann", "right", mount_point=coded.mount, use_token=False)["auth"]
    payload = {"mfa_request_id": auth["mfa_requirement"]["mfa_request_id"], "mfa_payload": {coded.method: ["000000"]}}
    with pytest.raises(hvac.exceptions.Forbidden, match="failed to satisfy enforcement"):
        stranger.write_data("sys/mfa/validate", data=payload)
    payload["mfa_payload"] = {coded.method: [coded.code()]}
    token = stranger.write_data("sys/mfa/validate", data=payload)["auth"]["client_token"]
    assert hvac.Client(url=server.url, token=token).lookup_token()["data"]["display_name"] == f"{coded.mount}-ann"
    assert client.is_authenticated()


@pytest.mark.usefixtures("ours_only")
def test_a_quota_of_leases_by_the_clients(cli: Command, client: hvac.Client, root: Wire, name: str) -> None:
    """Written by `bao`, met by hvac as 429, with room again after a revocation."""
    assert root.post(f"auth/token/roles/{name}", {"orphan": True, "path_suffix": name}).status == 204
    place = f"auth/token/create/{name}"
    cli.run("write", f"sys/quotas/lease-count/{name}", f"path={place}*", "max_leases=2").ok()
    made = [client.auth.token.create(role_name=name, ttl="5m")["auth"]["client_token"] for _ in range(2)]
    with pytest.raises(hvac.exceptions.RateLimitExceeded, match="lease count quota exceeded"):
        client.auth.token.create(role_name=name, ttl="5m")
    assert cli.json("read", f"sys/quotas/lease-count/{name}")["data"] == {
        "name": name, "type": "lease-count", "path": f"{place}*", "role": "", "inheritable": False, "max_leases": 2, "counter": 2,
    }  # fmt: skip
    client.auth.token.revoke(made[0])
    assert client.auth.token.create(role_name=name, ttl="5m")["auth"]["client_token"]
    assert name in cli.json("list", "sys/quotas/lease-count")
    cli.run("delete", f"sys/quotas/lease-count/{name}").ok()
    root.delete(f"auth/token/roles/{name}")


@pytest.mark.usefixtures("ours_only")
def test_quotas_of_a_role(client: hvac.Client, root: Wire, name: str) -> None:
    """The limit of one role of approle is no other's, and its leases are counted for it."""
    assert root.post(f"sys/auth/{name}", {"type": "approle"}).status == 204
    logins = {}
    for role in ("one", "two"):
        assert root.post(f"auth/{name}/role/{role}", {"token_ttl": 600}).status == 204
        secret = root.post(f"auth/{name}/role/{role}/secret-id", {}).json["data"]["secret_id"]
        logins[role] = {"role_id": root.get(f"auth/{name}/role/{role}/role-id").json["data"]["role_id"], "secret_id": secret}
    client.sys.create_or_update_quota(name=name, rate=3, path=f"auth/{name}", role="one", interval="1h")
    assert client.sys.read_quota(name=name)["data"]["role"] == "one"
    assert root.post(f"sys/quotas/lease-count/{name}", {"path": f"auth/{name}", "role": "two", "max_leases": 2}).status == 204
    answers = {role: [root.post(f"auth/{name}/login", fields) for _ in range(4)] for role, fields in logins.items()}
    assert [answer.status for answer in answers["one"]] == [200, 200, 200, 429]
    assert answers["one"][3].headers["retry-after"]
    assert [answer.status for answer in answers["two"]] == [200, 200, 429, 429]
    client.sys.delete_quota(name=name)
    root.delete(f"sys/auth/{name}")
    assert root.get(f"sys/quotas/lease-count/{name}").status == 404
