"""A host with the method `kubernetes`, and a cluster."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kubernetes_api import REVIEWER, Cluster, running_cluster
from tests.unit.vault.modules.system.world import World
from vault.logical.operation import Operation
from vault.logical.response import Auth
from vault.modules.auth.methods.kubernetes import backend
from vault.modules.auth.methods.kubernetes.config import Pod


class PodWorld(World):
    """A host with the method at auth/kubernetes, with a role `web` of a cluster."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.backends = {("auth", "kubernetes"): {"": backend.build(Pod(folder))}}
        super().__init__()
        self.clock.ns = time.time_ns()  # the cluster's time
        self.cluster = cluster
        self.write("sys/auth/kubernetes", type="kubernetes")
        self.configure()
        self.role()

    def configure(self, **fields: Any) -> None:
        """Say where the cluster is, and who reviews."""
        usual = {
            "kubernetes_host": self.cluster.url,
            "kubernetes_ca_cert": self.cluster.ca_cert,
            "token_reviewer_jwt": self.cluster.token(*REVIEWER),
        }
        self.write("auth/kubernetes/config", **usual | fields)

    def role(self, name: str = "web", **fields: Any) -> Any:
        """Write a role."""
        usual = {"bound_service_account_names": "web", "bound_service_account_namespaces": "apps", "token_policies": "web"}
        return self.write(f"auth/kubernetes/role/{name}", **usual | fields)

    def enter(self, token: str | None = None, *, role: str = "web", **more: Any) -> Auth:
        """Log in; by a good token unless told otherwise."""
        fields = {"role": role, "jwt": self.cluster.token() if token is None else token}
        response = self.send(Operation.UPDATE, "auth/kubernetes/login", fields, token=None, **more)
        assert response is not None
        assert response.auth is not None
        return response.auth

    def renew(self, auth: Auth) -> Auth:
        """Renew a token by itself."""
        response = self.send(Operation.UPDATE, "auth/token/renew-self", {}, token=auth.client_token.reveal())
        assert response is not None
        assert response.auth is not None
        return response.auth


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Return a cluster."""
    with running_cluster(tmp_path / "cluster") as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return where Kubernetes would put the files of the server's own pod; empty."""
    found = tmp_path / "pod"
    found.mkdir()
    return found


@pytest.fixture
def world(cluster: Cluster, folder: Path) -> PodWorld:
    """Return the host."""
    return PodWorld(cluster, folder)
