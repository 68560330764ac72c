"""The file that keeps space: how much of it is given up, and that nothing but it is touched."""

import os
from pathlib import Path

import pytest

from tests.unit.vault.audit.world import Clock
from vault.audit.devices.reserve import Reserve, reserve_path

BLOCK = 4096


def test_no_space_without_a_reserve(tmp_path: Path) -> None:
    """What was never kept cannot be given up; nor where there is no folder any more."""
    assert not Reserve(tmp_path / "log").spend(1)
    assert not Reserve(tmp_path / "gone" / "log").spend(1)


@pytest.mark.parametrize("what", ["link", "name", "folder", "fifo"])
def test_only_a_plain_file_is_a_reserve(tmp_path: Path, what: str) -> None:
    """Whoever may write to the folder cannot have another file cut or grown by the server."""
    target, place = tmp_path / "target", reserve_path(tmp_path / "log")
    target.write_bytes(b"x" * 3 * BLOCK)
    if what == "link":
        place.symlink_to(target)
    elif what == "name":
        place.hardlink_to(target)
    elif what == "folder":
        place.mkdir()
    else:
        os.mkfifo(place)
    reserve = Reserve(tmp_path / "log", 8 * BLOCK)
    reserve.keep()
    assert not reserve.spend(1)
    assert target.read_bytes() == b"x" * 3 * BLOCK


def test_space_is_kept_and_given_up_in_parts(tmp_path: Path) -> None:
    """The blocks are there, not just a size; each record is given one more than it may touch."""
    reserve, place = Reserve(tmp_path / "log", 8 * BLOCK), reserve_path(tmp_path / "log")
    reserve.keep()
    assert place.stat().st_blocks * 512 >= place.stat().st_size == 8 * BLOCK
    assert place.stat().st_mode & 0o777 == 0o600
    assert reserve.spend(1)
    assert place.stat().st_size == 6 * BLOCK
    assert reserve.spend(2 * BLOCK)
    assert place.stat().st_size == 2 * BLOCK
    assert reserve.spend(100 * BLOCK)
    assert place.stat().st_size == 0
    assert not reserve.spend(1)


def test_reserve_is_made_whole_after_a_while(tmp_path: Path) -> None:
    """Not with every record, but also where another worker has spent, or somebody removed it."""
    clock = Clock()
    reserves = [Reserve(tmp_path / "log", 8 * BLOCK, monotonic=clock.monotonic) for _ in range(2)]
    place = reserve_path(tmp_path / "log")
    for reserve in reserves:
        reserve.keep()
    reserves[0].spend(1)
    reserves[1].keep()
    assert place.stat().st_size == 6 * BLOCK
    clock.now += 11
    reserves[1].keep()
    assert place.stat().st_size == 8 * BLOCK
    place.unlink()
    clock.now += 11
    reserves[0].keep()
    assert place.stat().st_size == 8 * BLOCK


def test_larger_file_gives_up_no_more_than_was_kept(tmp_path: Path) -> None:
    """Blocks that a file only claims to have would be asked for one after the other, while all wait for the log."""
    reserve, place = Reserve(tmp_path / "log", 8 * BLOCK), reserve_path(tmp_path / "log")
    reserve.keep()
    os.truncate(place, 1 << 40)
    assert reserve.spend(1)
    assert place.stat().st_size == 6 * BLOCK
    os.truncate(place, 1 << 40)
    Reserve(tmp_path / "log", 4 * BLOCK).keep()
    assert place.stat().st_size == 4 * BLOCK


def test_end_removes_it(tmp_path: Path) -> None:
    """Also twice, and where there is none."""
    reserve = Reserve(tmp_path / "log")
    reserve.keep()
    reserve.end()
    reserve.end()
    assert list(tmp_path.iterdir()) == []
