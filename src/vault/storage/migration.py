"""Forward-only migrations: numbered SQL files, applied once each under an advisory lock, their checksums kept.

An applied file that was changed or has vanished is refused: the schema would no longer be what the files say.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import psycopg.errors

from vault.errors import StorageUnavailable, VaultError
from vault.storage import audit_statement, statement

_LOCK = 0x4856_4D49  # any number, the same for every host
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")


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
    """Return where the files are: beside this module in the wheel, else the repository's folder."""
    packed = Path(__file__).resolve().parent / "migrations"
    return packed if packed.is_dir() else Path(__file__).resolve().parents[3] / "migrations"


def list_migrations(folder: Path) -> tuple[Migration, ...]:
    """Return the files in order; refuses gaps and strange names."""
    found: list[Migration] = []
    for file in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(file.name)
        if match is None or int(match[1]) != len(found) + 1:
            raise MigrationError(f"unexpected migration file {file.name}")
        found.append(Migration(number=int(match[1]), name=file.name, sql=file.read_text(encoding="utf-8")))
    return tuple(found)


def migrate(dsn: str, folder: Path | None = None, *, application_role: str = "") -> tuple[str, ...]:
    """Apply what is missing, all of it or nothing; return the names. Then give the application's role its rights.

    A role without the right to make tables may call this, too: it learns whether there is anything to do.
    """
    migrations = list_migrations(folder or find_folder())
    try:
        with psycopg.connect(dsn, cursor_factory=psycopg.RawCursor) as connection:
            connection.execute(statement.MIGRATION_TIMEOUT)
            connection.execute(statement.MIGRATION_LOCK.sql, (_LOCK,))
            applied = _apply(connection, migrations)
            if application_role:
                _grant(connection, application_role)
            return applied
    except psycopg.errors.InsufficientPrivilege as cause:
        raise MigrationError(
            "the database is not up to date, and this role may not change it: run `health-vault operator migrate` as the owner"
        ) from cause
    except psycopg.OperationalError as cause:
        raise _unreachable(cause) from cause


def _unreachable(cause: psycopg.OperationalError) -> StorageUnavailable:
    """Return what an operator reads; the driver's text names host and role, and no password."""
    return StorageUnavailable(f"the database refuses or cannot be reached: {cause}")


def _apply(connection: psycopg.Connection[Any], migrations: tuple[Migration, ...]) -> tuple[str, ...]:
    known = connection.execute(statement.KNOWS_MIGRATIONS.sql).fetchone()
    if not known or not known[0]:
        connection.execute(statement.CREATE_SCHEMA)
        connection.execute(statement.CREATE_MIGRATION)
    applied: dict[int, str] = dict(connection.execute(statement.MIGRATIONS.sql).fetchall())
    _check(migrations, applied)
    missing = [migration for migration in migrations if migration.number not in applied]
    for migration in missing:
        connection.execute(migration.sql.encode())
        connection.execute(statement.ADD_MIGRATION.sql, (migration.number, migration.name, migration.checksum))
    return tuple(migration.name for migration in missing)


def _grant(connection: psycopg.Connection[Any], role: str) -> None:
    try:
        connection.execute(audit_statement.GRANT_APPLICATION.sql, (role,))
    except (psycopg.errors.UndefinedObject, psycopg.errors.InvalidParameterValue) as cause:
        raise MigrationError(f"rights cannot be given to {role}: {cause.diag.message_primary}") from cause


def _check(migrations: tuple[Migration, ...], applied: dict[int, str]) -> None:
    known = {migration.number: migration for migration in migrations}
    for number, checksum in applied.items():
        if number not in known:
            raise MigrationError(f"migration {number} was applied but its file is missing")
        if known[number].checksum != checksum:
            raise MigrationError(f"migration {known[number].name} was changed after it was applied")


def reset(dsn: str) -> None:
    """Drop everything of the service."""
    try:
        with psycopg.connect(dsn) as connection:
            connection.execute(statement.DROP_SCHEMA)
    except psycopg.OperationalError as cause:
        raise _unreachable(cause) from cause
