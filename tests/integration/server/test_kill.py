"""Killing a worker, the arbiter and PostgreSQL under write load: nothing acknowledged is lost, nothing is half done."""

from __future__ import annotations

import http.client
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

import psutil
import pytest

from tests.integration.server.fleet import BINARY, Connection, Fleet, running_fleet

KILLS = int(os.environ.get("HEALTH_VAULT_TEST_KILLS", "4"))
WRITERS = 4
LOAD_SECONDS = 0.4


@dataclass(slots=True)
class Journal:
    """What the writers were told: the last acknowledged number by key, and numbers whose outcome they do not know."""

    acknowledged: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, set[int]] = field(default_factory=dict)
    count: int = 0


class Load:
    """Writers that count up one pair of fields each, over reconnecting connections."""

    def __init__(self, fleet: Fleet, journal: Journal) -> None:
        self._fleet = fleet
        self._journal = journal
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(f"writer{number}",)) for number in range(WRITERS)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, key: str) -> None:
        connection: Connection | None = None
        number = self._journal.acknowledged.get(key, 0)
        number = max({number, *self._journal.unknown.get(key, set())})
        while not self._stop.is_set():
            number += 1
            try:
                connection = connection or Connection(self._fleet.port)
                answer = connection.call("POST", f"load/data/{key}", {"data": {"n": number, "same": number}}, self._fleet.root)
                if answer.status == 200:
                    self._journal.acknowledged[key] = number
                    self._journal.count += 1
                    continue
            except (OSError, http.client.HTTPException):
                if connection is not None:
                    connection.close()
                connection = None
            # Refused or no answer: it may have happened or not, the journal allows both.
            self._journal.unknown.setdefault(key, set()).add(number)
            time.sleep(0.02)
        if connection is not None:
            connection.close()


def _check(fleet: Fleet, journal: Journal) -> None:
    for key, number in journal.acknowledged.items():
        data = fleet.once("GET", f"load/data/{key}", token=fleet.root).data["data"]
        assert data["n"] == data["same"], "a write was half done"
        later = {candidate for candidate in journal.unknown.get(key, set()) if candidate > number}
        assert data["n"] == number or data["n"] in later, f"{key}: acknowledged {number}, found {data['n']}"


def _verify_audit(fleet: Fleet) -> None:
    done = subprocess.run([str(BINARY), "audit", "verify", str(fleet.audit_file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def loaded() -> Iterator[Fleet]:
    """Return a server of two workers with a mount for the load."""
    with running_fleet(workers=2) as fleet:
        assert fleet.once("POST", "sys/mounts/load", {"type": "kv", "options": {"version": "2"}}, fleet.root).status == 204
        yield fleet


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_worker_loses_nothing(loaded: Fleet) -> None:
    """A worker killed under load is replaced, unsealed at once, and no acknowledged write is lost."""
    journal = Journal()
    for _ in range(KILLS):
        with Load(loaded, journal):
            time.sleep(random.uniform(0.05, LOAD_SECONDS))
            os.kill(random.choice(loaded.worker_pids()), signal.SIGKILL)
            time.sleep(LOAD_SECONDS / 2)
        loaded.await_status({200})
        _check(loaded, journal)
    assert journal.count > KILLS
    _verify_audit(loaded)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_arbiter_loses_nothing(loaded: Fleet) -> None:
    """After the arbiter is killed its workers stop serving, the port is free again, and a restart finds everything."""
    journal = Journal()
    for _ in range(KILLS):
        with Load(loaded, journal):
            time.sleep(random.uniform(0.05, LOAD_SECONDS))
            process = loaded.process
            assert process is not None
            process.kill()
            process.wait()
            loaded.process = None
        loaded.start()
        assert loaded.await_status({503, 200}) == 503, "a restarted server is sealed"
        loaded.unseal()
        _check(loaded, journal)
    assert journal.count > KILLS
    _verify_audit(loaded)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_postgresql_loses_nothing(loaded: Fleet) -> None:
    """PostgreSQL killed under load comes back by itself; meanwhile requests are refused within five seconds."""
    journal = Journal()
    for _ in range(KILLS):
        with Load(loaded, journal):
            time.sleep(random.uniform(0.05, LOAD_SECONDS))
            for pid in loaded.postgres_pids():
                os.kill(pid, signal.SIGKILL)
            time.sleep(LOAD_SECONDS)
        loaded.await_status({200})
        _await_reads(loaded, journal)
        _check(loaded, journal)
    assert journal.count > KILLS
    _verify_audit(loaded)


def _await_reads(fleet: Fleet, journal: Journal) -> None:
    deadline = time.monotonic() + 30
    for key in journal.acknowledged:
        while time.monotonic() < deadline:
            with suppress(OSError, http.client.HTTPException):
                if fleet.once("GET", f"load/data/{key}", token=fleet.root).status == 200:
                    break
            time.sleep(0.05)


@pytest.mark.timeout(300)
def test_stopped_postgresql_is_refused_in_time(loaded: Fleet) -> None:
    """While PostgreSQL hangs, a write and an uncached read answer 503 within five seconds, and work again afterwards."""
    pids = loaded.postgres_pids()
    loaded.once("POST", "load/data/before", {"data": {"a": "b"}}, loaded.root)
    group = [pid for postmaster in pids for pid in _family(postmaster)]
    for pid in group:
        os.kill(pid, signal.SIGSTOP)
    try:
        for method, path, body in (("POST", "load/data/during", {"data": {"a": "b"}}), ("GET", "load/data/never", None)):
            started = time.monotonic()
            answer = loaded.once(method, path, body, loaded.root)
            assert answer.status in {503, 500}, answer
            assert time.monotonic() - started < 6
    finally:
        for pid in group:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    deadline = time.monotonic() + 15
    in_a_row = 0
    while in_a_row < 10:  # each of the workers has to find out by itself
        in_a_row = in_a_row + 1 if loaded.once("GET", "load/data/before", token=loaded.root).status == 200 else 0
        assert time.monotonic() < deadline, "the server did not recover"


def _family(pid: int) -> list[int]:
    return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
