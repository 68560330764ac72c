"""Every SQL statement of the storage, typed to its parameters and to the row that it answers. `sqlcheck` proves them against the
migrated schema."""

from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

R = TypeVar("R", bound=tuple[object, ...])


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement(Generic[R]):
    """A statement, the PostgreSQL types of its parameters in order, and the class of its rows."""

    sql: str
    parameters: tuple[str, ...]
    row: type[R]


class StoredRow(NamedTuple):
    """A row of the vault."""

    value: bytes
    version: int


class Applied(NamedTuple):
    """Positions (from one) of changes that made or removed a row."""

    created: list[int]
    removed: list[int]


class Place(NamedTuple):
    """Folder and name of a row."""

    parent: str
    name: str


class Name(NamedTuple):
    """A name in a folder."""

    name: str


class Path(NamedTuple):
    """A whole path."""

    path: str


GET = Statement(
    sql="SELECT value, version FROM vault.entry WHERE parent = $1::text AND name = $2::text",
    parameters=("text", "text"),
    row=StoredRow,
)

APPLY = Statement(
    sql="""
        SELECT created, removed FROM vault.apply_changes(
            $1::text[], $2::text[], $3::smallint[], $4::bigint[], $5::bytea[], $6::double precision[], $7::bigint,
            $8::text, $9::text
        )
    """,
    parameters=("text[]", "text[]", "smallint[]", "bigint[]", "bytea[]", "double precision[]", "bigint", "text", "text"),
    row=Applied,
)

DELETE_BELOW = Statement(
    sql="DELETE FROM vault.entry WHERE parent >= $1::text AND parent < $2::text RETURNING parent, name",
    parameters=("text", "text"),
    row=Place,
)

# Parameters: prefix, end of its range, name to start after, folder to start from, how many.
# Names come from the folder itself, its folders by hopping from one distinct parent to the next: the cost is what is shown, not
# what lies below.
LIST_CHILDREN = Statement(
    sql="""
        WITH RECURSIVE hop (folder) AS (
            SELECT min(parent) FROM vault.entry WHERE parent >= $4::text AND parent < $2::text
            UNION ALL
            SELECT (
                SELECT min(next.parent) FROM vault.entry AS next
                WHERE next.parent >= $1::text || split_part(substr(hop.folder, length($1::text) + 1), '/', 1) || '0'
                  AND next.parent < $2::text
            )
            FROM hop WHERE hop.folder IS NOT NULL
        ),
        names (name) AS (
            (SELECT name FROM vault.entry WHERE parent = $1::text AND name > $3::text ORDER BY name LIMIT $5::bigint)
            UNION ALL
            (SELECT split_part(substr(folder, length($1::text) + 1), '/', 1) || '/' FROM hop WHERE folder IS NOT NULL LIMIT $5::bigint)
        )
        SELECT name COLLATE "C" AS name FROM names WHERE name COLLATE "C" > $3::text ORDER BY name COLLATE "C" LIMIT $5::bigint
    """,
    parameters=("text", "text", "text", "text", "bigint"),
    row=Name,
)

LIST_SUBTREE = Statement(
    sql="""
        SELECT parent || name AS path FROM vault.entry
        WHERE parent >= $1::text AND parent < $2::text AND (parent, name) > ($3::text, $4::text)
        ORDER BY parent, name LIMIT $5::bigint
    """,
    parameters=("text", "text", "text", "text", "bigint"),
    row=Path,
)

LIST_EXPIRED = Statement(
    sql="SELECT parent || name AS path FROM vault.entry WHERE expires_at < $1::double precision ORDER BY expires_at LIMIT $2::bigint",
    parameters=("double precision", "bigint"),
    row=Path,
)


class Registered(NamedTuple):
    """The transaction that made a host known."""

    transaction: int


class Outlived(NamedTuple):
    """Whether every transaction that is still running began after a given one."""

    outlived: bool


class Seen(NamedTuple):
    """A host that was seen in time."""

    id: str


REGISTER = Statement(
    sql="""
        INSERT INTO vault.host (id, seen_at) VALUES ($1::text, clock_timestamp())
        ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()
        RETURNING pg_current_xact_id()::text::bigint AS transaction
    """,
    parameters=("text",),
    row=Registered,
)

OUTLIVES = Statement(
    sql="SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > $1::bigint AS outlived",
    parameters=("bigint",),
    row=Outlived,
)

HEARTBEAT = Statement(
    sql="""
        UPDATE vault.host SET seen_at = clock_timestamp()
        WHERE id = $1::text AND seen_at > clock_timestamp() - interval '8 seconds'
        RETURNING id
    """,
    parameters=("text",),
    row=Seen,
)

FORGET_HOSTS = Statement(
    sql="DELETE FROM vault.host WHERE seen_at < clock_timestamp() - interval '1 hour' RETURNING id",
    parameters=(),
    row=Seen,
)

ALL: tuple[Statement[tuple[object, ...]], ...] = (  # type: ignore[assignment]  # rows of different classes, each of them a tuple
    GET, APPLY, DELETE_BELOW, LIST_CHILDREN, LIST_SUBTREE, LIST_EXPIRED, REGISTER, OUTLIVES, HEARTBEAT, FORGET_HOSTS,
)
