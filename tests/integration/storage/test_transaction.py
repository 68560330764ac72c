"""Transactions over a real PostgreSQL, from several processes, with rows that are held and connections that break."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence

import psycopg
import pytest

from tests.integration.storage.worker import Worker, await_true, fork, join
from vault import limits
from vault.errors import IntegrityError, InvalidRequest, OutcomeUnknown, StorageUnavailable
from vault.host import HostPage
from vault.storage.keyring import Keyring
from vault.storage.physical import ABSENT, Change, Physical, Prepared, WriteConflict
from vault.storage.transaction import Transaction

Start = Callable[..., Worker]


@pytest.mark.parametrize("path", ["a\0b", "f/" + random.Random(1).randbytes(4000).hex()], ids=["nul", "long"])
def test_path_that_cannot_be_stored_is_refused(start: Start, path: str) -> None:
    """A path that PostgreSQL can never store is the client's mistake, and says nothing of the statement."""
    with pytest.raises(InvalidRequest, match="the path or value cannot be stored"):
        start().put(path, os.urandom(20))


def test_counter_of_many_threads_and_processes_loses_nothing(dsn: str, page: HostPage, keyring: Keyring) -> None:
    """A hundred threads of four processes count one row up; each count is kept."""

    def count() -> None:
        worker = Worker(dsn, page, keyring)
        failures: list[BaseException] = []

        def run() -> None:
            try:
                worker.count("n", 4)
            except BaseException as failure:  # noqa: BLE001 - told by the main thread
                failures.append(failure)

        threads = [threading.Thread(target=run) for _ in range(25)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []

    join(*(fork(count) for _ in range(4)))
    worker = Worker(dsn, page, keyring)
    assert worker.read("n") == b"400"
    worker.stop()


def test_only_one_of_many_creates_a_row(start: Start) -> None:
    """Of many that make a row which must not exist yet, one does."""
    workers = [start() for _ in range(3)]
    made: list[int] = []

    def create(number: int) -> None:
        def work(transaction: Transaction) -> bool:
            if transaction.get("unique") is not None:
                return False
            transaction.put("unique", b"%d" % number)
            return True

        if workers[number % 3].store.run(work):
            made.append(number)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert workers[0].read("unique") == b"%d" % made[0]


def test_guards_of_absent_rows_exclude_each_other(start: Start) -> None:
    """Two transactions that each write what the other needs absent cannot both commit."""
    first, second = start().physical, start().physical
    prepared = first.prepare(1001, [Change(path="x", expected=ABSENT), Change(path="y", value=b"v")], [])
    outcome: list[str] = []

    def other() -> None:
        try:
            second.prepare(1002, [Change(path="x", value=b"v", expected=ABSENT), Change(path="y", expected=ABSENT)], []).commit()
            outcome.append("committed")
        except WriteConflict:
            outcome.append("conflict")

    thread = threading.Thread(target=other)
    thread.start()
    time.sleep(0.2)  # lets the other come as far as it can; without exclusion it is through by then
    assert outcome == []
    prepared.commit()
    thread.join()
    assert outcome == ["conflict"]
    assert first.get("x") is None


def test_crossed_writers_both_commit(start: Start) -> None:
    """Transactions that write the same rows in opposite order do not block each other."""
    workers = start(), start()

    def write(worker: Worker, paths: list[str]) -> None:
        for number in range(40):
            worker.put_all(*paths, value=b"%d" % number)

    paths = [f"row/{number}" for number in range(8)]
    threads = [threading.Thread(target=write, args=(workers[0], paths)), threading.Thread(target=write, args=(workers[1], paths[::-1]))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {workers[0].read(path) for path in paths} == {b"39"}


# -- time ------------------------------------------------------------------------------------------------------------------


def test_row_held_by_another_ends_in_a_refusal(start: Start, dsn: str) -> None:
    """A row that somebody holds for ever is a refusal in time, once, not one for each retry."""
    worker = start()
    worker.put("held", b"v")
    with psycopg.connect(dsn) as holder:
        holder.execute("SELECT * FROM vault.entry WHERE name = 'held' FOR UPDATE")
        started = time.monotonic()
        with pytest.raises(StorageUnavailable):
            worker.put("held", b"w")
        assert time.monotonic() - started < limits.STORAGE_TIMEOUT_SECONDS + 1  # D07: the promise is a time
    worker.put("held", b"w")


def test_two_rows_held_by_others_are_no_hung_server(start: Start, dsn: str) -> None:
    """Waiting for two locks in turn ends by the server's word, and no connection is dropped for it."""
    worker = start()
    worker.put("a", b"v")
    worker.put("b", b"v")

    def write(transaction: Transaction) -> None:
        for path in ("a", "b"):
            transaction.put(path, b"w")

    def let_go() -> None:
        time.sleep(0.8 * (limits.STORAGE_TIMEOUT_SECONDS - 1) / 2)
        first.rollback()

    with psycopg.connect(dsn) as first, psycopg.connect(dsn) as second:
        for holder, name in ((first, "a"), (second, "b")):
            holder.execute("SELECT * FROM vault.entry WHERE name = %s FOR UPDATE", (name,))
        thread = threading.Thread(target=let_go)
        thread.start()
        with pytest.raises(StorageUnavailable) as refusal:
            worker.store.run(write)
        thread.join()
    assert isinstance(refusal.value.__cause__, psycopg.errors.LockNotAvailable)
    worker.put("b", b"w")


def test_hung_server_ends_in_a_refusal(start: Start, dsn: str) -> None:
    """A server that answers nothing at all, and can keep no timeout of its own, is a refusal in time; afterwards all is well."""
    worker = start()
    worker.put("a", b"v")
    with psycopg.connect(dsn, autocommit=True) as connection:
        rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE application_name = 'health-vault'").fetchall()
        for (pid,) in rows:
            os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            with pytest.raises(StorageUnavailable):
                worker.store.run(lambda transaction: transaction.put("a", b"w"))
            for _ in range(5):  # what else a request asks does not wait once more
                with pytest.raises(StorageUnavailable):
                    worker.physical.get("a")
            assert time.monotonic() - started < limits.STORAGE_TIMEOUT_SECONDS + 1  # D07: the promise is a time
        finally:
            for (pid,) in rows:
                os.kill(pid, signal.SIGCONT)

    def goes_through() -> bool:
        try:
            worker.put("a", b"x")
        except StorageUnavailable:
            return False
        return True

    await_true(goes_through, "the server is asked again")
    assert worker.read("a") == b"x"


# -- broken connections ------------------------------------------------------------------------------------------------------


def end_connections(dsn: str) -> None:
    """Break every connection of the service, as a restart does."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'health-vault'")


def test_idle_connections_that_died_fail_no_request(start: Start, dsn: str) -> None:
    """When all pooled connections have died while idle, reads and writes go through on fresh ones."""
    worker = start()
    for number in range(3):
        worker.put("a", b"%d" % number)
        end_connections(dsn)
        assert worker.physical.get("a") is not None
        end_connections(dsn)
    worker.put("a", b"last")
    assert worker.read("a") == b"last"


def lost_commit(physical: Physical, change: Change, *, sent: bool) -> Callable[[], None]:
    """Prepare a change and lose its connection around the commit; return the commit."""
    prepared = physical.prepare(4711, [change], [])
    pgconn = prepared._connection.pgconn  # type: ignore[attr-defined]  # the tested implementation's
    if sent:
        pgconn.exec_(b"COMMIT")
    pgconn.finish()
    return prepared.commit


@pytest.mark.parametrize("delete", [False, True])
def test_lost_commit_that_was_applied_is_no_failure(start: Start, delete: bool) -> None:
    """The answer to a commit was lost, the commit was not: the request succeeds."""
    worker = start()
    worker.put("a", b"v")
    lost_commit(worker.physical, Change(path="a", value=None if delete else b"w", delete=delete), sent=True)()
    row = worker.physical.get("a")
    assert row is None if delete else row is not None and row.value == b"w"


@pytest.mark.parametrize("delete", [False, True])
def test_lost_commit_that_was_not_applied_is_known_as_such(start: Start, delete: bool) -> None:
    """The connection was lost before the commit arrived: nothing was written, and that is certain."""
    worker = start()
    worker.put("a", b"v")
    before = worker.physical.get("a")
    with pytest.raises(StorageUnavailable):
        lost_commit(worker.physical, Change(path="a", value=None if delete else b"w", delete=delete), sent=False)()
    assert worker.physical.get("a") == before


def test_lost_commit_whose_row_was_overwritten_is_unknown(start: Start) -> None:
    """If another has written the row since, the version proves nothing: the outcome is unknown, and no worker trusts its cache."""
    worker, other = start(), start()
    commit = lost_commit(worker.physical, Change(path="a", value=b"w"), sent=True)
    other.put("a", b"x")
    with pytest.raises(OutcomeUnknown):
        commit()


class LosingAnswers:
    """A storage whose commits are applied, and whose answers are lost."""

    def __init__(self, genuine: Physical) -> None:
        self._genuine = genuine

    def __getattr__(self, name: str) -> object:
        return getattr(self._genuine, name)

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        """Prepare what will not be known to be committed."""
        prepared = self._genuine.prepare(version, changes, prefixes, notice)

        class Lost:
            created, removed, rollback = prepared.created, prepared.removed, prepared.rollback

            def commit(self) -> None:
                prepared.commit()
                raise OutcomeUnknown

        return Lost()


def test_unknown_outcome_moves_the_counters(start: Start) -> None:
    """When nobody can tell whether a commit was applied, what is cached of its rows is read anew by all."""
    worker, other = start(), start()
    worker.put("f/a", b"v")
    assert other.read("f/a") == b"v"
    assert other.store.list_children("f/", "", None) == ("a",)
    worker.store.physical = LosingAnswers(worker.physical)  # type: ignore[assignment]  # hands everything else through
    with pytest.raises(OutcomeUnknown):
        worker.put_all("f/a", "f/b", value=b"w")
    assert other.read("f/a") == b"w"
    assert other.store.list_children("f/", "", None) == ("a", "b")


# -- rows that were tampered with ----------------------------------------------------------------------------------------------


def test_swapped_and_damaged_rows_are_refused(start: Start, dsn: str) -> None:
    """Rows that were swapped, or of which any byte was changed, in the database are refused by every read."""
    worker = start()
    worker.put("f/a", b"secret of a")
    worker.put("f/b", b"secret of b")
    reader = start(HostPage())
    reader.cache.fresh_until = 0.0
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("UPDATE vault.entry SET name = CASE name WHEN 'a' THEN 'x' ELSE 'a' END WHERE parent = 'f/'")
        connection.execute("UPDATE vault.entry SET name = 'b' WHERE name = 'x'")
        for path in ("f/a", "f/b"):
            with pytest.raises(IntegrityError):
                reader.read(path)
        worker.put("f/c", b"secret of c")
        row = connection.execute("SELECT value FROM vault.entry WHERE name = 'c'").fetchone()
        assert row is not None
        for index in range(len(row[0])):
            damaged = bytearray(row[0])
            damaged[index] ^= 1 << index % 8
            connection.execute("UPDATE vault.entry SET value = %s WHERE name = 'c'", (bytes(damaged),))
            with pytest.raises(IntegrityError):
                reader.read("f/c")
        connection.execute("UPDATE vault.entry SET value = %s WHERE name = 'c'", (row[0],))
    assert reader.read("f/c") == b"secret of c"
