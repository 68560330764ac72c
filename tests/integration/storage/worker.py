"""Workers for the tests: the storage of one worker process, and processes to run it in."""

import os
import select
import threading
import time
import traceback
from collections.abc import Callable

from vault.clock import SystemClock
from vault.host import HostPage
from vault.storage.barrier import Barrier
from vault.storage.cache import Cache
from vault.storage.coherence import Listener
from vault.storage.keyring import Keyring
from vault.storage.postgres import Postgres
from vault.storage.transaction import Store, Transaction

PATIENCE_SECONDS = 20.0


class Worker:
    """The storage of one worker. One that does not listen is told that there are no other hosts."""

    def __init__(self, dsn: str, page: HostPage, keyring: Keyring, *, listening: bool = False) -> None:
        self.page = page
        self.cache = Cache(page.generations, SystemClock())
        self.physical = Postgres(dsn, 4, page.host_id)
        self.physical.open()
        barrier = Barrier()
        barrier.open(keyring)
        self.store = Store(self.physical, barrier, self.cache, page.generations.bump)
        self.listener = Listener(dsn, page.host_id, page.generations, self.cache, SystemClock())
        if listening:
            self.listener.start()
        else:
            self.cache.fresh_until = float("inf")

    def stop(self) -> None:
        """Close all connections."""
        self.listener.stop()
        for thread in threading.enumerate():
            if thread.name == "listener":
                thread.join(PATIENCE_SECONDS)
        self.physical.close()

    @property
    def is_cached(self) -> bool:
        """Return whether this worker uses its cache."""
        return self.cache.fresh_until > time.monotonic()

    def put(self, path: str, value: bytes) -> None:
        """Write one row."""
        self.store.run(lambda transaction: transaction.put(path, value))

    def put_all(self, *paths: str, value: bytes) -> None:
        """Write rows in one transaction."""

        def work(transaction: Transaction) -> None:
            for path in paths:
                transaction.put(path, value)

        self.store.run(work)

    def read(self, path: str) -> bytes | None:
        """Read one row, as a request does."""
        self.cache.catch_up()
        entry = self.store.read().get(path)
        return None if entry is None else entry.value

    def count(self, path: str, times: int) -> None:
        """Count a row up."""

        def work(transaction: Transaction) -> None:
            entry = transaction.get(path)
            transaction.put(path, b"%d" % (int(entry.value if entry else b"0") + 1))

        for _ in range(times):
            self.store.run(work)


def await_true(condition: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a process of its own; return its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    except BaseException:  # noqa: BLE001 - the parent learns it from the exit code
        traceback.print_exc()
    finally:
        os._exit(code)


def join(*pids: int) -> None:
    """Wait for processes that must have succeeded."""
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * len(pids)


class Signal:
    """Something that one process tells another once."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()

    def send(self) -> None:
        """Tell it."""
        os.write(self._write, b"x")

    def wait(self) -> None:
        """Wait until it was told; the other process may have failed."""
        assert select.select([self._read], [], [], PATIENCE_SECONDS)[0], "waited in vain for the other process"
        assert os.read(self._read, 1) == b"x"
