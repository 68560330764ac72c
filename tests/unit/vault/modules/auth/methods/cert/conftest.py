"""A host with the method `cert`, and certificates that are good by its clock."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.issuer import Issued, make
from tests.unit.vault.modules.system.world import World
from vault.logical.operation import Operation
from vault.logical.response import Auth
from vault.modules.auth.methods.cert import backend

Enter = Callable[..., Auth]


class CertWorld(World):
    """A host with the method at auth/cert."""

    def __init__(self) -> None:
        self.backends = {("auth", "cert"): {"": backend.build()}}
        super().__init__()
        self.write("sys/auth/cert", type="cert")
        self.root = self.make("root", authority=True)

    @property
    def now(self) -> datetime:
        """Return the time of this host."""
        return datetime.fromtimestamp(self.clock.now(), UTC)

    def make(self, subject: Any, **options: Any) -> Issued:
        """Make a certificate that is good now."""
        return make(subject, now=self.now, **options)

    def client(self, subject: Any = "client", **options: Any) -> Issued:
        """Make a client's certificate of the trusted authority."""
        return self.root.issue(subject, now=self.now, **options)

    def trust(self, name: str = "web", **fields: Any) -> Any:
        """Write a role; it trusts the authority unless told otherwise."""
        return self.write(f"auth/cert/certs/{name}", **{"certificate": self.root.pem, "token_policies": "web"} | fields)

    def enter(self, *shown: Issued, name: str = "", **more: Any) -> Auth:
        """Log in."""
        fields = {"name": name} if name else {}
        certificates = tuple(one.der for one in shown)
        response = self.send(Operation.UPDATE, "auth/cert/login", fields, token=None, certificates=certificates, **more)
        assert response is not None
        assert response.auth is not None
        return response.auth

    def renew(self, auth: Auth, *shown: Issued) -> Auth:
        """Renew a token over a connection that shows these certificates."""
        certificates = tuple(one.der for one in shown)
        token = auth.client_token.reveal()
        response = self.send(Operation.UPDATE, "auth/token/renew-self", {}, token=token, certificates=certificates)
        assert response is not None
        assert response.auth is not None
        return response.auth


@pytest.fixture
def world() -> CertWorld:
    """Return the host."""
    return CertWorld()
