"""Checkpoints of a real server with two workers: through load, kills, rotation, sealing and stopping, and what an auditor finds then."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.integration.server.fleet import BINARY, Connection, Fleet, running_fleet

PATIENCE_SECONDS = 20.0
KILLS = int(os.environ.get("HEALTH_VAULT_TEST_KILLS", "2"))


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Return a server whose log goes through everything below, one test after the other."""
    with running_fleet(workers=2) as running:
        yield running


class Auditor:
    """Somebody who has the files and the public key."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        answer = fleet.once("GET", "sys/config/auditing/checkpoint-key", token=fleet.root)
        self.key = str(answer.data["public_key"])

    @property
    def place(self) -> Path:
        """Return the file of the checkpoints."""
        return self._fleet.audit_file.with_name("audit.log.checkpoints")

    def checkpoints(self) -> list[dict[str, Any]]:
        """Return the checkpoints that are in the file."""
        return [json.loads(line) for line in self.place.read_bytes().splitlines()] if self.place.exists() else []

    def files(self) -> list[str]:
        """Return all files of the log, oldest first."""
        return [*sorted(str(file) for file in self.place.parent.glob("old-*.log")), str(self._fleet.audit_file)]

    def verify(self, *files: str) -> tuple[int, dict[str, Any]]:
        """Return the exit code of the command, and what it found."""
        command = [str(BINARY), "audit", "verify", *(files or self.files()), "--checkpoints", str(self.place), "--key", self.key, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return done.returncode, json.loads(done.stdout)

    def expect_good(self) -> dict[str, Any]:
        """Verify; return what was found of the log."""
        code, found = self.verify()
        assert code == 0, found
        (log,) = found["logs"]
        return dict(log)


def await_true(condition: Callable[[], object], what: str) -> None:
    """Wait until something holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.05)


def load(fleet: Fleet, requests: int) -> None:
    """Send requests over several connections; those that a kill cuts off are left."""

    def send() -> None:
        with suppress(OSError, http.client.HTTPException):
            connection = Connection(fleet.port)
            for _ in range(requests // 4):
                connection.call("GET", "sys/mounts", token=fleet.root)
            connection.close()

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


@pytest.fixture(scope="module")
def auditor(fleet: Fleet) -> Auditor:
    """Return an auditor, after the first checkpoint."""
    found = Auditor(fleet)
    await_true(found.checkpoints, "a first checkpoint")
    return found


def test_load_is_covered_before_the_interval_is_over(fleet: Fleet, auditor: Auditor) -> None:
    """A thousand records bring a checkpoint, by whichever worker; it is never signed twice."""
    load(fleet, 600)
    await_true(lambda: auditor.checkpoints()[-1]["reason"] == "records", "a checkpoint for many records")
    numbers = [checkpoint["number"] for checkpoint in auditor.checkpoints()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert auditor.expect_good()["covered"] > 1000


def test_rotation_under_load_is_no_alarm(fleet: Fleet, auditor: Auditor) -> None:
    """A file that is moved away while records are written makes no alarm, and is covered."""
    before = len(auditor.checkpoints())
    worker = threading.Thread(target=load, args=(fleet, 400))
    worker.start()
    time.sleep(0.1)
    fleet.audit_file.rename(fleet.audit_file.with_name("old-1.log"))
    worker.join()
    await_true(lambda: "rotation" in {checkpoint["reason"] for checkpoint in auditor.checkpoints()[before:]}, "a checkpoint")
    log = auditor.expect_good()
    code, found = auditor.verify(str(fleet.audit_file))
    assert code == 1  # half of the log is no log
    assert found["logs"][0]["finding"]["kind"] == "missing"
    assert log["checkpoints"] == len(auditor.checkpoints())


def test_seal_and_unseal_are_covered(fleet: Fleet, auditor: Auditor) -> None:
    """Sealing signs for all that was; what a sealed server records is covered after the unsealing."""
    assert fleet.once("PUT", "sys/seal", token=fleet.root).status == 204
    await_true(lambda: fleet.once("GET", "sys/health").status == 503, "the seal")
    sealed = auditor.checkpoints()[-1]
    assert sealed["reason"] == "seal"
    fleet.once("GET", "sys/health")
    assert auditor.checkpoints()[-1] == sealed
    assert auditor.expect_good()["uncovered"] > 0
    fleet.unseal()


def test_kills_make_no_alarm(fleet: Fleet, auditor: Auditor) -> None:
    """Workers that are killed under load leave a log and checkpoints that are good, and checkpoints go on."""
    chance = random.Random(f"{fleet.port}")
    for _ in range(KILLS):
        before = len(auditor.checkpoints())
        worker = threading.Thread(target=load, args=(fleet, 400))
        worker.start()
        time.sleep(chance.random() * 0.5)
        os.kill(chance.choice(fleet.worker_pids()), signal.SIGKILL)
        worker.join()
        await_true(lambda: len(fleet.worker_pids()) == 2, "a new worker")
        load(fleet, 520)
        await_true(lambda before=before: len(auditor.checkpoints()) > before, "a checkpoint")  # type: ignore[misc]  # bound now
        auditor.expect_good()


def test_cut_tail_is_found(auditor: Auditor, fleet: Fleet, tmp_path: Path) -> None:
    """A copy of the log that lacks its end is told from the log."""
    cut = tmp_path / "cut.log"
    lines = fleet.audit_file.read_bytes().splitlines(keepends=True)
    covered = int(auditor.checkpoints()[-1]["seq"])
    kept = [line for line in lines if json.loads(line)["seq"] < covered]
    cut.write_bytes(b"".join(kept))
    code, found = auditor.verify(*auditor.files()[:-1], str(cut))
    assert code == 1
    finding = found["logs"][0]["finding"]
    assert (finding["kind"], finding["number"]) == ("cut", covered)


def test_stop_and_start_go_on_with_the_chain(fleet: Fleet, auditor: Auditor) -> None:
    """A graceful stop covers every record; after a start, and after a kill of all, the checkpoints go on where they ended."""
    load(fleet, 40)
    fleet.stop()
    log = auditor.expect_good()
    assert (log["uncovered"], auditor.checkpoints()[-1]["reason"]) == (0, "stop")
    fleet.start()
    fleet.unseal()
    await_true(lambda: auditor.checkpoints()[-1]["seq"] > log["last"], "a checkpoint after the start")
    os.kill(fleet.arbiter_pid, signal.SIGKILL)
    fleet.stop()
    last = auditor.expect_good()["last"]
    fleet.start()
    fleet.unseal()
    await_true(lambda: auditor.checkpoints()[-1]["seq"] > last, "a checkpoint after the kill")
    auditor.expect_good()
