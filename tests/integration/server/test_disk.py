"""A disk that refuses what is written to the audit log: every errno that a full or broken one gives, under real workers."""

from __future__ import annotations

import errno
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.server.fleet import Fleet, free_port
from tests.integration.server.test_audit import WORKERS, Watched
from vault.audit.verify import verify

FAULTS = [*(str(number) for number in (errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EROFS)), "short"]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    """Run a server on whose disk a test can call for a fault."""
    library = tmp_path_factory.mktemp("fault") / "faulty_write.so"
    source = Path(__file__).with_name("faulty_write.c")
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(source), "-ldl"], check=True)
    with tempfile.TemporaryDirectory(prefix="health-vault-disk-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "audit").mkdir()
        environment = {"LD_PRELOAD": str(library), "FAULT_FLAG": str(folder / "fault")}
        fleet = Fleet(folder=folder, port=free_port(), workers=WORKERS, environment=environment)
        try:
            fleet.start()
            fleet.initialize()
            assert fleet.once("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "1"}}, fleet.root).status == 204
            with fleet.connected(3) as groups:
                watched = Watched(fleet, groups)
                watched.send_all("well")
                yield watched
        finally:
            fleet.stop()


@pytest.mark.parametrize("fault", FAULTS)
def test_failing_disk_refuses_in_time_and_recovers(disk: Watched, fault: str) -> None:
    """Every worker refuses, changes nothing, and goes on when the disk is well; the log is whole, half a record included."""
    flag = disk.fleet.folder / "fault"
    flag.write_text(fault)
    try:
        disk.require_refused(f"fault-{fault}")
        disk.require_refused(f"fault-{fault}")
    finally:
        flag.unlink()
    disk.require_well(f"fault-{fault}")
    report = verify([disk.fleet.audit_file])
    assert report.ok, report.finding


def test_full_disk_takes_sealing_and_unsealing(disk: Watched) -> None:
    """Whoever may seal can, and the shares open it again, though nothing else is taken, least of all from strangers; see L19."""
    fleet = disk.fleet
    flag, reserve = fleet.folder / "fault", fleet.audit_file.with_name(".audit.log.reserve")
    whole = reserve.stat().st_blocks * 512
    assert whole >= reserve.stat().st_size > 0
    flag.write_text(f"full:{fleet.audit_file.stat().st_size}")
    try:
        disk.require_refused("full")
        for path, token in (("sys/seal", None), ("sys/seal", "hvs.nobody"), ("sys/unseal", None)):
            assert fleet.once("PUT", path, {"key": fleet.keys[0]}, token).status == 500
        assert reserve.stat().st_size == whole
        assert fleet.once("PUT", "sys/seal", token=fleet.root).status == 204
        for connection in (connection for group in disk.groups for connection in group):
            # The first few say that the server is sealed: what a record left of its blocks is free for all.
            assert connection.call("GET", "kv/well-0", token=fleet.root).status in {500, 503}
        answers = [fleet.once("PUT", "sys/unseal", {"key": key}) for key in fleet.keys]
        assert [(answer.status, answer.body["sealed"]) for answer in answers] == [(200, True), (200, True), (200, False)]
        assert 0 < reserve.stat().st_size < whole
        disk.require_refused("full")
    finally:
        flag.unlink()
    disk.require_well("full")
    report = verify([fleet.audit_file])
    assert report.ok, report.finding
    records = fleet.audit_file.read_text()
    assert len(re.findall(r'"type":"(?:request|response)".*"path":"sys/seal"', records)) >= 2
    assert len(re.findall(r'"type":"(?:request|response)".*"path":"sys/unseal"', records)) >= 12
