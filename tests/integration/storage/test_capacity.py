"""A PostgreSQL with too little room for the workers is named at the start, with the numbers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from vault.storage.capacity import NoRoom, check_room, choose_limit, count_connections
from vault.storage.embedded import Embedded


@pytest.fixture
def limited(server: Embedded) -> Iterator[Callable[[int], str]]:
    """Return what makes a database that allows so many connections."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE limited")

        def run(connections: int) -> str:
            connection.execute(f"ALTER DATABASE limited CONNECTION LIMIT {connections}".encode())
            return server.dsn.replace("dbname=postgres", "dbname=limited")

        yield run
        connection.execute("DROP DATABASE limited (FORCE)")


def test_workers_that_could_not_work_at_all_are_refused(limited: Callable[[int], str]) -> None:
    """Two connections are the least of a worker: one to listen, one to work."""
    with pytest.raises(NoRoom, match="4 workers of 8 threads may open 44 connections; PostgreSQL allows 7, of which others hold"):
        check_room(limited(7), 4, 8)


def test_shortage_is_told(limited: Callable[[int], str]) -> None:
    """What may become too little under load is a warning."""
    with capture_logs() as logs:
        check_room(limited(40), 4, 8)
    assert [line["log_level"] for line in logs] == ["warning"]
    assert "4 workers of 8 threads may open 44 connections; PostgreSQL allows 40" in logs[0]["event"]


def test_enough_room_is_no_news(limited: Callable[[int], str]) -> None:
    """A database without limits of its own allows what the server does."""
    with capture_logs() as logs:
        check_room(limited(-1), 4, 8)
    assert logs == []


def test_embedded_server_has_room_for_its_workers(parent: Path) -> None:
    """The limit of an embedded PostgreSQL follows from the workers: more than its usual hundred connections are there."""
    embedded = Embedded(parent / "crowded", throw_away=True, connections=choose_limit(16, 8))
    try:
        dsn = embedded.start()
        with capture_logs() as logs:
            check_room(dsn, 16, 8)
        assert logs == []
        assert count_connections(16, 8) > 100
    finally:
        embedded.stop()


def test_audit_table_is_counted() -> None:
    """Each worker has a connection for each audit device in the database."""
    assert count_connections(4, 8, 2) == count_connections(4, 8) + 4 * 2
    assert choose_limit(64, 8, 1) - choose_limit(64, 8) == 64
