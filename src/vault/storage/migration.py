"""Forward-only migrations: numbered SQL files, applied once each under an advisory lock, their checksums kept.

An applied file that was changed or has vanished is refused: the schema would no longer be what the files say.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg

from vault.errors import VaultError

_LOCK = 0x4856_4D49  # any number, the same for every host
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_TABLE = """
    CREATE SCHEMA IF NOT EXISTS vault;
    CREATE TABLE IF NOT EXISTS vault.migration (
        number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class MigrationError(VaultError):
    """The files and the database do not agree."""

    message = "migrations and database disagree"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """One numbered file."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Return the SHA-256 of the text."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


def find_folder() -> Path:
    """Return where the files are: the repository's folder when run from source, else the one in the wheel."""
    source = Path(__file__).resolve().parents[3] / "migrations"
    return source if source.is_dir() else Path(__file__).resolve().parent / "migrations"


def list_migrations(folder: Path) -> tuple[Migration, ...]:
    """Return the files in order; refuses gaps and strange names."""
    found = []
    for file in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(file.name)
        if match is None or int(match[1]) != len(found) + 1:
            raise MigrationError(f"unexpected migration file {file.name}")
        found.append(Migration(number=int(match[1]), name=file.name, sql=file.read_text(encoding="utf-8")))
    return tuple(found)


def migrate(dsn: str, folder: Path | None = None) -> tuple[str, ...]:
    """Apply what is missing, all of it or nothing; return the names."""
    migrations = list_migrations(folder or find_folder())
    with psycopg.connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        connection.execute(_TABLE)
        applied = dict(connection.execute("SELECT number, checksum FROM vault.migration").fetchall())
        _check(migrations, applied)
        missing = [migration for migration in migrations if migration.number not in applied]
        for migration in missing:
            connection.execute(migration.sql.encode())
            connection.execute(
                "INSERT INTO vault.migration (number, name, checksum) VALUES (%s, %s, %s)",
                (migration.number, migration.name, migration.checksum),
            )
    return tuple(migration.name for migration in missing)


def _check(migrations: tuple[Migration, ...], applied: dict[int, str]) -> None:
    known = {migration.number: migration for migration in migrations}
    for number, checksum in applied.items():
        if number not in known:
            raise MigrationError(f"migration {number} was applied but its file is missing")
        if known[number].checksum != checksum:
            raise MigrationError(f"migration {known[number].name} was changed after it was applied")


def reset(dsn: str) -> None:
    """Drop everything of the service."""
    with psycopg.connect(dsn) as connection:
        connection.execute("DROP SCHEMA IF EXISTS vault CASCADE")
