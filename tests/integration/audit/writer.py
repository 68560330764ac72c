"""Worker processes that write one log over a real shared page, and get killed at any moment."""

import gc
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.unit.vault.audit.world import body, now
from vault.audit.chain import Chain
from vault.audit.devices.file import FileSink
from vault.errors import AuditFailed
from vault.host import AUDIT_LOCK, HostPage

_READY = b"ready\n"

Work = Callable[[Chain, int], None]  # the chain of a worker, and a descriptor to tell what was accepted


def make_chain(page: HostPage, path: Path) -> Chain:
    """Return the chain of the first device."""
    return Chain(FileSink(path), page.audit_area(0), lambda: page.place_lock(AUDIT_LOCK), now)


class Worker:
    """One process with some threads."""

    def __init__(self, page: HostPage, path: Path, threads: int, first_id: int) -> None:
        self._reading, writing = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._reading)
            status = 1
            try:
                os.write(writing, _READY)
                _write_forever(make_chain(page, path), writing, threads, first_id)
                status = 0
            finally:
                os._exit(status)
        os.close(writing)
        # Whom nobody waits for may be killed before it ever writes.
        assert os.read(self._reading, len(_READY)) == _READY
        self._told: list[bytes] = []
        self._listener = threading.Thread(target=self._listen)
        self._listener.start()

    def _listen(self) -> None:
        while piece := os.read(self._reading, 65536):
            self._told.append(piece)

    def kill(self) -> tuple[set[str], int]:
        """Kill the process; return the ids of all records that it was told are accepted, and how many were refused."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._listener.join()
        os.close(self._reading)
        lines = b"".join(self._told).split(b"\n")[:-1]  # what is not whole was killed before it said so
        return {f"id-{int(line)}" for line in lines if line != b"refused"}, lines.count(b"refused")


def _write_forever(chain: Chain, told: int, threads: int, first_id: int) -> None:
    def write(index: int) -> None:
        while True:
            try:
                chain.append(body(index))
                os.write(told, b"%d\n" % index)
            except AuditFailed:
                os.write(told, b"refused\n")
            index += threads

    running = [threading.Thread(target=write, args=(first_id + offset,), daemon=True) for offset in range(threads)]
    for thread in running:
        thread.start()
    running[0].join()


def kill_at_random(
    page: HostPage, path: Path, *, workers: int, threads: int, kills: int, rotate: Callable[[int], None]
) -> tuple[set[str], int]:
    """Keep workers writing while one after the other is killed; return the ids of accepted records and how many were refused."""
    gc.collect()  # pages that earlier tests left behind: each of them gets locks of its own in each fork, which takes a millisecond
    chance = random.Random("kill")
    accepted: set[str] = set()
    refused = 0
    running = [Worker(page, path, threads, 10_000_000 * (number + 1)) for number in range(workers)]
    for turn in range(kills):
        time.sleep(chance.random() * 0.04)
        rotate(turn)
        found = running.pop(chance.randrange(workers)).kill()
        accepted |= found[0]
        refused += found[1]
        running.append(Worker(page, path, threads, 10_000_000 * (workers + turn + 1)))
    time.sleep(0.1)
    for worker in running:
        with suppress(ProcessLookupError):
            found = worker.kill()
            accepted |= found[0]
            refused += found[1]
    return accepted, refused
