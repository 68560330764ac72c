"""auth/approle, driven by hvac and by `bao`."""

from __future__ import annotations

from collections.abc import Iterator

import hvac
import hvac.exceptions
import pytest

from tests.compat.command import Command
from tests.compat.server_process import Server
from tests.compat.wire import Wire

PROPERTIES = {
    "policies": ("token_policies", "a,b", ["a", "b"]),
    "secret-id-num-uses": ("secret_id_num_uses", "3", 3),
    "secret-id-ttl": ("secret_id_ttl", "10m", 600),
    "token-ttl": ("token_ttl", "5m", 300),
    "token-max-ttl": ("token_max_ttl", "1h", 3600),
    "token-num-uses": ("token_num_uses", "4", 4),
    "secret-id-bound-cidrs": ("secret_id_bound_cidrs", "127.0.0.0/8", ["127.0.0.0/8"]),
    "token-bound-cidrs": ("token_bound_cidrs", "127.0.0.0/8", ["127.0.0.0/8"]),
    "period": ("token_period", "2m", 120),
}


@pytest.fixture
def mount(root: Wire, name: str) -> Iterator[str]:
    """Return a mount of its own for each test."""
    assert root.post(f"sys/auth/{name}", {"type": "approle"}).status == 204
    yield name
    root.delete(f"sys/auth/{name}")


def test_hvac_drives_roles(client: hvac.Client, mount: str) -> None:
    """Make, list, read and delete roles; read and set their role ids."""
    approle = client.auth.approle
    approle.create_or_update_approle("Web", token_policies=["a"], secret_id_num_uses=3, token_ttl="10m", mount_point=mount)
    assert approle.list_roles(mount_point=mount)["data"]["keys"] == ["web"]
    role = approle.read_role("web", mount_point=mount)["data"]
    assert (role["token_policies"], role["secret_id_num_uses"], role["token_ttl"]) == (["a"], 3, 600)
    assert approle.read_role_id("web", mount_point=mount)["data"]["role_id"]
    approle.update_role_id("web", "chosen", mount_point=mount)
    assert approle.read_role_id("web", mount_point=mount)["data"] == {"role_id": "chosen"}
    approle.delete_role("WEB", mount_point=mount)
    with pytest.raises(hvac.exceptions.InvalidPath):
        approle.read_role("web", mount_point=mount)


def test_hvac_drives_secret_ids_and_logins(client: hvac.Client, server: Server, mount: str) -> None:
    """Make, choose, look at, list and destroy secret ids, by themselves and by accessor; log in with them."""
    approle = client.auth.approle
    approle.create_or_update_approle("web", token_policies=["a"], mount_point=mount)
    role_id = approle.read_role_id("web", mount_point=mount)["data"]["role_id"]
    made = approle.generate_secret_id("web", metadata={"host": "h1"}, cidr_list=["127.0.0.1/32"], mount_point=mount)["data"]
    assert approle.read_secret_id("web", made["secret_id"], mount_point=mount)["data"]["metadata"] == {"host": "h1"}
    accessor = made["secret_id_accessor"]
    assert approle.read_secret_id_accessor("web", accessor, mount_point=mount)["data"]["cidr_list"] == ["127.0.0.1/32"]
    assert approle.list_secret_id_accessors("web", mount_point=mount)["data"]["keys"] == [accessor]
    application = hvac.Client(url=server.url)
    auth = application.auth.approle.login(role_id, made["secret_id"], mount_point=mount)["auth"]
    assert (auth["policies"], auth["metadata"]) == (["a", "default"], {"host": "h1", "role_name": "web"})
    assert application.is_authenticated()
    approle.destroy_secret_id_accessor("web", accessor, mount_point=mount)
    approle.create_custom_secret_id("web", "chosen", mount_point=mount)
    approle.login(role_id, "chosen", use_token=False, mount_point=mount)
    approle.destroy_secret_id("web", "chosen", mount_point=mount)
    for secret_id in (made["secret_id"], "chosen"):
        with pytest.raises(hvac.exceptions.InvalidRequest, match="invalid role or secret ID"):
            approle.login(role_id, secret_id, use_token=False, mount_point=mount)


def test_bao_drives_roles_secret_ids_and_logins(cli: Command, mount: str) -> None:
    """`bao write` with every path of a role, a wrapped secret id, a login, and what tidies up."""
    cli.run("write", f"auth/{mount}/role/web", "policies=a", "token_ttl=20m").ok()
    for segment, (field, text, value) in PROPERTIES.items():
        place = f"auth/{mount}/role/web/{segment}"
        cli.run("write", place, f"{field}={text}").ok()
        assert cli.json("read", place)["data"][field] == value
        cli.run("delete", place).ok()
    cli.run("write", f"auth/{mount}/role/web/role-id", "role_id=chosen").ok()
    wrapped = cli.json("write", "-wrap-ttl=60s", "-f", f"auth/{mount}/role/web/secret-id")["wrap_info"]["token"]
    nobody = cli.with_token(None)
    secret_id = nobody.json("unwrap", wrapped)["data"]["secret_id"]
    login = ("write", f"auth/{mount}/login", "role_id=chosen", f"secret_id={secret_id}")
    assert nobody.json(*login)["auth"]["metadata"] == {"role_name": "web"}
    assert len(cli.json("list", f"auth/{mount}/role/web/secret-id")) == 1
    cli.run("write", "-f", f"auth/{mount}/tidy/secret-id").ok()
    cli.run("write", f"auth/{mount}/role/web/secret-id/destroy", f"secret_id={secret_id}").ok()
    refused = nobody.run(*login)
    assert (refused.code, "invalid role or secret ID" in refused.err) == (2, True)
