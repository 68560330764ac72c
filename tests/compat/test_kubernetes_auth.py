"""Logins by service account with real clients, against a cluster of the test; the reference server answers the same."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import hvac
import pytest

from tests.compat.command import Command
from tests.compat.conftest import Holder
from tests.compat.server_process import BAO, Server, dev_server
from tests.compat.wire import Wire
from tests.issuer import make
from tests.kubernetes_api import AUDIENCE, REVIEWER, Cluster, running_cluster

ROLE = {"bound_service_account_names": ["we*"], "bound_service_account_namespaces": ["apps"], "token_policies": ["web"]}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Run a cluster."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as found:
        found.accounts |= {("apps", "db"): "uid-db", ("lab", "web"): "uid-lab"}
        yield found


def _mount(wire: Wire, name: str, cluster: Cluster, **fields: Any) -> None:
    assert wire.post(f"sys/auth/{name}", {"type": "kubernetes"}).status == 204
    usual = {"kubernetes_host": cluster.url, "kubernetes_ca_cert": cluster.ca_cert, "token_reviewer_jwt": cluster.token(*REVIEWER)}
    answer = wire.post(f"auth/{name}/config", usual | fields)
    assert answer.status == 204, answer.body
    assert wire.post(f"auth/{name}/role/web", ROLE).status == 204


def test_logins_are_answered_as_by_the_reference(
    server: Server, cluster: Cluster, name: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same tokens get the same status and, where they are good, the same metadata."""
    tokens = {
        "good": cluster.token(),
        "legacy": cluster.legacy_token(),
        "nonsense": "nonsense",
        "another account": cluster.token("apps", "db"),
        "another namespace": cluster.token("lab", "web"),
        "expired": cluster.token(now=time.time() - 7200),
        "former": cluster.token(nested={"namespace": "apps", "serviceaccount": {"name": "web", "uid": "uid-old"}}),
        "other audience": cluster.token(aud=["other"]),
    }
    with dev_server(BAO, tmp_path_factory.mktemp("reference")) as reference:
        for wire in (reference.root, server.root):
            _mount(wire, name, cluster)
            assert wire.post(f"auth/{name}/role/strict", ROLE | {"audience": AUDIENCE}).status == 204
        for role in ("web", "strict", "none"):
            for kind, token in tokens.items():
                fields = {"role": role, "jwt": token}
                theirs, ours = (one.anonymous.post(f"auth/{name}/login", fields) for one in (reference, server))
                assert (role, kind, ours.status) == (role, kind, theirs.status)
                if ours.status == 200:
                    assert ours.auth["metadata"] == theirs.auth["metadata"]
                    assert ours.auth["policies"] == theirs.auth["policies"]
    server.root.delete(f"sys/auth/{name}")


def test_hvac_drives_every_endpoint(client: hvac.Client, cluster: Cluster, server: Server, name: str) -> None:
    """As its documentation says; the login on a fresh client, whose token works on every worker."""
    client.sys.enable_auth_method("kubernetes", path=name)
    method = client.auth.kubernetes
    method.configure(
        cluster.url,
        kubernetes_ca_cert=cluster.ca_cert,
        token_reviewer_jwt=cluster.token(*REVIEWER),
        pem_keys=[make("service accounts", key=cluster.key).pem],
        mount_point=name,
    )
    assert method.read_config(mount_point=name)["kubernetes_host"] == cluster.url
    method.create_role("web", ["web"], ["apps"], ttl="10m", policies=["web"], audience=AUDIENCE, mount_point=name)
    assert method.read_role("web", mount_point=name)["bound_service_account_names"] == ["web"]
    assert method.list_roles(mount_point=name)["keys"] == ["web"]
    fresh = hvac.Client(url=server.url)
    answer = fresh.auth.kubernetes.login("web", cluster.token(), mount_point=name)
    assert (answer["auth"]["lease_duration"], answer["auth"]["policies"]) == (600, ["default", "web"])
    for _ in range(4):
        assert hvac.Client(url=server.url, token=fresh.token).lookup_token()["data"]["meta"]["service_account_name"] == "web"
    method.delete_role("web", mount_point=name)
    with pytest.raises(hvac.exceptions.InvalidRequest):
        fresh.auth.kubernetes.login("web", cluster.token(), mount_point=name)
    client.sys.disable_auth_method(name)


def test_bao_logs_in(cli: Command, root: Wire, cluster: Cluster, name: str) -> None:
    """By `bao write`, as pods without an agent do."""
    _mount(root, name, cluster)
    found = cli.with_token(None).json("write", f"auth/{name}/login", "role=web", f"jwt={cluster.token()}")
    assert found["auth"]["metadata"]["service_account_namespace"] == "apps"
    assert cli.with_token(None).run("write", f"auth/{name}/login", "role=web", f"jwt={cluster.token('lab')}").code == 2
    root.delete(f"sys/auth/{name}")


def test_create_and_update_of_a_role_are_two_rights(root: Wire, holder: Holder, cluster: Cluster, name: str) -> None:
    """Who may only change roles makes none."""
    _mount(root, name, cluster)
    updater = holder(f'path "auth/{name}/role/*" {{ capabilities = ["update"] }}')
    assert updater.post(f"auth/{name}/role/new", ROLE).status == 403
    assert updater.post(f"auth/{name}/role/web", ROLE).status == 204
    root.delete(f"sys/auth/{name}")
