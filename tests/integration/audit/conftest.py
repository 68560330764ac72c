"""A real PostgreSQL with the two roles of the service: the owner of the tables, and the application's."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from vault.storage import migration
from vault.storage.embedded import APPLICATION_USER, Embedded


@pytest.fixture(scope="session")
def server() -> Iterator[Embedded]:
    """Run PostgreSQL with the schema and the rights in it."""
    with tempfile.TemporaryDirectory(prefix="health-vault-test-", ignore_cleanup_errors=True) as folder:
        embedded = Embedded(Path(folder) / "server", throw_away=True)
        try:
            migration.migrate(embedded.start(), application_role=APPLICATION_USER)
            yield embedded
        finally:
            embedded.stop()


@pytest.fixture
def owner(server: Embedded) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Return a connection of the owner, who is a superuser here."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        yield connection


@pytest.fixture
def device() -> str:
    """Return the name of a device that no other test has."""
    return f"{os.urandom(4).hex()}/"


@pytest.fixture
def application(server: Embedded) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """Return a connection of the application's role."""
    with psycopg.connect(server.application_dsn, autocommit=True) as connection:
        yield connection
