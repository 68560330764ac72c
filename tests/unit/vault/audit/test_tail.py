"""Following a file over what is added, half lines and rotations."""

from pathlib import Path

import pytest

from vault.audit.tail import FileTail


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """There is nothing to follow."""
    with pytest.raises(FileNotFoundError):
        next(FileTail(tmp_path / "log").polls())


def test_file_is_followed_over_its_rotation(tmp_path: Path) -> None:
    """What is there, what comes, whole lines only, then the rest of the file that was moved away, then the new one."""
    path = tmp_path / "log"
    path.write_bytes(b"1\n2\n")
    polls = FileTail(path).polls()
    assert list(next(polls)) == [b"1", b"2"]
    assert list(next(polls)) == []
    with path.open("ab") as file:
        file.write(b"3\n4")
        file.flush()
        assert list(next(polls)) == [b"3"]
        file.write(b"4\n")
        file.flush()
        assert list(next(polls)) == [b"44"]
        path.rename(tmp_path / "log.1")
        assert list(next(polls)) == []
        file.write(b"5\n")
    path.write_bytes(b"6\n")
    assert list(next(polls)) == [b"5"]
    assert list(next(polls)) == [b"6"]


def test_long_file_is_read_from_near_its_end(tmp_path: Path) -> None:
    """A file of any size is not read whole to show its end, and no half line comes out."""
    path = tmp_path / "log"
    path.write_bytes(b"".join(b"%08d\n" % number for number in range(300_000)))
    lines = list(next(FileTail(path).polls()))
    assert 100_000 < len(lines) < 150_000
    assert lines[-1] == b"00299999"
    assert all(len(line) == 8 for line in lines)
