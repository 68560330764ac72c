"""Every SQL statement of the storage, typed to its parameters and the columns it answers. `sqlcheck` proves them against the schema."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """A statement: its text, the PostgreSQL types of its parameters in order, and of its columns by name."""

    sql: str
    parameters: tuple[str, ...] = ()
    columns: tuple[tuple[str, str], ...] = ()


GET = Statement(
    sql="SELECT value, version FROM vault.entry WHERE parent = %s AND name = %s",
    parameters=("text", "text"),
    columns=(("value", "bytea"), ("version", "bigint")),
)

APPLY = Statement(
    sql="SELECT created, removed FROM vault.apply_changes(%s, %s, %s, %s, %s, %s, %s)",
    parameters=("text[]", "text[]", "smallint[]", "bigint[]", "bytea[]", "double precision[]", "bigint"),
    columns=(("created", "integer[]"), ("removed", "integer[]")),
)

DELETE_BELOW = Statement(
    sql="DELETE FROM vault.entry WHERE parent >= %s AND parent < %s RETURNING parent, name",
    parameters=("text", "text"),
    columns=(("parent", "text"), ("name", "text")),
)

# Names in the folder itself, and its folders by hopping from one distinct parent to the next: the cost is what is shown, not what
# lies below.
LIST_CHILDREN = Statement(
    sql="""
        WITH RECURSIVE hop (folder) AS (
            SELECT min(parent) FROM vault.entry WHERE parent >= %(folders_from)s AND parent < %(end)s
            UNION ALL
            SELECT (
                SELECT min(next.parent) FROM vault.entry AS next
                WHERE next.parent >= %(prefix)s::text || split_part(substr(hop.folder, length(%(prefix)s::text) + 1), '/', 1) || '0'
                  AND next.parent < %(end)s
            )
            FROM hop WHERE hop.folder IS NOT NULL
        ),
        names (name) AS (
            (SELECT name FROM vault.entry WHERE parent = %(prefix)s AND name > %(after)s ORDER BY name LIMIT %(limit)s)
            UNION ALL
            (SELECT split_part(substr(folder, length(%(prefix)s::text) + 1), '/', 1) || '/' FROM hop WHERE folder IS NOT NULL LIMIT %(limit)s)
        )
        SELECT name COLLATE "C" AS name FROM names WHERE name COLLATE "C" > %(after)s ORDER BY name COLLATE "C" LIMIT %(limit)s
    """,
    columns=(("name", "text"),),
)

LIST_SUBTREE = Statement(
    sql="""
        SELECT parent || name AS path FROM vault.entry
        WHERE parent >= %s AND parent < %s AND (parent, name) > (%s, %s)
        ORDER BY parent, name LIMIT %s
    """,
    parameters=("text", "text", "text", "text", "bigint"),
    columns=(("path", "text"),),
)

LIST_EXPIRED = Statement(
    sql="SELECT parent || name AS path FROM vault.entry WHERE expires_at < %s ORDER BY expires_at LIMIT %s",
    parameters=("double precision", "bigint"),
    columns=(("path", "text"),),
)
