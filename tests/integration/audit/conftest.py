"""A tiny disk; and a real PostgreSQL with the two roles of the service: the owner of the tables, and the application's."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from vault.storage import migration
from vault.storage.embedded import APPLICATION_USER, Embedded

DISK_BYTES = 256 * 1024


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a tiny disk of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "none", str(place)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("file systems cannot be mounted here; a limit of the size of files and a server's failing writes need none")
    yield place
    # Lazily: the chain still has its file open.
    subprocess.run(["umount", "--lazy", str(place)], check=True)


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
