"""Four processes of eight threads write one log while they are killed at random, with and without rotation."""

from pathlib import Path

import pytest

from tests.integration.audit.writer import kill_at_random, make_chain
from tests.unit.vault.audit.world import body, read_records
from vault.audit.verify import verify
from vault.host import HostPage


@pytest.mark.slow
@pytest.mark.parametrize("rotates", [False, True], ids=["one file", "rotated"])
def test_kill_of_writers_leaves_one_whole_chain(tmp_path: Path, rotates: bool) -> None:
    """No gap, no duplicate, no fork, every accepted record is there, and no writer was refused because another one died."""
    page, path = HostPage(), tmp_path / "log"
    files: list[Path] = []

    def rotate(turn: int) -> None:
        if rotates and path.exists():
            files.append(path.rename(tmp_path / f"log.{turn:04}"))

    accepted, refused = kill_at_random(page, path, workers=4, threads=8, kills=24, rotate=rotate)
    make_chain(page, path).append(body(0))
    report = verify([*files, path])
    assert report.ok, report
    assert refused == 0
    records = [record for file in (*files, path) for record in read_records(file)]
    assert [record["seq"] for record in records] == list(range(1, len(records) + 1))
    ids = [record["request"]["id"] for record in records if record["type"] == "request"]
    assert len(ids) == len(set(ids))
    assert len(accepted) > 1000
    assert accepted <= set(ids)
