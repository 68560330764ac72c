"""A server over a real PostgreSQL: the parts of the unit tests' world, with its rows in a database."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from tests.unit.vault.modules.system.world import World
from vault.storage import migration
from vault.storage.embedded import Embedded
from vault.storage.postgres import Postgres

CONNECTIONS = 12


class DatabaseWorld(World):
    """A host whose rows lie in PostgreSQL; its workers share the connections."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        super().__init__()

    def make_physical(self) -> Postgres:
        """Return open connections."""
        self.database = Postgres(self.dsn, CONNECTIONS, self.page.host_id)
        self.database.open()
        return self.database


@pytest.fixture(scope="session")
def server() -> Iterator[Embedded]:
    """Run PostgreSQL with the schema in it."""
    with tempfile.TemporaryDirectory(prefix="health-vault-test-", ignore_cleanup_errors=True) as folder:
        embedded = Embedded(Path(folder) / "server", throw_away=True)
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
def world(dsn: str) -> Iterator[DatabaseWorld]:
    """Return an unsealed server over it."""
    made = DatabaseWorld(dsn)
    yield made
    made.database.close()
