"""The SQL of checkpoints, of reading audit records, and of their retention; checked like that of the storage. Times are unix seconds."""

from typing import Any, NamedTuple

from vault.storage.statement import Statement


class Line(NamedTuple):
    """A checkpoint, or a closing record."""

    line: bytes


class Record(NamedTuple):
    """An audit record as it stands in the table."""

    seq: int
    line: bytes


class LogName(NamedTuple):
    """The name of a log."""

    log: str


class Partition(NamedTuple):
    """A partition of the audit table, from a time up to another."""

    name: str
    starts: float
    ends: float


class End(NamedTuple):
    """What a partition holds of one log."""

    log: str
    first: int
    last: int
    line: bytes


class Reach(NamedTuple):
    """Whether a log has an earlier record in a later partition."""

    reaches: bool


class Detached(NamedTuple):
    """Whether a partition was there to be detached."""

    detached: bool


ADD_CHECKPOINT = Statement(
    sql="""
        INSERT INTO vault.audit_checkpoint (log, number, line) VALUES ($1::text, $2::bigint, $3::bytea)
        ON CONFLICT (log, number) DO NOTHING
        RETURNING line
    """,
    parameters=("text", "bigint", "bytea"),
    row=Line,
)

GET_CHECKPOINT = Statement(
    sql="SELECT line FROM vault.audit_checkpoint WHERE log = $1::text AND number = $2::bigint",
    parameters=("text", "bigint"),
    row=Line,
)

LIST_CHECKPOINTS = Statement(sql="SELECT line FROM vault.audit_checkpoint ORDER BY log, number", parameters=(), row=Line)

# By hopping from one log to the next: the cost is the number of logs, not of records.
LIST_LOGS = Statement(
    sql="""
        WITH RECURSIVE hop (log) AS (
            SELECT min(log) FROM vault.audit_record
            UNION ALL
            SELECT (SELECT min(next.log) FROM vault.audit_record AS next WHERE next.log > hop.log) FROM hop WHERE hop.log IS NOT NULL
        )
        SELECT log FROM hop WHERE log IS NOT NULL ORDER BY log
    """,
    parameters=(),
    row=LogName,
)

# Every row of a log: one that was inserted with a number that exists must be seen, too.
LIST_RECORDS = Statement(
    sql="SELECT seq, line FROM vault.audit_record WHERE log = $1::text AND seq >= $2::bigint ORDER BY seq, at",
    parameters=("text", "bigint"),
    row=Record,
)

LIST_LATEST = Statement(
    sql="""
        SELECT seq, line FROM (
            SELECT seq, line FROM vault.audit_record WHERE log = $1::text ORDER BY seq DESC LIMIT $2::bigint
        ) AS latest ORDER BY seq
    """,
    parameters=("text", "bigint"),
    row=Record,
)

LIST_BETWEEN = Statement(
    sql="""
        SELECT line FROM vault.audit_record
        WHERE at >= to_timestamp($1::double precision) AND at < to_timestamp($2::double precision)
        ORDER BY at, log, seq
    """,
    parameters=("double precision", "double precision"),
    row=Line,
)

LIST_PARTITIONS = Statement(
    sql="""
        SELECT name, extract(epoch FROM starts)::double precision AS starts, extract(epoch FROM ends)::double precision AS ends
        FROM vault.audit_list_partitions() ORDER BY 2
    """,
    parameters=(),
    row=Partition,
)

# Log by log at both ends of its index: the cost does not grow with the records.
LIST_ENDS = Statement(
    sql="""
        WITH RECURSIVE hop (log) AS (
            SELECT min(log) FROM vault.audit_record
            WHERE at >= to_timestamp($1::double precision) AND at < to_timestamp($2::double precision)
            UNION ALL
            SELECT (
                SELECT min(next.log) FROM vault.audit_record AS next
                WHERE next.log > hop.log AND at >= to_timestamp($1::double precision) AND at < to_timestamp($2::double precision)
            )
            FROM hop WHERE hop.log IS NOT NULL
        )
        SELECT hop.log, first.seq AS first, last.seq AS last, last.line FROM hop
        CROSS JOIN LATERAL (
            SELECT seq FROM vault.audit_record
            WHERE log = hop.log AND at >= to_timestamp($1::double precision) AND at < to_timestamp($2::double precision)
            ORDER BY seq LIMIT 1
        ) AS first
        CROSS JOIN LATERAL (
            SELECT seq, line FROM vault.audit_record
            WHERE log = hop.log AND at >= to_timestamp($1::double precision) AND at < to_timestamp($2::double precision)
            ORDER BY seq DESC LIMIT 1
        ) AS last
        ORDER BY hop.log
    """,
    parameters=("double precision", "double precision"),
    row=End,
)

REACHES_BEYOND = Statement(
    sql="""
        SELECT EXISTS (
            SELECT FROM vault.audit_record WHERE log = $1::text AND seq <= $2::bigint AND at >= to_timestamp($3::double precision)
        ) AS reaches
    """,
    parameters=("text", "bigint", "double precision"),
    row=Reach,
)

DETACH_PARTITION = Statement(
    sql="SELECT vault.audit_detach_partition($1::text, $2::integer) AS detached",
    parameters=("text", "integer"),
    row=Detached,
)

ALL: tuple[Statement[Any], ...] = (
    *(ADD_CHECKPOINT, GET_CHECKPOINT, LIST_CHECKPOINTS, LIST_LOGS, LIST_RECORDS, LIST_LATEST, LIST_BETWEEN),
    *(LIST_PARTITIONS, LIST_ENDS, REACHES_BEYOND, DETACH_PARTITION),
)
