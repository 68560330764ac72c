"""A real PostgreSQL with the audit tables."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from vault.storage import migration
from vault.storage.embedded import Embedded
from vault.storage.evidence import _READ_ARGUMENTS

Connection = psycopg.Connection[tuple[object, ...]]


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """Run PostgreSQL with the schema in it; it is not below pytest's folder, which the user of the database may not enter."""
    with tempfile.TemporaryDirectory(prefix="health-vault-test-", ignore_cleanup_errors=True) as folder:
        embedded = Embedded(Path(folder) / "server", throw_away=True)
        try:
            migration.migrate(embedded.start())
            yield embedded.dsn
        finally:
            embedded.stop()


@pytest.fixture
def connection(dsn: str) -> Iterator[Connection]:
    """Return a connection of somebody whom no trigger stops; nothing of what it does stays."""
    with psycopg.connect(dsn, **_READ_ARGUMENTS) as found:
        found.execute("SET session_replication_role = replica")
        found.commit()
        yield found
        found.rollback()
