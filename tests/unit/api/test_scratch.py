"""Folders of throw-away servers: which may be deleted, and when."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from api.scratch import scratch_folder


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return an empty folder for temporary files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def _put(folder: Path) -> Path:
    """Make a folder as a killed server leaves it."""
    (folder / "data").mkdir(parents=True)
    folder.chmod(0o700)
    (folder / "throw-away").touch()
    return folder


def test_only_abandoned_folders_of_ours_are_deleted(place: Path) -> None:
    """Not what is no scratch folder, not what others may write, not what a link points to."""
    abandoned = _put(place / "health-vault-abandoned")
    kept = [_put(place / name) for name in ("health-vault-open", "health-vault-unmarked", "other", "target", "health-vault-linked")]
    kept[0].chmod(0o777)
    (kept[1] / "throw-away").unlink()
    (place / "health-vault-link").symlink_to(kept[3])
    mark = kept[4] / "throw-away"
    mark.unlink()
    mark.symlink_to(kept[3] / "throw-away")
    if os.geteuid() == 0:
        kept.append(_put(place / "health-vault-foreign"))
        os.chown(kept[-1], 65534, 65534)
    with scratch_folder() as folder:
        assert folder.parent == place
        assert not abandoned.exists()
        assert all((other / "data").is_dir() for other in kept)
    assert not folder.exists()


def test_folder_in_use_is_left_until_its_server_is_killed(place: Path) -> None:
    """The kernel knows who lives. A process that was forked from the owner deletes nothing when it leaves."""
    ready, told = os.pipe()
    server = os.fork()
    if not server:
        try:
            block = scratch_folder()
            folder = block.__enter__()
            if not os.fork():
                block.__exit__(None, None, None)
                os._exit(0)
            os.wait()
            os.write(told, str(folder).encode())
            signal.pause()
        finally:
            os._exit(1)
    other = Path(os.read(ready, 1000).decode())
    assert other.parent == place
    with scratch_folder():
        assert other.is_dir()
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    with scratch_folder():
        assert not other.exists()
