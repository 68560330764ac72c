"""Writers, and PostgreSQL itself, killed at every moment around a commit."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psutil
import psycopg

from tests.integration.storage.worker import Worker, await_true, fork
from vault.errors import OutcomeUnknown, StorageUnavailable
from vault.host import HostPage
from vault.storage import migration
from vault.storage.embedded import Embedded
from vault.storage.keyring import Keyring
from vault.storage.physical import Change

Start = Callable[..., Worker]

KILLS = 5
WRITERS = 4


def killed(work: Callable[[], None]) -> None:
    """Run `work` in a process that kills itself, and wait for its end."""
    pid = fork(work)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def kill_self(*_: object) -> None:
    """End this process at once."""
    os.kill(os.getpid(), signal.SIGKILL)


def test_writer_killed_before_its_commit_leaves_nothing(start: Start, dsn: str, page: HostPage, keyring: Keyring) -> None:
    """Kill -9 between prepare and commit: nothing is visible, and no lock stays."""
    reader = start()
    reader.put("a", b"old")

    def work() -> None:
        worker = Worker(dsn, page, keyring)
        worker.store.run(lambda transaction: transaction.put("a", b"new"), before_commit=kill_self)

    for _ in range(KILLS):
        killed(work)
        assert reader.read("a") == b"old"
    reader.put("a", b"next")
    assert reader.read("a") == b"next"


def test_writer_killed_after_its_commit_is_read_by_all(start: Start, dsn: str, page: HostPage, keyring: Keyring) -> None:
    """Kill -9 between commit and announcement: once the arbiter has seen the death, everybody reads what was committed."""
    readers = [start(listening=True), start(listening=True)]
    for number in range(KILLS):
        readers[0].put("a", b"old")
        assert [reader.read("a") for reader in readers] == [b"old"] * 2

        def work(number: int = number) -> None:
            worker = Worker(dsn, page, keyring)
            worker.store._bump = kill_self  # type: ignore[assignment]  # it does not return
            worker.put("a", b"%d" % number)

        killed(work)
        page.generations.bump_all()
        assert [reader.read("a") for reader in readers] == [b"%d" % number] * 2
    await_true(lambda: not page.generations.doubt, "the doubt is settled")


def test_commit_that_outlives_its_writer_is_read_by_all(start: Start, page: HostPage) -> None:
    """A commit that becomes visible after its writer's death was dealt with is still read by all: nobody cached what was before."""
    writer, reader = start(), start(listening=True)
    await_true(lambda: reader.is_cached, "the reader uses its cache")
    writer.put("a", b"old")
    sealed = writer.store.barrier.encrypt("a", b"new")
    on_its_way = writer.physical.prepare(7, [Change(path="a", value=sealed)], [])
    page.generations.bump_all()  # the arbiter has seen the writer die
    for _ in range(20):
        assert reader.read("a") == b"old"
        time.sleep(0.05)
    assert page.generations.doubt, "a doubt lasts as long as the transaction"
    on_its_way.commit()  # and nobody announces it
    assert reader.read("a") == b"new"
    await_true(lambda: not page.generations.doubt, "the doubt is settled")
    assert reader.read("a") == b"new"
    assert reader.cache.find("a")[0], "the cache is used again"


def test_killed_server_never_gives_a_wrong_answer(folder: Path) -> None:
    """Kill -9 of the postmaster under load: a write that was acknowledged is there, one that was refused is not, and the pool heals."""
    embedded = Embedded(folder, throw_away=True)
    try:
        migration.migrate(embedded.start())
        page, keyring = HostPage(), Keyring.create()
        worker = Worker(embedded.dsn, page, keyring)
        load = Load(worker)
        for _ in range(3):
            with load:
                time.sleep(random.uniform(0.2, 0.5))
                postmaster = psutil.Process(int((folder / "postgresql" / "postmaster.pid").read_text().split()[0]))
                postmaster.kill()
                postmaster.wait(10)
                embedded.ensure_running()
                load.await_success()
        fresh = Worker(embedded.dsn, page, keyring)
        assert [path for path in load.written if fresh.read(path) is None] == []
        assert [path for path in load.refused if fresh.read(path) is not None] == []
        worker.stop()
        fresh.stop()
    finally:
        embedded.stop()


class Load:
    """Threads that write rows, and note what they were told."""

    def __init__(self, worker: Worker) -> None:
        self.written: list[str] = []
        self.refused: list[str] = []
        self._worker = worker
        self._stop = threading.Event()
        self._threads: list[threading.Thread] = []
        self._round = 0

    def __enter__(self) -> Self:
        self._stop.clear()
        self._round += 1
        self._threads = [threading.Thread(target=self._write, args=(f"{self._round}/{number}",)) for number in range(WRITERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def await_success(self) -> None:
        """Wait until another write goes through."""
        before = len(self.written)
        await_true(lambda: len(self.written) > before, "writes go through again")

    def _write(self, prefix: str) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            path = f"{prefix}/{number}"
            try:
                self._worker.put(path, b"v")
                self.written.append(path)
            except OutcomeUnknown:
                continue
            except StorageUnavailable:
                self.refused.append(path)


def test_two_migrations_at_once_apply_once(server: Embedded) -> None:
    """Hosts that start together migrate once; afterwards there is nothing left to do."""
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS together")
        connection.execute("CREATE DATABASE together")
    dsn = psycopg.conninfo.make_conninfo(server.dsn, dbname="together")
    applied: list[tuple[str, ...]] = []
    threads = [threading.Thread(target=lambda: applied.append(migration.migrate(dsn))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = tuple(file.name for file in migration.list_migrations(migration.find_folder()))
    assert sorted(applied) == [(), (), (), names]
    assert migration.migrate(dsn) == ()
    migration.reset(dsn)
    assert migration.migrate(dsn) == names
