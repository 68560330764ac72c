"""The data keys and the page of the root key on a server with four workers."""

from __future__ import annotations

import os
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.integration.server.fleet import Connection, Fleet

ROTATIONS = 20
WRITERS = 4
NAMES = 20


class Writer(threading.Thread):
    """Writes over one worker after the other, and reads each value back from all of them, until it is told to stop."""

    def __init__(self, fleet: Fleet, number: int) -> None:
        super().__init__()
        self.stopping = threading.Event()
        self.failures: list[str] = []
        self._fleet = fleet
        self._number = number

    def run(self) -> None:
        """Write and read."""
        with self._fleet.connected(each=1) as groups:
            connections = [group[0] for group in groups]
            turn = 0
            while not self.stopping.is_set() or turn < NAMES:
                self._write(connections, f"rotated/{self._number}-{turn % NAMES}", {"v": f"{turn}"})
                turn += 1

    def _write(self, connections: list[Connection], path: str, value: dict[str, str]) -> None:
        if random.choice(connections).call("POST", path, value, self._fleet.root).status != 204:
            self.failures.append(path)
        answers = [connection.call("GET", path, token=self._fleet.root) for connection in connections]
        self.failures += [f"{path}: {answer}" for answer in answers if answer.status != 200 or answer.data != value]


@pytest.mark.timeout(300)
def test_rotation_under_load_leaves_every_secret_readable(fleet: Fleet) -> None:
    """Two callers rotate while others write and read over all workers: what was acknowledged is read back, by every worker, at once."""
    assert fleet.once("POST", "sys/mounts/rotated", {"type": "kv"}, fleet.root).status == 204
    first = fleet.once("GET", "sys/key-status", token=fleet.root).data["term"]
    writers = [Writer(fleet, number) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(lambda _: fleet.once("PUT", "sys/rotate", token=fleet.root).status, range(ROTATIONS)))
    for writer in writers:
        writer.stopping.set()
        writer.join()
    assert answers == [204] * ROTATIONS
    assert [failure for writer in writers for failure in writer.failures] == []
    assert fleet.once("GET", "sys/key-status", token=fleet.root).data["term"] == first + ROTATIONS
    paths = [f"rotated/{number}-{name}" for number in range(WRITERS) for name in range(NAMES)]
    with fleet.connected(each=1) as groups:
        for group in groups:
            assert {group[0].call("GET", path, token=fleet.root).status for path in paths} == {200}


def _flags(pid: int) -> list[set[str]]:
    """Return what the kernel says of each anonymous piece of memory that a process shares with others."""
    found, is_shared = [], False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if "-s " in line[:60]:
            is_shared = "/dev/zero" in line
        elif is_shared and line.startswith("VmFlags:"):
            found.append(set(line.split()[1:]))
    return found


def test_page_of_the_root_key_is_in_no_dump_of_any_process(fleet: Fleet) -> None:
    """The arbiter and every worker: the page is left out of dumps, and none of them may dump at all."""
    if os.geteuid() != 0:
        pytest.skip("the memory of a process that cannot be dumped is shown to root alone")
    for pid in (fleet.arbiter_pid, *fleet.worker_pids()):
        flags = _flags(pid)
        assert any("dd" in each for each in flags), (pid, flags)
        assert psutil.Process(pid).rlimit(psutil.RLIMIT_CORE) == (0, 0)
