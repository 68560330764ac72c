"""The statements that change rows, all of one transaction sent together.

None of them fails when a row is not as it was read: an error would put a line into the server's log. It touches no row, and the client
rolls back.
"""

from typing import Any, NamedTuple

from vault.storage.statement import Nothing, Path, Statement

_PLACE = ("text", "text")
_ROW = (*_PLACE, "bytea", "bigint", "double precision")


class Created(NamedTuple):
    """Whether a row was not there before."""

    created: bool


PUT = Statement(
    sql="""
        INSERT INTO vault.entry (parent, name, value, version, expires_at)
        VALUES ($1::text, $2::text, $3::bytea, $4::bigint, $5::double precision)
        ON CONFLICT (parent, name) DO UPDATE SET value = excluded.value, version = excluded.version, expires_at = excluded.expires_at
        RETURNING xmax = 0 AS created
    """,  # xmax: by whom the row before was locked
    parameters=_ROW,
    row=Created,
)

CREATE = Statement(
    sql="""
        INSERT INTO vault.entry (parent, name, value, version, expires_at)
        VALUES ($1::text, $2::text, $3::bytea, $4::bigint, $5::double precision)
        ON CONFLICT (parent, name) DO NOTHING
    """,
    parameters=_ROW,
    row=Nothing,
)

REPLACE = Statement(
    sql="""
        UPDATE vault.entry SET value = $3::bytea, version = $4::bigint, expires_at = $5::double precision
        WHERE parent = $1::text AND name = $2::text AND version = $6::bigint
    """,
    parameters=(*_ROW, "bigint"),
    row=Nothing,
)

REMOVE = Statement(
    sql="DELETE FROM vault.entry WHERE parent = $1::text AND name = $2::text",
    parameters=_PLACE,
    row=Nothing,
)

REMOVE_SEEN = Statement(
    sql="DELETE FROM vault.entry WHERE parent = $1::text AND name = $2::text AND version = $3::bigint",
    parameters=(*_PLACE, "bigint"),
    row=Nothing,
)

SHARE = Statement(
    sql="SELECT FROM vault.entry WHERE parent = $1::text AND name = $2::text AND version = $3::bigint FOR SHARE",
    parameters=(*_PLACE, "bigint"),
    row=Nothing,
)

MARK = Statement(
    sql="""
        INSERT INTO vault.entry (parent, name, value, version) VALUES ($1::text, $2::text, '', $3::bigint)
        ON CONFLICT (parent, name) DO NOTHING
    """,
    parameters=(*_PLACE, "bigint"),
    row=Nothing,
)

# Parameters: prefix, end of its range, version: what the same transaction has put there stays.
EMPTY = Statement(
    sql="""
        DELETE FROM vault.entry WHERE parent >= $1::text AND parent < $2::text AND version <> $3::bigint
        RETURNING parent || name AS path
    """,
    parameters=("text", "text", "bigint"),
    row=Path,
)


class Told(NamedTuple):
    """The number of a transaction, and nothing where other hosts were told of it."""

    transaction: int
    told: str | None


# After the writes: a host that is not seen here made itself known later than this transaction took its number, and waits for its end
# before it trusts its cache. NOTIFY makes commits wait for each other, so a lone host sends none. Parameters: this host, the notice.
TELL = Statement(
    sql="""
        SELECT pg_current_xact_id()::text::bigint AS transaction,
            CASE WHEN EXISTS (SELECT FROM vault.host WHERE id <> $1::text AND seen_at > clock_timestamp() - interval '10 seconds')
            THEN pg_notify('vault_change', $1::text || ' ' || $2::text) END AS told
    """,
    parameters=("text", "text"),
    row=Told,
)

ALL: tuple[Statement[Any], ...] = (PUT, CREATE, REPLACE, REMOVE, REMOVE_SEEN, SHARE, MARK, EMPTY, TELL)
