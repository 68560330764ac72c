"""Processes killed with kill -9 while they change the seal or the data keys, over a real PostgreSQL: nothing is ever lost."""

import os
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from tests.unit.vault.static_host import DISABLED, NEXT, NEXT_ALONE, STATIC, StaticHost, is_good
from vault.settings import StaticSeal
from vault.shares import KEYRING, ROOT_KEY
from vault.storage.physical import Change, Prepared
from vault.storage.postgres import Postgres
from vault.storage.transaction import PLAIN

KILLS = int(os.environ.get("HEALTH_VAULT_TEST_KILLS", "2"))
STEPS = ("before", "prepared", "committed")
RANDOM_SECONDS = 0.05


class DyingPostgres(Postgres):
    """A database whose user is killed as it changes one row: before the changes are sent, before they are visible, or after."""

    step = path = ""

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        if not self.step or not any(change.path == self.path and change.value for change in changes):
            return super().prepare(version, changes, prefixes, notice)
        if self.step == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        prepared = super().prepare(version, changes, prefixes, notice)
        if self.step == "committed":
            prepared.commit()
        os.kill(os.getpid(), signal.SIGKILL)
        return prepared


class DatabaseHost(StaticHost):
    """A host over PostgreSQL that dies at a step of changing a row."""

    def __init__(self, dsn: str, static: StaticSeal | None, step: str = "", path: str = ROOT_KEY) -> None:
        self.database = DyingPostgres(dsn, 4, os.urandom(12).hex())
        self.database.open()
        self.database.step, self.database.path = step, path
        rows: Any = self.database
        super().__init__(static, rows)


@contextmanager
def running(dsn: str, static: StaticSeal | None) -> Iterator[DatabaseHost]:
    """Run a host for a while."""
    host = DatabaseHost(dsn, static)
    try:
        yield host
    finally:
        host.database.close()


def run_and_kill(work: Callable[[], object], seconds: float | None = None) -> None:
    """Run `work` in a process that kills itself, or is killed after a time."""
    pid = os.fork()
    if not pid:
        try:
            work()
        finally:
            os._exit(0 if seconds is not None else 1)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == -signal.SIGKILL or (seconds is not None and code == 0), code


@pytest.mark.parametrize("step", [*STEPS, "random"])
def test_migration_killed_leaves_the_old_seal_or_the_new_one(dsn: str, step: str) -> None:
    """Never neither, there and back, with the shares of the first day."""
    with running(dsn, None) as host:
        keys = host.init()["keys"]
    old: StaticSeal | None = None
    for turn in range(2 * KILLS):
        new = STATIC if turn % 2 == 0 else DISABLED

        def migrate(new: StaticSeal = new) -> None:
            host = DatabaseHost(dsn, new, "" if step == "random" else step)
            host.migrate(random.sample(keys, 3))

        run_and_kill(migrate, random.uniform(0, RANDOM_SECONDS) if step == "random" else None)
        with running(dsn, new) as after:
            is_pending = after.status()["migration"]
            assert step == "random" or is_pending is (step != "committed")
            if not is_pending:
                assert is_good(after, keys)
        if is_pending:
            with running(dsn, old) as before:
                assert is_good(before, keys)
            with running(dsn, new) as after:
                assert after.migrate(random.sample(keys, 3))["sealed"] is False
        with running(dsn, new) as after:
            assert is_good(after, keys)
        old = new


@pytest.mark.parametrize("step", STEPS)
def test_change_of_the_static_key_killed_is_done_by_the_next_start(dsn: str, step: str) -> None:
    """With both keys it always opens, and then the new one is enough."""
    for _ in range(KILLS):
        with running(dsn, STATIC) as host:
            if not host.status()["initialized"]:
                host.recover()
            assert host.is_serving()
        run_and_kill(lambda: DatabaseHost(dsn, NEXT, step))
        with running(dsn, NEXT) as host:
            assert host.is_serving()
        with running(dsn, NEXT_ALONE) as host:
            assert host.is_serving()
        back = StaticSeal(current_key_id="k1", current_key=STATIC.current_key, previous_key_id="k2", previous_key=NEXT_ALONE.current_key)
        with running(dsn, back) as host:
            assert host.is_serving()


def read_all(host: DatabaseHost) -> int:
    """Read every row; return how many there are."""
    assert host.is_serving()
    paths = host.database.list_subtree("", "", 100_000)
    for path in paths:
        if path not in PLAIN:
            assert host.first.store.load(path) is not None, path
    return len(paths)


@pytest.mark.parametrize("step", STEPS)
def test_rotation_killed_loses_no_key(dsn: str, step: str) -> None:
    """There is one key more or there is not; every row can be read, and the next rotation works."""
    with running(dsn, STATIC) as host:
        host.recover()
        host.write("sys/mounts/kv", type="kv")
    for turn in range(KILLS):

        def rotate(turn: int = turn) -> None:
            host = DatabaseHost(dsn, STATIC, step, KEYRING)
            host.write(f"kv/s{turn}", v="x")
            host.write("sys/rotate")

        run_and_kill(rotate)
        with running(dsn, STATIC) as host:
            assert read_all(host) > turn
            term = host.read("sys/key-status")["term"]
            host.write("sys/rotate")
            host.write(f"kv/t{turn}", v="x")
            assert host.read("sys/key-status")["term"] == term + 1
            assert term == (turn + 1 if step != "committed" else 2 * (turn + 1))


def test_rotations_of_many_hosts_killed_at_any_moment_lose_no_row(dsn: str) -> None:
    """Hosts rotate and write side by side until they are killed; every row that is there can be read."""
    with running(dsn, STATIC) as host:
        host.recover()
        host.write("sys/mounts/kv", type="kv")

    heard, told = os.pipe()

    def work(number: int) -> None:
        host = DatabaseHost(dsn, STATIC)
        host.hear()
        for turn in range(1_000):
            host.write("sys/rotate")
            os.write(told, b".")
            host.write(f"kv/s{number}-{turn}", v="x")

    for _ in range(KILLS):
        pids = []
        for number in range(3):
            pid = os.fork()
            if not pid:
                try:
                    work(number)
                finally:
                    os._exit(1)
            pids.append(pid)
        for _ in range(10):
            os.read(heard, 1)
        time.sleep(random.uniform(0, RANDOM_SECONDS))
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        for pid in pids:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
        with running(dsn, STATIC) as host:
            assert read_all(host) > 10
            assert host.read("sys/key-status")["term"] > 10


@pytest.mark.parametrize("step", STEPS)
def test_replacing_the_root_key_killed_leaves_one_that_opens(dsn: str, step: str) -> None:
    """The old one or the new one: a restart opens by itself, every row can be read, and the next replacement works."""
    with running(dsn, STATIC) as host:
        host.recover()
    for _ in range(KILLS):
        with running(dsn, STATIC) as host:
            before = host.page.read_seal().root_key
        run_and_kill(lambda: DatabaseHost(dsn, STATIC, step).write("sys/rotate/root"))
        with running(dsn, STATIC) as host:
            assert read_all(host)
            assert (host.page.read_seal().root_key != before) is (step == "committed")
            host.write("sys/rotate/root")
            assert host.is_serving(host.worker())
