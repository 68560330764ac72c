"""Retention of the audit table: old partitions are detached under a signed closing record, and what is left is a good log."""

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from tests.unit.vault.audit.tampering import COVERED, KEY, KEYS, RECORDS, Log, make_log
from tests.unit.vault.storage.test_transaction import worker
from vault import limits
from vault.audit import coverage
from vault.audit.checkpoint import parse_closing
from vault.audit.coverage import WrongCheckpoint
from vault.audit.retention import LAST_CLOSING, Retention
from vault.audit.signing import SIGNING_KEY
from vault.audit.verify import Expected, Report, check_table
from vault.clock import SystemClock
from vault.errors import StorageUnavailable
from vault.host import HostPage
from vault.storage import migration
from vault.storage.evidence import CheckpointTable, Partitions, Taken, open_reader
from vault.storage.keyring import Keyring
from vault.storage.memory import Memory
from vault.storage.transaction import Store

MONTHS = ("2015_01", "2015_02", "2015_03")


class World:
    """A database with partitions of 2015, and the store of a worker."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.store: Store = worker(HostPage(), Memory(), Keyring.create())
        self.store.run(lambda transaction: transaction.put(SIGNING_KEY, bytes(range(32))))
        for month in range(1, 4):
            self.execute(
                f"CREATE TABLE vault.audit_record_2015_{month:02} PARTITION OF vault.audit_record "
                f"FOR VALUES FROM ('2015-{month:02}-01 00:00+00') TO ('2015-{month + 1:02}-01 00:00+00')"
            )

    def execute(self, text: str, *values: Any) -> list[Any]:
        """Run a statement as somebody whom no trigger stops."""
        with psycopg.connect(self.dsn, cursor_factory=psycopg.RawCursor, options="-c session_replication_role=replica") as connection:
            found = connection.execute(text.encode(), values)
            return found.fetchall() if found.description else []

    def fill(self, log: Log, ends: tuple[int, int]) -> None:
        """Store a log: records up to the first number in January 2015, up to the second in February, the rest now."""
        self.execute(
            "INSERT INTO vault.audit_record (log, seq, at, line) SELECT $1::text, key, "
            "CASE WHEN key <= $4 THEN '2015-01-09'::timestamptz WHEN key <= $5 THEN '2015-02-09' ELSE now() END, line "
            "FROM unnest($2::bigint[], $3::bytea[]) AS given (key, line)",
            log.name, [*range(1, len(log.lines) + 1)], log.lines, *ends,
        )  # fmt: skip
        for number, line in enumerate(log.checkpoints, 1):
            CheckpointTable(self.dsn).add(log.name, number, line)

    def retention(self, partitions: Partitions | None = None, days: int = limits.AUDIT_RETENTION_DAYS) -> Retention:
        """Return the chore."""
        return Retention(self.store.run, partitions or Partitions(self.dsn), CheckpointTable(self.dsn), SystemClock(), days)

    def attached(self) -> list[str]:
        """Return the partitions of 2015 that are in the table."""
        rows = self.execute("SELECT name FROM vault.audit_list_partitions()")
        return [name.removeprefix("audit_record_") for (name,) in rows if "_2015_" in name]

    def verify(self, *, covered: bool = True) -> list[Report]:
        """Verify the table."""
        with open_reader(self.dsn) as reader:
            coverages = coverage.read([("table", reader.checkpoints())], KEYS) if covered else None
            return sorted(check_table(reader, Expected(coverages=coverages)), key=lambda report: report.log)


@pytest.fixture
def world(dsn: str) -> Iterator[World]:
    """Return a world, and leave the database empty."""
    yield World(dsn)
    migration.reset(dsn)
    migration.migrate(dsn)


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Log, Log]:
    """Return two logs, in the order of their names."""
    folder = tmp_path_factory.mktemp("logs")
    one, two = sorted((make_log(folder / "one", "postgres"), make_log(folder / "two", "postgres")), key=lambda log: log.name)
    return one, two


def test_old_partitions_are_closed_and_the_rest_is_a_good_log(world: World, logs: tuple[Log, Log]) -> None:
    """The signed record says how each log ends; the verifier takes up the rest there, and the detached tables stay."""
    one, two = logs
    world.fill(one, (10, 20))
    world.fill(two, (0, RECORDS))
    assert all(report.ok for report in world.verify())
    world.retention().run()
    assert world.attached() == []
    assert [row[0] for row in world.execute("SELECT count(*) FROM vault.audit_record_2015_01")] == [10]
    (report,) = world.verify()  # the second log is gone as a whole, by rights
    assert (report.ok, report.log, report.first, report.last) == (True, one.name, 21, RECORDS)
    lines = world.execute("SELECT line FROM vault.audit_checkpoint WHERE log = 'closing' ORDER BY number")
    closings = [parse_closing(bytes(line)) for (line,) in lines]
    assert [closing.statement.partitions for closing in closings] == [(f"audit_record_{month}",) for month in MONTHS]
    assert [(log.log, log.first, log.seq) for log in closings[1].statement.logs] == [(one.name, 11, 20), (two.name, 1, RECORDS)]
    assert closings[1].statement.prev == closings[0].hash


def test_head_without_a_closing_record_is_missed(world: World, logs: tuple[Log, Log]) -> None:
    """A partition that somebody detached by himself is a cut head, and so is one whose closing record nobody may read."""
    world.fill(logs[0], (10, 20))
    world.execute("ALTER TABLE vault.audit_record DETACH PARTITION vault.audit_record_2015_01")
    for covered in (True, False):
        (report,) = world.verify(covered=covered)
        assert report.finding is not None
        assert (report.finding.kind, report.finding.number) == ("missing", 1)


def test_closed_partitions_that_are_still_there_are_good(world: World, logs: tuple[Log, Log]) -> None:
    """Between a closing record and the detaching, which a lock may keep waiting for long, nothing is wrong; a gap is one as ever."""
    world.fill(logs[0], (10, 20))
    with pytest.raises(StorageUnavailable):
        world.retention(Unreachable(world.dsn)).run()  # it closes January and does not get further
    (report,) = world.verify()
    assert (report.ok, report.first, report.last, report.checkpoints) == (True, 1, RECORDS, len(COVERED))
    world.retention().run()
    world.execute(
        "ALTER TABLE vault.audit_record ATTACH PARTITION vault.audit_record_2015_02 FOR VALUES FROM ('2015-02-01') TO ('2015-03-01')"
    )
    (report,) = world.verify()
    assert (report.ok, report.first, report.last) == (True, 11, RECORDS)
    world.execute("DELETE FROM vault.audit_record WHERE seq < 16")
    (report,) = world.verify()
    assert report.finding is not None
    assert (report.finding.kind, report.finding.number) == ("missing", 11)


def test_table_without_any_record_is_never_good(world: World, logs: tuple[Log, Log]) -> None:
    """Who removes all rows and all checkpoints leaves closing records, which excuse nothing else; nor is an unknown log found good."""
    world.fill(logs[0], (10, 20))
    world.retention().run()
    with open_reader(world.dsn) as reader:
        coverages = coverage.read([("table", reader.checkpoints())], KEYS)
        (report,) = check_table(reader, Expected(coverages=coverages, log="ab" * 16))
    assert report.finding is not None
    assert report.finding.kind == "empty"
    world.execute("DELETE FROM vault.audit_record")
    world.execute("DELETE FROM vault.audit_checkpoint WHERE log <> 'closing'")
    (report,) = world.verify()
    assert report.finding is not None
    assert report.finding.kind == "empty"


def test_more_than_was_closed_is_missed(world: World, logs: tuple[Log, Log]) -> None:
    """After a closing record the next record must be there, and be the one that follows."""
    world.fill(logs[0], (10, 20))
    world.retention().run()
    world.execute("DELETE FROM vault.audit_record WHERE seq = 21")
    (report,) = world.verify()
    assert report.finding is not None
    assert (report.finding.kind, report.finding.number) == ("missing", 21)


def test_removed_closing_record_is_missed(world: World, logs: tuple[Log, Log]) -> None:
    """Closing records are a chain of their own."""
    world.fill(logs[0], (10, 20))
    world.retention().run()
    world.execute("DELETE FROM vault.audit_checkpoint WHERE log = 'closing' AND number = 2")
    with pytest.raises(WrongCheckpoint) as wrong:
        world.verify()
    assert (wrong.value.kind, wrong.value.number) == ("missing", 2)


def test_young_partition_stays(world: World, logs: tuple[Log, Log]) -> None:
    """What is not old enough is neither closed nor detached, whatever the setting; six years are the least."""
    world.fill(logs[0], (0, 0))
    world.execute(
        "CREATE TABLE vault.young PARTITION OF vault.audit_record "
        "FOR VALUES FROM (now() - interval '70 months') TO (now() - interval '69 months')"
    )
    world.retention(days=1).run()
    assert world.attached() == []
    assert world.execute("SELECT name FROM vault.audit_list_partitions() WHERE name = 'young'") == [("young",)]


def test_database_refuses_to_detach_what_is_young_or_not_closed(world: World) -> None:
    """The function that detaches does not take its caller's word."""
    (young,) = world.execute("SELECT name FROM vault.audit_list_partitions() ORDER BY starts DESC LIMIT 1")[0]
    partitions = Partitions(world.dsn)
    for name in (young, "audit_record_2015_01"):
        with pytest.raises(StorageUnavailable) as refusal:
            partitions.detach(name, 0)
        assert isinstance(refusal.value.__cause__, psycopg.errors.InsufficientPrivilege)
    assert not partitions.detach("nosuch", 0)
    assert not partitions.detach("entry", 0)
    assert world.attached() == list(MONTHS)


def test_application_may_detach_by_the_function_and_drop_nothing(world: World, logs: tuple[Log, Log]) -> None:
    """The role of the service closes partitions, and can neither drop nor change them, before or after."""
    world.fill(logs[0], (10, 20))
    role = f"role_{os.urandom(4).hex()}"
    world.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
    world.execute("SELECT vault.grant_application($1::text)", role)
    dsn = make_conninfo(world.dsn, user=role, passfile="/dev/null", password="x")
    Retention(world.store.run, Partitions(dsn), CheckpointTable(dsn), SystemClock(), 0).run()
    assert world.attached() == []
    for text in (
        *("DROP TABLE vault.audit_record_2015_01", "DELETE FROM vault.audit_record_2015_01", "TRUNCATE vault.audit_checkpoint"),
        *("DELETE FROM vault.audit_checkpoint", "UPDATE vault.audit_checkpoint SET line = ''", "DROP TABLE vault.audit_checkpoint"),
        "ALTER TABLE vault.audit_checkpoint DISABLE TRIGGER ALL",
    ):
        with psycopg.connect(dsn) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(text.encode())
    world.execute(f"DROP OWNED BY {role}")
    world.execute(f"DROP ROLE {role}")


class Unreachable(Partitions):
    """Partitions that cannot be detached just now."""

    def detach(self, name: str, retention_days: int) -> bool:
        raise StorageUnavailable


def test_what_somebody_began_is_finished(world: World, logs: tuple[Log, Log]) -> None:
    """A process that is gone after its closing record leaves work that the next one does, without a second record."""
    world.fill(logs[0], (10, 20))
    with pytest.raises(StorageUnavailable):
        world.retention(Unreachable(world.dsn)).run()
    assert world.attached() == list(MONTHS)
    world.execute("DELETE FROM vault.audit_checkpoint")  # killed even before that
    for number, line in enumerate(logs[0].checkpoints, 1):
        CheckpointTable(world.dsn).add(logs[0].name, number, line)
    world.retention().run()
    assert world.attached() == []
    assert world.execute("SELECT count(*) FROM vault.audit_checkpoint WHERE log = 'closing'") == [(3,)]
    assert all(report.ok for report in world.verify())


def test_partitions_between_which_a_log_goes_back_are_closed_together(world: World, logs: tuple[Log, Log]) -> None:
    """Where the clock was set back at the turn of a month, one record closes both."""
    world.fill(logs[0], (10, 20))
    world.execute("UPDATE vault.audit_record SET at = '2015-02-01' WHERE seq = 10")
    world.execute("UPDATE vault.audit_record SET at = '2015-01-31' WHERE seq = 11")
    world.retention().run()
    assert world.attached() == []
    (first,) = world.execute("SELECT line FROM vault.audit_checkpoint WHERE log = 'closing' AND number = 1")[0]
    assert parse_closing(bytes(first)).statement.partitions == ("audit_record_2015_01", "audit_record_2015_02")
    assert all(report.ok for report in world.verify())


def test_number_that_another_checkpoint_has_is_refused(world: World) -> None:
    """A row that somebody put in the way is told, not taken for ours."""
    table = CheckpointTable(world.dsn)
    table.add("x", 1, b"mine")
    table.add("x", 1, b"mine")
    with pytest.raises(Taken):
        table.add("x", 1, b"other")


def test_retention_works_once_in_a_while(world: World) -> None:
    """The background work calls every few seconds; the partitions are looked at once an hour."""
    chore = world.retention()
    chore.run()
    assert world.attached() == []
    world.execute("CREATE TABLE vault.late PARTITION OF vault.audit_record FOR VALUES FROM ('2014-01-01') TO ('2014-02-01')")
    chore.run()
    assert world.execute("SELECT count(*) FROM vault.audit_list_partitions() WHERE name = 'late'") == [(1,)]


def test_closing_row_is_signed_by_the_clusters_key(world: World) -> None:
    """What is stored of the last closing record is the line that the table has."""
    world.retention().run()
    entry = world.store.read().get(LAST_CLOSING)
    assert entry is not None
    (line,) = world.execute("SELECT line FROM vault.audit_checkpoint WHERE log = 'closing' ORDER BY number DESC LIMIT 1")[0]
    assert bytes(line) == entry.value
    assert parse_closing(entry.value).statement.key == KEY.public.id
