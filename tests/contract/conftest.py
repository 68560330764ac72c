"""Every implementation of the physical storage, each over a place of its own."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.storage import migration
from vault.storage.embedded import Embedded
from vault.storage.memory import Memory
from vault.storage.physical import Physical
from vault.storage.postgres import Postgres

CLEARING = 2**62  # the version of the transaction that empties the storage; no test uses it


@pytest.fixture(scope="session")
def dsn() -> Iterator[str]:
    """Run a real PostgreSQL with the schema in it."""
    # Not below pytest's own folder: each run of pytest closes that to the user of the database.
    with tempfile.TemporaryDirectory(prefix="health-vault-contract-") as folder:
        embedded = Embedded(Path(folder) / "data", throw_away=True)
        try:
            found = embedded.start()
            migration.migrate(found)
            yield found
        finally:
            embedded.stop()


@pytest.fixture(params=["memory", "postgres"])
def physical(request: pytest.FixtureRequest) -> Iterator[Physical]:
    """Return an empty storage."""
    if request.param == "memory":
        yield Memory()
        return
    found: str = request.getfixturevalue("dsn")
    postgres = Postgres(found, 4)
    postgres.open()
    postgres.prepare(CLEARING, [], [""]).commit()
    yield postgres
    postgres.close()
