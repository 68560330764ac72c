"""A host with the method `ldap`, and a directory."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.ldap_directory import Directory, running_directory
from tests.unit.vault.modules.system.world import World
from vault.logical.operation import Operation
from vault.logical.response import Auth
from vault.modules.auth.methods.ldap import backend


class People(World):
    """A host with the method at auth/ldap."""

    def __init__(self, directory: Directory) -> None:
        self.backends = {("auth", "ldap"): {"": backend.build()}}
        super().__init__()
        self.directory = directory
        directory.forget()
        self.write("sys/auth/ldap", type="ldap")
        self.configure()

    def configure(self, **fields: Any) -> None:
        """Say where the directory is."""
        self.write("auth/ldap/config", **self.directory.config | fields)

    def enter(self, name: str = "ann", password: str | None = None) -> Auth:
        """Log in; with the right password unless told otherwise."""
        fields = {"password": f"{name}-password" if password is None else password}
        response = self.send(Operation.UPDATE, f"auth/ldap/login/{name}", fields, token=None)
        assert response is not None
        assert response.auth is not None
        return response.auth

    def renew(self, auth: Auth) -> Auth:
        """Renew a token by itself."""
        response = self.send(Operation.UPDATE, "auth/token/renew-self", {}, token=auth.client_token.reveal())
        assert response is not None
        assert response.auth is not None
        return response.auth


@pytest.fixture(scope="session")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Directory]:
    """Run a directory."""
    with running_directory(tmp_path_factory.mktemp("directory")) as found:
        yield found


@pytest.fixture
def world(directory: Directory) -> People:
    """Return the host."""
    return People(directory)
