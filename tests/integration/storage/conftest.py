"""A real PostgreSQL, and workers over it."""

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.storage.worker import Worker
from vault.host import HostPage
from vault.storage import migration
from vault.storage.embedded import Embedded
from vault.storage.keyring import Keyring


@pytest.fixture(scope="session")
def parent() -> Iterator[Path]:
    """Return a folder for data folders.

    It is not below pytest's own: each run of pytest closes that to the user of the database.
    """
    with tempfile.TemporaryDirectory(prefix="health-vault-test-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)


@pytest.fixture
def folder(parent: Path) -> Path:
    """Return a data folder that nobody has used."""
    return parent / os.urandom(6).hex()


@pytest.fixture(scope="session")
def server(parent: Path) -> Iterator[Embedded]:
    """Run PostgreSQL with the schema in it."""
    embedded = Embedded(parent / "server", throw_away=True)
    try:
        migration.migrate(embedded.start())
        yield embedded
    finally:
        embedded.stop()


@pytest.fixture
def dsn(server: Embedded) -> str:
    """Return an empty database."""
    with psycopg.connect(server.dsn) as connection:
        connection.execute("TRUNCATE vault.entry, vault.host")
    return server.dsn


@pytest.fixture
def page() -> HostPage:
    """Return the page of one host."""
    return HostPage()


@pytest.fixture
def keyring() -> Keyring:
    """Return the keys of one cluster."""
    return Keyring.create()


@pytest.fixture
def start(dsn: str, page: HostPage, keyring: Keyring) -> Iterator[Callable[..., Worker]]:
    """Return what starts a worker in this process, on the one host or on another."""
    started: list[Worker] = []

    def run(host: HostPage | None = None, *, listening: bool = False) -> Worker:
        started.append(Worker(dsn, host or page, keyring, listening=listening))
        return started[-1]

    yield run
    for worker in started:
        worker.listener.stop()
    for worker in started:
        worker.stop()
