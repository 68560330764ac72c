"""The SQL of audit records in PostgreSQL, checked like that of the storage."""

from typing import Any, NamedTuple

from vault.storage.statement import Statement


class Last(NamedTuple):
    """The last number of a log before a call."""

    last: int


class Line(NamedTuple):
    """A record as it was written."""

    line: bytes


class Found(NamedTuple):
    """A log and its last record."""

    log: str
    line: bytes


class Log(NamedTuple):
    """The name of a log."""

    log: str


class Made(NamedTuple):
    """How many partitions were made."""

    made: int


class Granted(NamedTuple):
    """On how many tables rights were given."""

    granted: int


class Ownership(NamedTuple):
    """Whether this role may change the audit table."""

    owns: bool


APPEND = Statement(
    sql="SELECT vault.audit_append($1::text, $2::bigint, $3::bytea[]) AS last",
    parameters=("text", "bigint", "bytea[]"),
    row=Last,
)

LIST_AFTER = Statement(
    sql="SELECT line FROM vault.audit_record WHERE log = $1::text AND seq > $2::bigint ORDER BY seq LIMIT $3::bigint",
    parameters=("text", "bigint", "bigint"),
    row=Line,
)

FIND_END = Statement(
    sql="SELECT line FROM vault.audit_record WHERE log = $1::text ORDER BY seq DESC LIMIT 1",
    parameters=("text",),
    row=Line,
)

BEGIN_LOG = Statement(
    sql="""
        INSERT INTO vault.audit_log (log, host, device, begun_at) VALUES ($1::text, $2::text, $3::text, clock_timestamp())
        ON CONFLICT (log) DO NOTHING
        RETURNING log
    """,
    parameters=("text", "text", "text"),
    row=Log,
)

# The latest log of a host and device that has a record; logs whose writer was killed before their first have none.
LAST_LOG = Statement(
    sql="""
        SELECT record.log, record.line
        FROM (
            SELECT log, begun_at FROM vault.audit_log WHERE host = $1::text AND device = $2::text ORDER BY begun_at DESC LIMIT 20
        ) AS latest
        CROSS JOIN LATERAL (
            SELECT log, line FROM vault.audit_record WHERE log = latest.log ORDER BY seq DESC LIMIT 1
        ) AS record
        ORDER BY latest.begun_at DESC
        LIMIT 1
    """,
    parameters=("text", "text"),
    row=Found,
)

MAKE_PARTITIONS = Statement(sql="SELECT vault.audit_make_partitions() AS made", parameters=(), row=Made)
GRANT_APPLICATION = Statement(sql="SELECT vault.grant_application($1::text) AS granted", parameters=("text",), row=Granted)

# A role that may become the owner counts as the owner; a superuser is every role.
OWNS_RECORDS = Statement(
    sql="SELECT pg_has_role(relowner, 'MEMBER') AS owns FROM pg_class WHERE oid = 'vault.audit_record'::regclass",
    parameters=(),
    row=Ownership,
)

ALL: tuple[Statement[Any], ...] = (APPEND, LIST_AFTER, FIND_END, BEGIN_LOG, LAST_LOG, MAKE_PARTITIONS, GRANT_APPLICATION, OWNS_RECORDS)
