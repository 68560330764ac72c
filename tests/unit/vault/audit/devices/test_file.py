import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.vault.audit.world import Page, body, read_records, write_log
from vault.audit.chain import _STATE, Chain
from vault.audit.sink import TORN
from vault.audit.verify import verify
from vault.errors import AuditFailed


def _remove(path: Path) -> None:
    path.unlink()


def _remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def _move_folder(path: Path) -> None:
    path.parent.rename(path.parent.with_name("moved"))


def _link(path: Path) -> None:
    path.rename(path.with_name("target"))
    path.symlink_to(path.with_name("target"))


def _make_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _make_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _take_rights(path: Path) -> None:
    path.chmod(0)


def _empty(path: Path) -> None:
    os.truncate(path, 0)


def _cut(path: Path) -> None:
    os.truncate(path, len(path.read_bytes().splitlines(keepends=True)[0]))


def _keep_last_record(path: Path) -> None:
    """Leave what a copytruncate leaves that came just before a write."""
    last = path.read_bytes().splitlines(keepends=True)[-1]
    with path.open("rb+") as file:
        file.truncate()
        file.write(last)
        file.truncate()


def _put_zeros(path: Path) -> None:
    with path.open("rb+") as file:
        file.write(bytes(path.stat().st_size + 100))


def _put_older_copy(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.rename(path.with_name("newer"))
    path.write_bytes(b"".join(lines[:-1]))


def _put_other_log(path: Path) -> None:
    path.unlink()
    write_log(path, 9)


def _append_forged(path: Path) -> None:
    other = write_log(path.with_name("other"), 9)
    with path.open("ab") as file:
        file.write(other[-1])


def _put_garbage(path: Path) -> None:
    path.write_bytes(os.urandom(5000))


def _put_garbage_lines(path: Path) -> None:
    path.write_bytes(b"\n" * 100 + b"x" * 5000 + b"\n")


@pytest.mark.parametrize("fresh", [False, True], ids=["same worker", "new worker"])
@pytest.mark.parametrize(
    "change",
    [
        _remove, _remove_folder, _move_folder, _link, _make_folder, _make_fifo, _take_rights,
        _empty, _keep_last_record, _put_zeros, _cut, _put_older_copy, _put_other_log, _append_forged, _put_garbage, _put_garbage_lines,
    ],
)  # fmt: skip
def test_append_refuses_a_file_that_is_not_what_it_was(tmp_path: Path, change: Callable[[Path], None], fresh: bool) -> None:
    """The very next record is refused, by every worker, and what lies there is not touched."""
    page, path = Page(), tmp_path / "folder" / "a"
    chain = page.file_chain(path)
    for index in range(3):
        chain.append(body(index))
    change(path)
    before = path.read_bytes() if path.is_file() else None
    for index in range(2):
        with pytest.raises(AuditFailed):
            (page.file_chain(path) if fresh else chain).append(body(index))
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("change", [_empty, _cut, _put_older_copy, _put_garbage, _make_folder, _make_fifo, _link])
def test_append_goes_on_when_what_was_refused_is_moved_away(tmp_path: Path, change: Callable[[Path], None]) -> None:
    """No restart is needed, and the chain continues where it was."""
    path = tmp_path / "a"
    chain = Page().file_chain(path)
    chain.append(body(0))
    chain.append(body(1))
    change(path)
    with pytest.raises(AuditFailed):
        chain.append(body(2))
    if path.is_symlink() or not path.is_file():
        path.rename(tmp_path / "away")
        path.touch()
    else:
        path.rename(tmp_path / "away")
    chain.append(body(2))
    assert [record["seq"] for record in read_records(path)] == [3]


def test_append_after_removal_goes_on_in_a_file_made_anew(tmp_path: Path) -> None:
    """Whoever creates the file says that the loss is known; the numbers go on and show it."""
    path = tmp_path / "a"
    chain = Page().file_chain(path)
    chain.append(body(0))
    path.unlink()
    with pytest.raises(AuditFailed):
        chain.append(body(1))
    assert not path.exists()
    path.touch()
    chain.append(body(1))
    assert read_records(path)[0]["seq"] == 2
    finding = verify([path]).finding
    assert finding is not None
    assert (finding.kind, finding.number) == ("missing", 1)


@pytest.mark.parametrize("creates", [False, True], ids=["rename", "rename and create"])
@pytest.mark.parametrize("fresh", [False, True], ids=["same worker", "new worker"])
def test_append_continues_the_chain_after_rotation(tmp_path: Path, creates: bool, fresh: bool) -> None:
    """A file that was renamed is whole; the next one takes up its chain, and both verify in order."""
    page, path = Page(), tmp_path / "a"
    chain = page.file_chain(path)
    for turn in range(3):
        chain.append(body(turn))
        path.rename(tmp_path / f"a.{turn}")
        if creates:
            path.touch(0o640)
        if fresh:
            chain = page.file_chain(path)
    chain.append(body(3))
    files = [tmp_path / "a.0", tmp_path / "a.1", tmp_path / "a.2", path]
    report = verify(files)
    assert report.ok
    assert (report.first, report.last) == (1, 4)
    assert not verify(files[1:]).ok
    assert not verify([*files[:1], *files[2:]]).ok


def test_append_takes_over_what_a_killed_worker_wrote_to_a_new_file(tmp_path: Path) -> None:
    """Killed right after a rotation, before it could note its record: the next worker continues after that record."""
    page, path = Page(), tmp_path / "a"
    page.file_chain(path).append(body(0))
    before = bytes(page.areas[0])
    path.rename(tmp_path / "a.1")
    page.file_chain(path).append(body(1))
    page.areas[0][:] = before
    page.file_chain(path).append(body(2))
    assert verify([tmp_path / "a.1", path]).records == 3


@pytest.mark.parametrize("creates", [False, True], ids=["rename", "rename and create"])
@pytest.mark.parametrize("fresh", [False, True], ids=["same worker", "new worker"])
@pytest.mark.parametrize("torn", [b"", b'{"time":"20'])
def test_append_finishes_a_file_that_was_moved_away_after_a_kill(tmp_path: Path, creates: bool, fresh: bool, torn: bytes) -> None:
    """Killed before it noted its records, and then the file renamed: the next file continues after what the old one holds."""
    page, path = Page(), tmp_path / "a"
    worker = page.file_chain(path)
    worker.append(body(0))
    before = bytes(page.areas[0])
    page.file_chain(path).append(body(1))
    page.file_chain(path).append(body(2))
    page.areas[0][:] = before
    page.areas[0][_STATE] = TORN
    with path.open("ab") as file:
        file.write(torn)
    path.rename(tmp_path / "a.1")
    if creates:
        path.touch()
    (page.file_chain(path) if fresh else worker).append(body(3))
    report = verify([tmp_path / "a.1", path])
    assert report.ok, report
    assert report.records == 4 + bool(torn)


def test_append_goes_on_after_a_damaged_file_of_a_killed_worker_was_moved_away(tmp_path: Path) -> None:
    """What cannot be finished does not keep the chain from going on."""
    page, path = Page(), tmp_path / "a"
    chain = page.file_chain(path)
    chain.append(body(0))
    page.areas[0][_STATE] = TORN
    os.truncate(path, 0)
    with pytest.raises(AuditFailed):
        chain.append(body(1))
    path.rename(tmp_path / "a.1")
    chain.append(body(1))
    assert read_records(path)[0]["seq"] == 2


def test_append_accepts_a_faithful_copy(tmp_path: Path) -> None:
    """A file that was copied and put in place of itself lost nothing."""
    path = tmp_path / "a"
    chain = Page().file_chain(path)
    chain.append(body(0))
    shutil.copy(path, tmp_path / "b")
    (tmp_path / "b").rename(path)
    chain.append(body(1))
    assert verify([path]).records == 2


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize(
    "torn", [b"{", b'{"time":"2026', b'{"time":"2026-01-02T03:04:05Z","type":"request","x":"' + b"y" * 200_000, b"\0" * 700]
)
def test_append_cuts_off_a_torn_line_and_says_so(tmp_path: Path, torn: bytes, restarted: bool) -> None:
    """What a killed process wrote half was never accepted; it goes, and a record of its own says how much it was."""
    page, path = Page(), tmp_path / "a"
    page.file_chain(path).append(body(0))
    with path.open("ab") as file:
        file.write(torn)
    (Page() if restarted else page).file_chain(path).append(body(1))
    records = read_records(path)
    assert [record["type"] for record in records] == ["request", "recovery", "request"]
    assert records[1]["cut_bytes"] == len(torn)
    assert verify([path]).ok


def test_append_cuts_off_a_torn_first_line(tmp_path: Path) -> None:
    """A file that holds nothing but half a record begins anew."""
    path = tmp_path / "a"
    path.write_bytes(b'{"time":"2026-')
    Page().file_chain(path).append(body(0))
    assert [record["type"] for record in read_records(path)] == ["recovery", "request"]
    assert verify([path]).ok


@pytest.mark.parametrize("content", [b"precious", b"a\nb\nprecious", b"\n", b"root:x:0:0\n", b'{"a":1}\n', b'{"a":1}\n{"time":"'])
def test_append_never_touches_a_file_that_is_no_log(tmp_path: Path, content: bytes) -> None:
    """A device that was aimed at somebody's file by mistake refuses, and the file stays as it is."""
    path = tmp_path / "a"
    path.write_bytes(content)
    with pytest.raises(AuditFailed):
        Page().file_chain(path).append(body(0))
    assert path.read_bytes() == content


def test_append_refuses_to_continue_a_log_whose_last_record_was_edited(tmp_path: Path) -> None:
    """After a restart the last record is checked before anything is added to it."""
    path = tmp_path / "a"
    write_log(path, 2)
    path.write_bytes(path.read_bytes().replace(b"data/1", b"data/9"))
    with pytest.raises(AuditFailed):
        Page().file_chain(path).append(body(0))


def test_append_continues_after_a_restart(tmp_path: Path) -> None:
    """A new start, whose memory is empty, goes on from what the file says."""
    path = tmp_path / "a"
    for _ in range(3):
        Page().file_chain(path).append(body(0))
    assert [record["seq"] for record in read_records(path)] == [1, 2, 3]
    assert len({record["log"] for record in read_records(path)}) == 1
    assert verify([path]).ok


def test_append_continues_after_a_record_longer_than_the_tail_that_is_read(tmp_path: Path) -> None:
    """The last record is found whatever its size."""
    path = tmp_path / "a"
    Page().file_chain(path).append(body(0)[:-1] + b',"x":"' + b"y" * 700_000 + b'"}')
    Page().file_chain(path).append(body(1))
    assert verify([path]).records == 2


def test_append_makes_the_file_for_its_owner_only(tmp_path: Path) -> None:
    """The folder and the file of a new log are nobody else's, whatever the umask."""
    old = os.umask(0)
    try:
        Page().file_chain(tmp_path / "new" / "a").append(body(0))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "new" / "a").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700


def test_append_gives_the_mode_that_was_asked_for(tmp_path: Path) -> None:
    """A umask takes nothing from the mode, and the mode of a file that exists is left alone."""
    page, old = Page(), os.umask(0o077)
    try:
        page.device(tmp_path / "a", mode="0640").chain.append(body(0))
        (tmp_path / "b").touch(0o600)
        page.device(tmp_path / "b", 1, mode="0640").chain.append(body(0))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640
    assert stat.S_IMODE((tmp_path / "b").stat().st_mode) == 0o600


def test_append_keeps_no_file_open_that_was_rotated(tmp_path: Path) -> None:
    """Descriptors do not pile up."""
    path = tmp_path / "a"
    chain: Chain = Page().file_chain(path)
    chain.append(body(0))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for turn in range(5):
        path.rename(tmp_path / f"a.{turn}")
        chain.append(body(turn))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
