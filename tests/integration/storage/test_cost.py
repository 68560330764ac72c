"""What reads and writes cost, counted in round trips and buffers, not in time."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.integration.storage.worker import Worker
from vault.storage import statement
from vault.storage.connection import ARGUMENTS, BoundedConnection
from vault.storage.physical import Change
from vault.storage.postgres import Postgres, range_end
from vault.storage.transaction import Transaction

ROWS = 100_000
CHILDREN = 1_000
BUFFERS_MAX = 100


@pytest.fixture(scope="module")
def crowded(server: Any) -> Iterator[psycopg.Connection[Any]]:
    """Return a connection to a database with a folder of a thousand rows beside one of a hundred thousand."""
    with BoundedConnection.connect(server.dsn, **ARGUMENTS) as connection:
        connection.execute("TRUNCATE vault.entry")
        fill = "INSERT INTO vault.entry (parent, name, value, version) SELECT {}, 'row' || n, '', 1 FROM generate_series(1, {}) AS n"
        connection.execute(fill.format("'f/'", CHILDREN))
        connection.execute(fill.format("'f/deep/' || n % 7 || '/' || n / 100 || '/'", ROWS))
        # Until then PostgreSQL looks at each row to see whether it is visible.
        connection.execute("VACUUM (ANALYZE) vault.entry")
        yield connection
        connection.execute("TRUNCATE vault.entry")


def buffers(connection: psycopg.Connection[Any], sql: str, parameters: tuple[Any, ...]) -> int:
    """Return how many buffers a statement touches."""
    row = connection.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", parameters).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


@pytest.mark.parametrize("after", ["", "row500", "deep/"])
def test_listing_does_not_read_the_subtree(crowded: psycopg.Connection[Any], after: str) -> None:
    """A listing touches what it shows: a subtree of a hundred thousand rows beside it costs one step."""
    folders_from = range_end("f/" + after) if after.endswith("/") else "f/" + (after or "\x01")
    assert buffers(crowded, statement.LIST_CHILDREN.sql, ("f/", "f0", after, folders_from, None)) < BUFFERS_MAX


def test_folder_of_large_folders_costs_a_hop_each(crowded: psycopg.Connection[Any]) -> None:
    """Seven folders above a hundred thousand rows cost seven hops."""
    assert buffers(crowded, statement.LIST_CHILDREN.sql, ("f/deep/", "f/deep0", "", "f/deep/\x01", None)) < BUFFERS_MAX


def test_page_of_a_listing_reads_a_page(crowded: psycopg.Connection[Any]) -> None:
    """Ten names of a large folder cost less than the folder."""
    assert buffers(crowded, statement.LIST_CHILDREN.sql, ("f/", "f0", "row10", "f/row10", 10)) < 30


def test_page_of_a_subtree_reads_a_page(crowded: psycopg.Connection[Any]) -> None:
    """A page of a large subtree costs a page."""
    assert buffers(crowded, statement.LIST_SUBTREE.sql, ("f0", "f/deep/3/500/", "", 100)) < BUFFERS_MAX


def test_get_reads_one_row(crowded: psycopg.Connection[Any]) -> None:
    """A row is found by its key."""
    assert buffers(crowded, statement.GET.sql, ("f/", "row7")) < 10


def test_expired_rows_are_found_by_index(crowded: psycopg.Connection[Any]) -> None:
    """That nothing is due is known without reading the rows."""
    assert buffers(crowded, statement.LIST_EXPIRED.sql, (1.0, 100, "sys/lease/", "sys/lease0")) < 10


class CountingConnection:
    """Counts the round trips of the connections of a storage."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[int] = []
        ask = BoundedConnection.ask

        def counting(connection: BoundedConnection, *questions: Any) -> Any:
            self.asked.append(len(questions))
            return ask(connection, *questions)

        monkeypatch.setattr(BoundedConnection, "ask", counting)


def test_commit_takes_two_round_trips(start: Callable[..., Worker], monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit of many rows is two round trips, a cached read none, another read one."""
    worker, other = start(), start()
    counting = CountingConnection(monkeypatch)

    def work(transaction: Transaction) -> None:
        for number in range(50):
            transaction.put(f"a/{number}", b"v")

    worker.store.run(work)
    assert len(counting.asked) == 2
    assert worker.read("a/7") == b"v"
    assert len(counting.asked) == 2
    assert other.read("a/7") == b"v"
    assert other.read("a/7") == b"v"
    assert len(counting.asked) == 3


def test_refused_value_leaves_the_connection_good(dsn: str) -> None:
    """After a statement that failed as soon as it was prepared, the same connection goes on."""
    physical = Postgres(dsn, 1)
    physical.open()
    try:
        for _ in range(3):
            with pytest.raises(Exception, match="cannot be stored"):
                physical.get("a\0b")
            assert physical.get("a") is None
    finally:
        physical.close()


def test_statements_that_come_one_by_one_keep_their_names(dsn: str) -> None:
    """A connection that meets a statement beside others, known ones and repeated ones, prepares it once and under a name of its own."""
    physical = Postgres(dsn, 1)
    physical.open()
    seen = 0
    try:
        for version, kinds in enumerate((("put",), ("put", "put"), ("delete", "put"), ("put", "absent", "delete", "put"), ("absent",)), 1):
            changes = [
                Change(
                    path=f"{version}/{place}",
                    value=b"v" if kind == "put" else None,
                    delete=kind == "delete",
                    expected=None if kind != "absent" else 0,
                )
                for place, kind in enumerate(kinds)
            ]
            prepared = physical.prepare(version, changes, ["gone/"] if version > 2 else [])
            prepared.commit()
            assert prepared.created == {change.path for change in changes if change.value}
            seen += 1
    finally:
        physical.close()
    assert seen == 5


def test_value_larger_than_any_buffer_comes_back(dsn: str) -> None:
    """A value that the sockets cannot hold at once is sent and read while the server answers."""
    physical = Postgres(dsn, 1)
    physical.open()
    value = bytes(range(256)) * 4096 * 24
    try:
        physical.prepare(1, [Change(path="large", value=value)], []).commit()
        row = physical.get("large")
        assert row is not None
        assert row.value == value
    finally:
        physical.close()
