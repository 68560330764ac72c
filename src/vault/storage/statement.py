"""Every SQL statement of the storage, typed to its parameters and to the row that it answers.

`sqlcheck` proves them against the migrated schema. Those that only steer a connection or make the schema have no row.
"""

from dataclasses import dataclass
from typing import Any, Generic, NamedTuple, TypeVar

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


class Nothing(NamedTuple):
    """No row."""


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

BEGIN = "BEGIN ISOLATION LEVEL READ COMMITTED"  # whatever the default is: each statement must see what is committed by then
COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"


class TransactionStatus(NamedTuple):
    """What became of a transaction."""

    status: str | None


TRANSACTION_STATUS = Statement(
    sql="SELECT pg_xact_status($1::bigint::text::xid8) AS status",
    parameters=("bigint",),
    row=TransactionStatus,
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

# Parameters: end of the prefix's range, folder and name to start after, how many. The start is one condition: beside another lower
# bound the index would be read from that one on, and each page would cost all pages before it.
LIST_SUBTREE = Statement(
    sql="""
        SELECT parent || name AS path FROM vault.entry
        WHERE (parent, name) > ($2::text, $3::text) AND parent < $1::text
        ORDER BY parent, name LIMIT $4::bigint
    """,
    parameters=("text", "text", "text", "bigint"),
    row=Path,
)

LIST_EXPIRED = Statement(
    sql="""
        SELECT parent || name AS path FROM vault.entry
        WHERE expires_at < $1::double precision AND parent >= $3::text AND parent < $4::text
        ORDER BY expires_at LIMIT $2::bigint
    """,
    parameters=("double precision", "bigint", "text", "text"),
    row=Path,
)


class Total(NamedTuple):
    """How many rows."""

    total: int


COUNT_SUBTREE = Statement(
    sql="SELECT count(*) AS total FROM vault.entry WHERE parent >= $1::text AND parent < $2::text",
    parameters=("text", "text"),
    row=Total,
)

# -- hosts, see coherence ------------------------------------------------------------------------------------------------------

LISTEN = "LISTEN vault_change"
NOT_DURABLE = "SET synchronous_commit = off"  # a heartbeat is of no use after a crash, and need not wait for the disk


class Boundary(NamedTuple):
    """The number of a transaction: it is above all that were given out before."""

    boundary: int


class Outlived(NamedTuple):
    """Whether every transaction up to a boundary has ended."""

    outlived: bool


class Host(NamedTuple):
    """A host."""

    id: str


REGISTER = Statement(
    sql="""
        INSERT INTO vault.host (id, seen_at) VALUES ($1::text, clock_timestamp())
        ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()
        RETURNING id
    """,
    parameters=("text",),
    row=Host,
)

BOUNDARY = Statement(
    sql="SELECT pg_current_xact_id()::text::bigint AS boundary",
    parameters=(),
    row=Boundary,
)

OUTLIVES = Statement(
    sql="SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > $1::bigint AS outlived",
    parameters=("bigint",),
    row=Outlived,
)


class Beat(NamedTuple):
    """Whether other hosts write to this database."""

    shared: bool


# Answers nothing if the host was silent for so long that writers may soon overlook it. Most calls only read. Another host counts for
# longer than one of its writes can be under way after its last sign of life.
HEARTBEAT = Statement(
    sql="""
        WITH beat AS (
            UPDATE vault.host SET seen_at = clock_timestamp()
            WHERE id = $1::text AND seen_at BETWEEN clock_timestamp() - interval '5 seconds' AND clock_timestamp() - interval '2 seconds'
        )
        SELECT EXISTS (
            SELECT FROM vault.host WHERE id <> $1::text AND seen_at > clock_timestamp() - interval '20 seconds'
        ) AS shared
        FROM vault.host WHERE id = $1::text AND seen_at > clock_timestamp() - interval '5 seconds'
    """,
    parameters=("text",),
    row=Beat,
)

FORGET_HOSTS = Statement(
    sql="DELETE FROM vault.host WHERE seen_at < clock_timestamp() - interval '1 hour' RETURNING id",
    parameters=(),
    row=Host,
)

FORGET_HOST = Statement(
    sql="DELETE FROM vault.host WHERE id = $1::text RETURNING id",
    parameters=("text",),
    row=Host,
)

# -- capacity --------------------------------------------------------------------------------------------------------------------


class Room(NamedTuple):
    """How many connections this user may have to this database, and how many others there are."""

    allowed: int
    taken: int


ROOM = Statement(
    sql="""
        SELECT
            least(
                current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint
                    - coalesce(current_setting('reserved_connections', true), '0')::bigint,
                nullif(datconnlimit, -1), nullif(rolconnlimit, -1)
            ) AS allowed,
            (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()) AS taken
        FROM pg_database, pg_roles WHERE datname = current_database() AND rolname = current_user
    """,
    parameters=(),
    row=Room,
)

# -- migrations ------------------------------------------------------------------------------------------------------------------

MIGRATION_TIMEOUT = "SET lock_timeout = '60s'"
CREATE_SCHEMA = "CREATE SCHEMA IF NOT EXISTS vault"
DROP_SCHEMA = "DROP SCHEMA IF EXISTS vault CASCADE"
CREATE_MIGRATION = """
    CREATE TABLE IF NOT EXISTS vault.migration (
        number integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class Known(NamedTuple):
    """Whether something is there."""

    known: bool


class Lock(NamedTuple):
    """A lock was taken."""

    pg_advisory_xact_lock: str


class AppliedMigration(NamedTuple):
    """A migration that was applied."""

    number: int
    checksum: str


MIGRATION_LOCK = Statement(sql="SELECT pg_advisory_xact_lock($1::bigint)", parameters=("bigint",), row=Lock)
KNOWS_MIGRATIONS = Statement(sql="SELECT to_regclass('vault.migration') IS NOT NULL AS known", parameters=(), row=Known)
MIGRATIONS = Statement(sql="SELECT number, checksum FROM vault.migration ORDER BY number", parameters=(), row=AppliedMigration)
ADD_MIGRATION = Statement(
    sql="INSERT INTO vault.migration (number, name, checksum) VALUES ($1::integer, $2::text, $3::text)",
    parameters=("integer", "text", "text"),
    row=Nothing,
)

# -- roles of an embedded PostgreSQL --------------------------------------------------------------------------------------------------

CREATE_ROLE = "CREATE ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE"
ALTER_ROLE = "ALTER ROLE {role} PASSWORD {password}"


class Role(NamedTuple):
    """The name of a role."""

    rolname: str


FIND_ROLE = Statement(sql="SELECT rolname::text AS rolname FROM pg_roles WHERE rolname = $1::text", parameters=("text",), row=Role)

# -- what sqlcheck asks of the catalogue -------------------------------------------------------------------------------------------


class TypeName(NamedTuple):
    """The name of a type."""

    name: str


class Nullable(NamedTuple):
    """Whether a column may be null."""

    nullable: bool


TYPE_NAME = Statement(sql="SELECT format_type($1::oid, NULL) AS name", parameters=("oid",), row=TypeName)
NULLABLE = Statement(
    sql="SELECT NOT attnotnull AS nullable FROM pg_attribute WHERE attrelid = $1::oid AND attnum = $2::smallint",
    parameters=("oid", "smallint"),
    row=Nullable,
)

ALL: tuple[Statement[Any], ...] = (
    *(GET, TRANSACTION_STATUS, LIST_CHILDREN, LIST_SUBTREE, COUNT_SUBTREE, LIST_EXPIRED),
    *(REGISTER, BOUNDARY, OUTLIVES, HEARTBEAT, FORGET_HOSTS, FORGET_HOST),
    ROOM,
    *(MIGRATION_LOCK, KNOWS_MIGRATIONS, MIGRATIONS, ADD_MIGRATION, FIND_ROLE, TYPE_NAME, NULLABLE),
)
