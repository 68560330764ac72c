"""What a listing costs, counted in rows that PostgreSQL touches."""

from typing import Any

import psycopg
import pytest

from vault.storage import statement
from vault.storage.postgres import Postgres, range_end


@pytest.fixture
def connection(dsn: str) -> Any:
    """Return a connection to a folder of 1,000 rows beside a subtree of 10,000."""
    with psycopg.connect(dsn, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        fill = """
            INSERT INTO vault.entry (parent, name, value, version)
            SELECT $1::text, to_char(n, 'FM00000'), '', 1 FROM generate_series(1, $2) AS n
        """
        connection.execute(fill, ("a/", 1000))
        connection.execute(fill, ("a/x/", 9_000))
        connection.execute(fill, ("a/x/deep/er/", 1_000))
        connection.execute("VACUUM (ANALYZE) vault.entry")
        yield connection


def count_rows(connection: psycopg.Connection[tuple[Any, ...]], prefix: str, after: str, limit: int | None) -> tuple[int, int]:
    """Return how many rows the scans of a listing gave, and how many pages it touched."""
    parameters = (prefix, range_end(prefix), after, prefix + (after or "\x01"), limit)
    row = connection.execute("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + statement.LIST_CHILDREN.sql, parameters).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return sum(_scanned(plan)), plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]


def _scanned(node: dict[str, Any]) -> list[int]:
    own = (
        [round((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])]
        if "Index" in node["Node Type"]
        else []
    )
    return own + [rows for child in node.get("Plans", ()) for rows in _scanned(child)]


def test_listing_does_not_touch_what_lies_below(connection: psycopg.Connection[tuple[Any, ...]], dsn: str) -> None:
    """A listing of 1,000 rows beside a subtree of 10,000 reads the rows that it shows, and a few to hop over the subtree."""
    postgres = Postgres(dsn, 1)
    postgres.open()
    names = postgres.list_children("a/", "", None)
    postgres.close()
    assert (len(names), names[-1]) == (1001, "x/")
    rows, pages = count_rows(connection, "a/", "", None)
    assert rows <= 1010
    assert pages < 100


def test_page_of_a_listing_costs_a_page(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Ten names from the middle of a folder cost about ten rows."""
    rows, _ = count_rows(connection, "a/", "00500", 10)
    assert rows <= 30


def test_folder_of_large_folders_costs_a_hop_each(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    """Above the large folders the listing hops: two rows for a tree of 11,000."""
    rows, pages = count_rows(connection, "", "", None)
    assert rows <= 5
    assert pages < 30
