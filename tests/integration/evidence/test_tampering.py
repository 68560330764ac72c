"""Random tamperings of an audit file and of the audit table, by somebody who can write anything and has not the key: all are found."""

import os
import random
from pathlib import Path

import orjson
import pytest

from tests.integration.evidence.conftest import Connection
from tests.unit.vault.audit.tampering import (
    KEY,
    KEYS,
    LAST_COVERED,
    RECORDS,
    TAMPERINGS,
    Log,
    Tamper,
    Tampered,
    make_log,
    rechain,
    sign_heads,
)
from vault.audit import coverage
from vault.audit.coverage import WrongCheckpoint
from vault.audit.source import Files, lines_of
from vault.audit.verify import Expected, Report, check, check_table
from vault.storage.evidence import AuditReader

ROUNDS = int(os.environ.get("HEALTH_VAULT_TEST_ROUNDS", "400"))  # over all ways of tampering, for the file and for the table each
NEXT_MONTH = "date_trunc('month', now()) + interval '1 month 3 days'"

parametrize = pytest.mark.parametrize("tamper", TAMPERINGS, ids=lambda tamper: tamper.__name__)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, Log]:
    """Return two logs."""
    folder = tmp_path_factory.mktemp("logs")
    return make_log(folder / "one", "postgres"), make_log(folder / "two", "postgres")


def rounds(tamper: Tamper) -> range:
    """Return how often one way of tampering is tried."""
    place = TAMPERINGS.index(tamper)
    return range(ROUNDS // len(TAMPERINGS) + (place < ROUNDS % len(TAMPERINGS)))


def expect_found(tampered: Tampered, reports: tuple[Report, ...], wrong: WrongCheckpoint | None) -> None:
    """Compare what was found with what was done."""
    if tampered.is_log:
        assert wrong is None, (wrong, tampered)
        (finding,) = (report.finding for report in reports if report.finding is not None)
        found = finding.kind, finding.number
    else:
        assert wrong is not None, tampered
        found = wrong.kind, wrong.number
    assert found[0] in tampered.kinds, (found, tampered)
    assert found[1] == tampered.number, (found, tampered)


# -- the file ------------------------------------------------------------------------------------------------------------


def write(path: Path, lines: list[bytes]) -> Path:
    """Write lines into a file."""
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    return path


def check_file(folder: Path, lines: list[bytes], checkpoints: list[bytes]) -> tuple[tuple[Report, ...], WrongCheckpoint | None]:
    """Verify a log and checkpoints as files."""
    try:
        coverages = coverage.read([("checkpoints", lines_of(write(folder / "checkpoints", checkpoints)))], KEYS)
    except WrongCheckpoint as wrong:
        return (), wrong
    return (check(Files([write(folder / "log", lines)]), Expected(coverages=coverages)),), None


@parametrize
def test_every_tampering_with_a_file_is_found(tmp_path: Path, logs: tuple[Log, Log], tamper: Tamper) -> None:
    """Whatever is done to the file or its checkpoints, the right record is named."""
    chance = random.Random(f"file {tamper.__name__}")
    one, two = logs
    for _ in rounds(tamper):
        tampered = tamper(chance, one, two)
        expect_found(tampered, *check_file(tmp_path, tampered.lines, tampered.checkpoints + two.checkpoints))


def test_untouched_file_is_good(tmp_path: Path, logs: tuple[Log, Log]) -> None:
    """The same check finds nothing where nobody was, and says how much is not covered yet."""
    one, two = logs
    reports, wrong = check_file(tmp_path, one.lines, one.checkpoints + two.checkpoints)
    assert wrong is None
    assert [(report.ok, report.covered, report.uncovered) for report in reports] == [(True, LAST_COVERED, RECORDS - LAST_COVERED)]


# -- the table -----------------------------------------------------------------------------------------------------------


def fill(connection: Connection, log: str, lines: list[bytes], keys: list[int]) -> None:
    """Store the records of a log over two partitions."""
    connection.execute(
        "INSERT INTO vault.audit_record (log, seq, at, line) SELECT $1::text, key, "  # noqa: S608 - nothing of it comes from outside
        f"CASE WHEN key > 15 THEN {NEXT_MONTH} ELSE now() END, line FROM unnest($2::bigint[], $3::bytea[]) AS given (key, line)",
        (log, keys, lines),
    )


def fill_checkpoints(connection: Connection, log: str, lines: list[bytes]) -> None:
    """Store checkpoints in this order."""
    numbers = list(range(1, len(lines) + 1))
    connection.execute(
        "INSERT INTO vault.audit_checkpoint (log, number, line) SELECT $1::text, key, line "
        "FROM unnest($2::bigint[], $3::bytea[]) AS given (key, line)",
        (log, numbers, lines),
    )


def check_tables(connection: Connection) -> tuple[tuple[Report, ...], WrongCheckpoint | None]:
    """Verify what the tables hold."""
    reader = AuditReader(connection)
    try:
        coverages = coverage.read([("table", reader.checkpoints())], KEYS)
    except WrongCheckpoint as wrong:
        return (), wrong
    return check_table(reader, Expected(coverages=coverages)), None


@parametrize
def test_every_tampering_with_the_table_is_found(connection: Connection, logs: tuple[Log, Log], tamper: Tamper) -> None:
    """Whatever is done to the rows of one log or its checkpoints, the right record is named, and the other log is good."""
    chance = random.Random(f"table {tamper.__name__}")
    one, two = logs
    for _ in rounds(tamper):
        tampered = tamper(chance, one, two)
        fill(connection, two.name, two.lines, [*range(1, RECORDS + 1)])
        fill(connection, one.name, tampered.lines, tampered.keys or [*range(1, len(tampered.lines) + 1)])
        fill_checkpoints(connection, one.name, tampered.checkpoints)
        fill_checkpoints(connection, two.name, two.checkpoints)
        expect_found(tampered, *check_tables(connection))
        connection.rollback()


def test_untouched_table_is_good(connection: Connection, logs: tuple[Log, Log]) -> None:
    """The same check finds nothing where nobody was."""
    for log in logs:
        fill(connection, log.name, log.lines, [*range(1, RECORDS + 1)])
        fill_checkpoints(connection, log.name, log.checkpoints)
    reports, wrong = check_tables(connection)
    assert wrong is None
    assert [(report.ok, report.covered) for report in reports] == [(True, LAST_COVERED)] * 2


COPY = "INSERT INTO vault.audit_record SELECT log, {0}, at + interval '1 second', line FROM vault.audit_record WHERE log = $1 AND seq = {1}"


UNCHECKED = "ALTER TABLE vault.audit_record DROP CONSTRAINT IF EXISTS audit_record_seq_check;"


@pytest.mark.parametrize(
    ("statement", "kind", "number"),
    [
        ("DELETE FROM vault.audit_record WHERE log = $1", "cut", 1),
        (COPY.format(9, 9), "repeated", 9),
        (COPY.format(9, 4), "reordered", 9),
        (COPY.format(99, 4), "reordered", 99),
        ("UPDATE vault.audit_record SET seq = 99 WHERE log = $1 AND seq = 4", "missing", 4),
        ("UPDATE vault.audit_record SET seq = seq + 100 WHERE log = $1", "reordered", 101),
        ("UPDATE vault.audit_record SET line = '' WHERE log = $1 AND seq = 30", "malformed", 30),
        ("UPDATE vault.audit_record SET log = 'x' WHERE log = $1", "foreign", 1),
        (UNCHECKED + COPY.format(0, 4), "reordered", 0),
        (UNCHECKED + COPY.format(-(2**63), 4), "reordered", -(2**63)),
    ],
    ids=["all gone", "twice", "another twice", "added", "renumbered", "all renumbered", "emptied", "renamed", "under 0", "under the least"],
)
def test_what_only_a_table_allows_is_found(connection: Connection, logs: tuple[Log, Log], statement: str, kind: str, number: int) -> None:
    """Rows with a number of their own, twice, under another name, or all gone."""
    for log in logs:
        fill(connection, log.name, log.lines, [*range(1, RECORDS + 1)])
        fill_checkpoints(connection, log.name, log.checkpoints)
    for part in statement.split(";"):
        connection.execute(part.encode(), (logs[0].name,) if "$1" in part else ())
    reports, wrong = check_tables(connection)
    assert wrong is None
    found = [(report.finding.kind, report.finding.number) for report in reports if report.finding]
    assert (kind, number) in found


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("DELETE FROM vault.audit_record WHERE log = $1 AND seq > 28", [("cut", 29)]),
        ("DELETE FROM vault.audit_record WHERE log = $1", [("cut", 1)]),
        ("SELECT $1", []),
    ],
    ids=["cut", "gone", "untouched"],
)
def test_log_ends_as_the_next_one_says(
    connection: Connection, tmp_path: Path, logs: tuple[Log, Log], statement: str, wrong: list[tuple[str, int]]
) -> None:
    """What no checkpoint covers yet is missed, too, when the host has begun its next log: that names the end of the one before."""
    one, _ = logs
    lines = make_begin("ef" * 16, one.name, RECORDS, orjson.loads(one.lines[-1])["hash"])
    fill(connection, one.name, one.lines, [*range(1, RECORDS + 1)])
    fill(connection, "ef" * 16, lines, [1])
    connection.execute(statement.encode(), (one.name,))
    for covered in (False, True):
        checkpoints = [*one.checkpoints, *sign_heads(lines, [1], KEY, "postgres")]
        coverages = coverage.read([("file", lines_of(write(tmp_path / "c", checkpoints)))], KEYS) if covered else None
        reports = check_table(AuditReader(connection), Expected(coverages=coverages))
        assert [(report.finding.kind, report.finding.number) for report in reports if report.finding] == wrong


def make_begin(log: str, name: str, number: int, digest: str) -> list[bytes]:
    """Return a log that says how the one before it ended."""
    record = {"time": "2026-01-02T03:04:05Z", "type": "begin", "before": {"log": name, "seq": number, "hash": digest}, "log": log}
    return rechain([orjson.dumps(record | {"hash": ""})], 1, "0" * 64)


@pytest.mark.parametrize("names", [("ef" * 16, "fe" * 16), ("fe" * 16, "ef" * 16)])
def test_no_later_log_hides_what_another_says(connection: Connection, logs: tuple[Log, Log], names: tuple[str, str]) -> None:
    """Two hosts of one name may name one log; what either says must be there, also where somebody names a record himself."""
    one, _ = logs
    fill(connection, one.name, one.lines[:25], [*range(1, 26)])
    for log, number in zip(names, (20, RECORDS), strict=True):
        fill(connection, log, make_begin(log, one.name, number, orjson.loads(one.lines[number - 1])["hash"]), [1])
    noted = frozenset({(3, str(orjson.loads(one.lines[2])["hash"]))})
    for expected in (Expected(), Expected(log=one.name, heads=noted)):
        reports = check_table(AuditReader(connection), expected)
        assert [(report.finding.kind, report.finding.number) for report in reports if report.finding] == [("cut", 26)]


def test_one_record_that_is_named_with_two_hashes_is_found(connection: Connection, logs: tuple[Log, Log]) -> None:
    """One of two logs does not tell the truth."""
    one, _ = logs
    fill(connection, one.name, one.lines, [*range(1, RECORDS + 1)])
    for log, digest in (("ef" * 16, orjson.loads(one.lines[6])["hash"]), ("fe" * 16, "0" * 64)):
        fill(connection, log, make_begin(log, one.name, 7, digest), [1])
    reports = check_table(AuditReader(connection), Expected())
    assert [(report.finding.kind, report.finding.number) for report in reports if report.finding] == [("spliced", 7)]
