"""A worker is killed around its commit; PostgreSQL is killed under load."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from tests.integration.storage.worker import Signal, Worker, await_true, fork
from vault.errors import Conflict, OutcomeUnknown, StorageUnavailable
from vault.host import HostPage
from vault.storage import migration
from vault.storage.embedded import Embedded
from vault.storage.keyring import Keyring

Start = Callable[..., Worker]


def kill_at(step: Callable[[], None]) -> None:
    """Run a step in a process that must not survive it."""
    _, status = os.waitpid(fork(step), 0)
    assert os.WIFSIGNALED(status), "the process was to be killed"
    assert os.WTERMSIG(status) == signal.SIGKILL


def die(*_: object) -> None:
    """End this process as a crash would."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_writer_killed_before_its_commit_leaves_nothing(dsn: str, page: HostPage, keyring: Keyring, start: Start) -> None:
    """A worker that dies with all changes applied and not committed has changed nothing, and holds no row for long."""

    def write() -> None:
        worker = Worker(dsn, page, keyring)
        worker.put_all("f/a", "f/b", value=b"old")

        def work(transaction: object) -> None:
            for path in ("f/a", "f/b", "f/c"):
                transaction.put(path, b"new")  # type: ignore[attr-defined]  # a Transaction
            transaction.delete_prefix("f/")  # type: ignore[attr-defined]  # as above

        worker.store.run(work, before_commit=die)

    kill_at(write)
    page.generations.bump_all()
    reader = start()
    assert [reader.read(f"f/{name}") for name in "abc"] == [b"old", b"old", None]
    reader.put("f/a", b"newer")
    assert reader.read("f/a") == b"newer"


def test_commit_that_was_never_announced_is_seen_after_the_death(dsn: str, page: HostPage, keyring: Keyring) -> None:
    """A worker dies between its commit and its announcement: once its death is noticed, every worker reads what it committed."""
    warm, killed = Signal(), Signal()

    def read() -> None:
        worker = Worker(dsn, page, keyring, listening=True)
        await_true(lambda: worker.is_cached, "the host is known")
        assert worker.read("a") == b"old"
        warm.send()
        killed.wait()
        assert worker.read("a") == b"new"
        worker.stop()

    def write() -> None:
        worker = Worker(dsn, page, keyring)
        worker.store._bump = die  # type: ignore[assignment]  # the step after the commit
        worker.put("a", b"new")

    def prepare() -> None:
        worker = Worker(dsn, page, keyring)
        worker.put("a", b"old")
        die()

    kill_at(prepare)
    reader = fork(read)
    warm.wait()
    kill_at(write)
    page.generations.bump_all()
    killed.send()
    assert os.waitpid(reader, 0)[1] == 0


@pytest.fixture
def own_server(folder: Path) -> Iterator[Embedded]:
    """Run a PostgreSQL that a test may kill."""
    embedded = Embedded(folder, throw_away=True)
    migration.migrate(embedded.start())
    yield embedded
    embedded.stop()


def test_killed_postgresql_loses_nothing_that_was_acknowledged(own_server: Embedded, page: HostPage, keyring: Keyring) -> None:
    """PostgreSQL is killed under load and recovers: every acknowledged write is there, every refused one is not, rows are whole."""
    worker = Worker(own_server.dsn, page, keyring)
    stop = threading.Event()
    acknowledged: dict[int, int] = {}
    unknown: dict[int, set[int]] = {}
    refusals: list[str] = []

    def write(me: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                worker.put_all(f"w/{me}/a", f"w/{me}/b", value=b"%d" % number)
                acknowledged[me] = number
            except (OutcomeUnknown, Conflict):
                unknown.setdefault(me, set()).add(number)
            except StorageUnavailable as refusal:
                refusals.append(str(refusal))

    threads = [threading.Thread(target=write, args=(me,)) for me in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(0.3)
        seen = dict(acknowledged)
        process = own_server._process
        assert process is not None
        process.kill()
        process.wait()
        own_server.ensure_running()
        await_true(lambda: all(acknowledged.get(me, 0) > seen.get(me, 0) for me in range(3)), "writes go on")  # noqa: B023 - called at once
    stop.set()
    for thread in threads:
        thread.join()
    with psycopg.connect(own_server.dsn) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("on",)
    for me in range(3):
        values = [int(worker.store.load(f"w/{me}/{name}", fresh=True).value) for name in "ab"]  # type: ignore[union-attr]  # it is there
        assert values[0] == values[1], "a transaction was half applied"
        assert values[0] == acknowledged[me] or values[0] in unknown.get(me, set())
        assert values[0] >= acknowledged[me]
    worker.stop()
