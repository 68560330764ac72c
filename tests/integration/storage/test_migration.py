"""Migrations against a real database."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from vault.storage import migration
from vault.storage.embedded import Embedded
from vault.storage.migration import MigrationError, migrate


@pytest.fixture
def empty(server: Embedded) -> Iterator[str]:
    """Return a database without the service's schema."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS migrated")
        connection.execute("CREATE DATABASE migrated")
    yield server.dsn.replace("dbname=postgres", "dbname=migrated")
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE migrated (FORCE)")


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return what writes a migration, and gives the folder."""

    def run(name: str, sql: str) -> Path:
        (tmp_path / name).write_text(sql)
        return tmp_path

    return run


def list_tables(dsn: str) -> set[str]:
    """Return the tables of the service."""
    with psycopg.connect(dsn) as connection:
        return {row[0] for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'vault'").fetchall()}


def test_changed_file_is_refused(empty: str, write: Callable[[str, str], Path]) -> None:
    """An applied file that was changed since is refused, and nothing newer is applied."""
    migrate(empty, write("0001_a.sql", "CREATE TABLE vault.a ()"))
    write("0002_b.sql", "CREATE TABLE vault.b ()")
    with pytest.raises(MigrationError, match=r"0001_a\.sql was changed"):
        migrate(empty, write("0001_a.sql", "CREATE TABLE vault.a () -- changed"))
    assert list_tables(empty) == {"a", "migration"}


def test_missing_file_is_refused(empty: str, write: Callable[[str, str], Path]) -> None:
    """An applied file that has vanished is refused: this is an older release than the one that wrote the schema."""
    write("0001_a.sql", "CREATE TABLE vault.a ()")
    folder = write("0002_b.sql", "CREATE TABLE vault.b ()")
    migrate(empty, folder)
    (folder / "0002_b.sql").unlink()
    with pytest.raises(MigrationError, match="migration 2 was applied"):
        migrate(empty, folder)


def test_failed_migration_leaves_nothing(empty: str, write: Callable[[str, str], Path]) -> None:
    """If one file fails, none of the run is applied."""
    write("0001_a.sql", "CREATE TABLE vault.a ()")
    folder = write("0002_b.sql", "CREATE TABLE vault.b (); CREATE TABLE vault.a ()")
    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate(empty, folder)
    assert list_tables(empty) == set()


def test_concurrent_runs_apply_each_file_once(empty: str) -> None:
    """Of hosts that start at the same time one applies the files, the others find them applied."""
    with ThreadPoolExecutor(4) as pool:
        applied = sorted(pool.map(lambda _: migrate(empty), range(4)))
    assert [len(names) for names in applied] == [0, 0, 0, len(migration.list_migrations(migration.find_folder()))]
    assert migrate(empty) == ()
    assert {"entry", "host", "migration"} <= list_tables(empty)


def test_reset_removes_everything(empty: str) -> None:
    """After a reset nothing is there, and everything can be applied again."""
    first = migrate(empty)
    migration.reset(empty)
    assert list_tables(empty) == set()
    assert migrate(empty) == first
