"""Killing a worker, or the whole server, around each step of a rekey: afterwards shares that somebody holds still open the seal."""

from __future__ import annotations

import http.client
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import pytest

from tests.integration.server.fleet import Answer, Fleet, running_fleet

ROUNDS = int(os.environ.get("HEALTH_VAULT_TEST_KILLS", "0"))  # kills at each step; 0: one kill, at the step that replaces the keys
STEP_SECONDS = 0.02  # a step takes a few milliseconds; half of the kills come before its end
SHARES, THRESHOLD = 3, 2


@dataclass(slots=True)
class Holders:
    """What the shareholders hold: sets of shares with their threshold, the newest last."""

    sets: list[tuple[list[str], int]] = field(default_factory=list)


def attempt(fleet: Fleet, method: str, path: str, body: dict[str, object] | None = None) -> Answer | None:
    """Send a request of which the answer may be lost."""
    with suppress(OSError, http.client.HTTPException):
        return fleet.once(method, path, body, fleet.root)
    return None


def rekey(fleet: Fleet, holders: Holders, before: Callable[[int], None], *, verifies: bool) -> None:
    """Walk through a rekey as far as it goes; `before` is told the number of each step."""
    keys, threshold = holders.sets[-1]
    body: dict[str, object] = {"secret_shares": SHARES, "secret_threshold": THRESHOLD, "require_verification": verifies}
    before(0)
    begun = attempt(fleet, "PUT", "sys/rekey/init", body)
    if begun is None or begun.status != 200:
        return
    done: Answer | None = None
    for number, key in enumerate(keys[:threshold], 1):
        before(number)
        done = attempt(fleet, "PUT", "sys/rekey/update", {"key": key, "nonce": begun.body["nonce"]})
        if done is None or done.status != 200:
            return
    assert done is not None
    assert done.body["complete"]
    holders.sets.append((done.body["keys"], THRESHOLD))
    if not verifies:
        return
    for number, key in enumerate(done.body["keys"][:THRESHOLD], threshold + 1):
        before(number)
        attempt(fleet, "PUT", "sys/rekey/verify", {"key": key, "nonce": done.body["verification_nonce"]})


class Killer:
    """Kills within a step."""

    def __init__(self, step: int, kill: Callable[[], None]) -> None:
        self._step = step
        self._kill = kill
        self._thread: threading.Thread | None = None

    def __call__(self, number: int) -> None:
        """Let the kill come during this step, or a moment after it."""
        if number == self._step:
            self._thread = threading.Thread(target=self._run, args=(random.uniform(0, STEP_SECONDS),))
            self._thread.start()

    def _run(self, seconds: float) -> None:
        time.sleep(seconds)
        self._kill()

    def join(self) -> None:
        """Wait until it has come."""
        if self._thread is not None:
            self._thread.join()


def find_opening(fleet: Fleet, holders: Holders) -> tuple[list[str], int]:
    """Unseal with the first set that opens, the newest first; fail if none does."""
    for keys, threshold in reversed(holders.sets):
        fleet.once("PUT", "sys/unseal", {"reset": True})
        for key in keys[:threshold]:
            fleet.once("PUT", "sys/unseal", {"key": key})
        if not fleet.once("GET", "sys/seal-status").body["sealed"]:
            return keys, threshold
    raise AssertionError(f"none of {len(holders.sets)} sets opens the seal")


def check_data(fleet: Fleet) -> None:
    """Require that every worker serves what was there before."""
    for _ in range(8):
        assert fleet.once("GET", "load/data/canary", token=fleet.root).data["data"] == {"a": "b"}


@pytest.fixture(scope="module")
def loaded() -> Iterator[Fleet]:
    """Return a server of two workers with something in it."""
    with running_fleet(workers=2) as fleet:
        assert fleet.once("POST", "sys/mounts/load", {"type": "kv", "options": {"version": "2"}}, fleet.root).status == 204
        assert fleet.once("POST", "load/data/canary", {"data": {"a": "b"}}, fleet.root).status == 200
        yield fleet


@pytest.fixture(scope="module")
def holders(loaded: Fleet) -> Holders:
    """Return what the shareholders hold at first."""
    return Holders(sets=[(list(loaded.keys), 3)])


def kill_server(fleet: Fleet) -> None:
    """Kill the arbiter and all workers at once."""
    assert fleet.process is not None
    os.killpg(fleet.process.pid, signal.SIGKILL)
    fleet.process.wait()
    fleet.process = None


def kill_workers(fleet: Fleet) -> None:
    """Kill all workers at once; the arbiter replaces them, and the page of memory stays."""
    for pid in fleet.worker_pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def list_steps(holders: Holders, *, verifies: bool) -> Iterator[int]:
    """Yield the numbers of the steps; how many there are changes with the shares in force."""

    def last() -> int:
        return holders.sets[-1][1] + (THRESHOLD if verifies else 0)

    if not ROUNDS:
        yield last()
    for _ in range(ROUNDS):
        step = 0
        while step <= last():
            yield step
            step += 1


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("verifies", [False, True])
def test_killed_server_is_opened_by_old_or_new_shares(loaded: Fleet, holders: Holders, *, verifies: bool) -> None:
    """Whatever the moment, after a restart shares that were handed out open it, all data is there, and the next rekey works."""
    for step in list_steps(holders, verifies=verifies):
        killer = Killer(step, lambda: kill_server(loaded))
        rekey(loaded, holders, killer, verifies=verifies)
        killer.join()
        loaded.start()
        assert loaded.await_status({503}) == 503
        opening = find_opening(loaded, holders)
        check_data(loaded)
        holders.sets[:] = [opening]
        assert attempt(loaded, "DELETE", "sys/rekey/init") == Answer(status=204, body=None)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("verifies", [False, True])
def test_killed_workers_come_back_open(loaded: Fleet, holders: Holders, *, verifies: bool) -> None:
    """Workers that replace those killed during a rekey open by themselves; sealed, the server is opened by old or new shares."""
    for step in list_steps(holders, verifies=verifies):
        killer = Killer(step, lambda: kill_workers(loaded))
        rekey(loaded, holders, killer, verifies=verifies)
        killer.join()
        loaded.await_status({200})
        _await_served(loaded)
        attempt(loaded, "PUT", "sys/seal")
        loaded.await_status({503})
        opening = find_opening(loaded, holders)
        holders.sets[:] = [opening]
        attempt(loaded, "DELETE", "sys/rekey/init")


def _await_served(fleet: Fleet) -> None:
    """Wait until new workers serve; nobody unseals them."""
    deadline = time.monotonic() + 20
    in_a_row = 0
    while in_a_row < 8:
        answer = attempt(fleet, "GET", "load/data/canary")
        in_a_row = in_a_row + 1 if answer is not None and answer.status == 200 else 0
        assert time.monotonic() < deadline, f"not served: {answer}"
