"""Logins by a directory with real clients. The reference server and its command have no such method in them any more."""

from __future__ import annotations

from collections.abc import Iterator

import hvac
import pytest

from tests.compat.command import Command
from tests.compat.server_process import Server
from tests.compat.wire import Wire
from tests.ldap_directory import Directory, running_directory

pytestmark = pytest.mark.usefixtures("ours_only")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """Run a directory."""
    with running_directory(tmp_path_factory.mktemp("directory")) as found:
        yield found


def test_hvac_drives_every_endpoint(client: hvac.Client, server: Server, directory: Directory, name: str) -> None:
    """As its documentation says; the token works on every worker."""
    client.sys.enable_auth_method("ldap", path=name)
    method = client.auth.ldap
    fields = directory.config | {"url": directory.tls_url, "certificate": directory.ca_cert}
    method.configure(**fields, token_ttl="10m", mount_point=name)
    shown = method.read_configuration(mount_point=name)["data"]
    assert (shown["url"], shown["userattr"], shown["token_ttl"]) == (directory.tls_url, "uid", 600)
    assert "bindpass" not in shown
    method.create_or_update_group("doctors", policies=["read-charts"], mount_point=name)
    assert method.read_group("doctors", mount_point=name)["data"]["policies"] == ["read-charts"]
    method.create_or_update_user("ann", policies=["own"], groups=["night"], mount_point=name)
    assert method.read_user("ann", mount_point=name)["data"] == {"policies": ["own"], "groups": "night"}
    assert method.list_groups(mount_point=name)["data"]["keys"] == ["doctors"]
    assert method.list_users(mount_point=name)["data"]["keys"] == ["ann"]
    fresh = hvac.Client(url=server.url)
    auth = fresh.auth.ldap.login("ann", "ann-password", mount_point=name)["auth"]
    assert (auth["policies"], auth["metadata"], auth["lease_duration"]) == (
        ["base", "default", "own", "read-charts"],
        {"username": "ann"},
        600,
    )
    for _ in range(4):
        data = hvac.Client(url=server.url, token=fresh.token).lookup_token()["data"]
        assert data["display_name"] == f"{name}-ann"
    fresh.auth.token.renew_self()
    method.delete_user("ann", mount_point=name)
    method.delete_group("doctors", mount_point=name)
    with pytest.raises(hvac.exceptions.InvalidRequest, match="policies have changed"):
        fresh.auth.token.renew_self()
    with pytest.raises(hvac.exceptions.InvalidRequest, match="ldap operation failed: failed to bind as user"):
        fresh.auth.ldap.login("ann", "wrong", mount_point=name)
    client.sys.disable_auth_method(name)


def test_bao_logs_in(cli: Command, root: Wire, directory: Directory, name: str) -> None:
    """As by userpass, which asks the same way: this release of the command has no -method=ldap."""
    assert root.post(f"sys/auth/{name}", {"type": "ldap"}).status == 204
    assert root.post(f"auth/{name}/config", directory.config | {"starttls": True, "certificate": directory.ca_cert}).status == 204
    words = ("login", "-method=userpass", f"-path={name}", "-format=json", "-no-store", "username=ann")
    stranger = cli.with_token(None)
    found = stranger.run(*words, "password=ann-password").ok().json
    assert found["auth"]["metadata"] == {"username": "ann"}
    refused = stranger.run(*words, "password=wrong")
    assert refused.code == 2
    assert "failed to bind as user" in refused.err
    root.delete(f"sys/auth/{name}")


def test_guesses_lock_a_name(root: Wire, anonymous: Wire, directory: Directory, name: str) -> None:
    """After five of them, over all workers, in whatever case."""
    assert root.post(f"sys/auth/{name}", {"type": "ldap"}).status == 204
    assert root.post(f"auth/{name}/config", directory.config).status == 204
    for user in ("bob", "BOB", "Bob", "boB", "bOb"):
        assert anonymous.post(f"auth/{name}/login/{user}", {"password": "wrong"}).status == 400
    assert anonymous.post(f"auth/{name}/login/bob", {"password": "bob-password"}).status == 403
    root.delete(f"sys/auth/{name}")
