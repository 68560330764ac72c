"""The audit commands on the table: `verify`, `search` and `tail`."""

import itertools
import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from click.testing import CliRunner, Result

from tests.integration.evidence.test_retention import World
from tests.unit.vault.audit.tampering import COVERED, KEY, RECORDS, Log, make_log
from vault.audit.tail import TableTail
from vault.cli.audit import audit
from vault.storage import migration
from vault.storage.evidence import open_reader

COVERING = ("--checkpoints", "table", "--key", b64encode(KEY.public.raw).decode())


@pytest.fixture
def log(tmp_path: Path) -> Log:
    """Return a log that is in the table."""
    return make_log(tmp_path / "log", "postgres")


@pytest.fixture
def world(dsn: str, log: Log) -> Iterator[World]:
    """Return a database with a log, and leave it empty."""
    made = World(dsn)
    made.fill(log, (10, 20))
    yield made
    migration.reset(dsn)
    migration.migrate(dsn)


def run(world: World, *arguments: str) -> Result:
    """Run a command over the database that the environment names."""
    return CliRunner().invoke(audit, arguments, env={"HEALTH_VAULT_STORAGE_CONNECTION_URL": world.dsn})


def test_verify_checks_the_table(world: World, log: Log) -> None:
    """A good table is told log by log; a removed row is named, and the exit code is 1."""
    found = json.loads(run(world, "verify", *COVERING, "--json").output)
    assert [(entry["log"], entry["ok"], entry["covered"]) for entry in found["logs"]] == [(log.name, True, COVERED[-1])]
    world.execute("DELETE FROM vault.audit_record WHERE seq = 12")
    result = run(world, "verify", *COVERING)
    assert result.exit_code == 1
    assert "record 12 is missing" in result.output


def test_verify_covers_a_file_by_the_table(world: World, log: Log, tmp_path: Path) -> None:
    """Checkpoints in the table cover the log in a file."""
    (tmp_path / "copy").write_bytes(b"".join(line + b"\n" for line in log.lines[:20]))
    result = run(world, "verify", str(tmp_path / "copy"), *COVERING)
    assert result.exit_code == 1
    assert "record 21 and those after it" in result.output


def test_verify_refuses_an_empty_table(world: World) -> None:
    """Where there is no log, nothing was verified."""
    world.execute("DELETE FROM vault.audit_record")
    assert run(world, "verify").exit_code == 1
    assert run(world, "verify", *COVERING).exit_code == 1
    assert run(world, "verify", "--log", "nosuch").exit_code == 1


def test_verify_tells_of_a_database_without_the_table(world: World) -> None:
    """A database of something else is no good log, and no crash."""
    migration.reset(world.dsn)
    result = run(world, "verify", *COVERING)
    assert result.exit_code == 1
    assert "cannot be read" in result.output


def test_search_finds_in_all_partitions(world: World) -> None:
    """Events come out of every month, oldest first; a time narrows to its partitions."""
    assert len(run(world, "search").output.splitlines()) == RECORDS
    assert len(run(world, "search", "--path", "secret/data/1?").output.splitlines()) == 10
    assert run(world, "search", "--since", "2027-01-01").output == ""


def test_tail_shows_the_latest_and_what_comes(world: World, log: Log) -> None:
    """The end of every log, then each new record once."""
    assert run(world, "tail", "-n", "5", "--no-follow").exit_code == 0
    with open_reader(world.dsn) as reader:
        polls = TableTail(reader, 3).polls()
        assert list(next(polls)) == log.lines[-3:]
        assert list(next(polls)) == []
        world.execute(
            "INSERT INTO vault.audit_record VALUES ($1, $2, now(), $3), ($4, 1, now(), $5)", log.name, RECORDS + 1, b"x", "new", b"y"
        )
        assert sorted(itertools.chain.from_iterable(itertools.islice(polls, 2))) == [b"x", b"y"]


def test_reader_writes_nothing(world: World) -> None:
    """Whoever reads the table has a connection that cannot write."""
    with open_reader(world.dsn) as reader, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        reader._connection.execute("DELETE FROM vault.audit_record")
