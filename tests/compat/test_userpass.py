"""auth/userpass and the lockout, driven by hvac and by `bao`."""

from __future__ import annotations

from collections.abc import Iterator

import bcrypt
import hvac
import hvac.exceptions
import pytest

from tests.compat.command import Command
from tests.compat.wire import Wire

FAILED = 2


@pytest.fixture
def mount(root: Wire, name: str) -> Iterator[str]:
    """Return a mount of its own for each test."""
    assert root.post(f"sys/auth/{name}", {"type": "userpass"}).status == 204
    yield name
    root.delete(f"sys/auth/{name}")


@pytest.fixture(scope="module")
def password_hash() -> str:
    """Return a cheap hash of "right"."""
    return bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()


def test_hvac_drives_every_endpoint(client: hvac.Client, root: Wire, mount: str) -> None:
    """Create, read, list, change, log in and delete."""
    userpass = client.auth.userpass
    userpass.create_or_update_user("Ann", "right", policies=["a", "b"], mount_point=mount)
    assert userpass.list_user(mount_point=mount)["data"]["keys"] == ["ann"]
    assert userpass.read_user("ann", mount_point=mount)["data"]["token_policies"] == ["a", "b"]
    userpass.update_password_on_user("ann", "new", mount_point=mount)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="invalid username or password"):
        userpass.login("ann", "right", mount_point=mount, use_token=False)
    auth = userpass.login("ann", "new", mount_point=mount, use_token=False)["auth"]
    assert (auth["policies"], auth["metadata"], auth["orphan"]) == (["a", "b", "default"], {"username": "ann"}, True)
    assert auth["entity_id"]
    userpass.delete_user("ann", mount_point=mount)
    assert root.list(f"auth/{mount}/users").status == 404


def test_a_response_is_wrapped_for_a_stranger(anonymous: Wire, root: Wire, mount: str, password_hash: str) -> None:
    """A login may ask for its token in a wrapping."""
    root.post(f"auth/{mount}/users/ann", {"password_hash": password_hash})
    wrapped = anonymous.send("POST", f"auth/{mount}/login/ann", {"password": "right"}, {"X-Vault-Wrap-TTL": "60"})
    token = wrapped.json["wrap_info"]["token"]
    assert anonymous.with_token(token).post("sys/wrapping/unwrap", {}).json["auth"]["metadata"] == {"username": "ann"}


def test_bao_drives_users_logins_and_the_lockout(cli: Command, mount: str, password_hash: str) -> None:
    """`bao write`, `bao login`, `bao auth tune`, and the way out of a lock."""
    cli.run("write", f"auth/{mount}/users/ann", f"password_hash={password_hash}", "token_policies=default", "token_ttl=20m").ok()
    assert cli.json("read", f"auth/{mount}/users/ann")["data"]["token_ttl"] == 1200
    assert cli.json("list", f"auth/{mount}/users") == ["ann"]
    nobody = cli.with_token(None)
    words = ("login", "-no-store", "-method=userpass", f"-path={mount}", "username=ann")
    shown = nobody.run(*words, "password=right").ok().out
    assert "token_meta_username" in shown
    cli.run("auth", "tune", "-user-lockout-threshold=2", "-user-lockout-duration=10m", f"{mount}/").ok()
    for password in ("wrong", "wrong", "right"):
        refused = nobody.run(*words, f"password={password}")
        assert (refused.code, "invalid username or password" in refused.err) == (FAILED, True)
    accessor = cli.json("read", f"sys/auth/{mount}")["data"]["accessor"]
    locked = cli.json("read", "sys/locked-users", f"mount_accessor={accessor}")["data"]
    assert locked["by_namespace"][0]["mount_accessors"][0]["alias_identifiers"] == ["ann"]
    cli.run("write", "-force", f"sys/locked-users/{accessor}/unlock/ann").ok()
    nobody.run(*words, "password=right").ok()
    cli.run("delete", f"auth/{mount}/users/ann").ok()


def test_a_web_client_edits_a_user(root: Wire, anonymous: Wire, mount: str, password_hash: str) -> None:
    """It sends an empty password for none, both names of the policies, and whether the user is active."""
    body = {"password_hash": password_hash, "policies": ["a"], "token_policies": [], "ttl": 3600, "max_ttl": 86400}
    shown = {"email": "ann@example.org", "display_name": "Ann", "is_active": True}
    assert root.post(f"auth/{mount}/users/ann", body | shown).status == 204
    found = root.get(f"auth/{mount}/users/ann").data
    assert found["policies"] == ["a"]
    assert (found["username"], found["ttl"], found["max_ttl"]) == ("ann", 3600, 86400)
    assert {key: found[key] for key in shown} == shown
    login = f"auth/{mount}/login/ann"
    assert anonymous.post(login, {"password": "right"}).status == 200
    assert root.post(f"auth/{mount}/users/ann", {"password": "", "is_active": False}).status == 204
    refused = anonymous.post(login, {"password": "right"})
    assert (refused.status, refused.json["errors"]) == (400, ["invalid username or password"])
    assert root.post(f"auth/{mount}/users/ann", {"password": "", "is_active": True}).status == 204
    assert anonymous.post(login, {"password": "right"}).status == 200
