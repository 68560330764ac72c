"""Which place the checkpoints go to, by the settings."""

from dataclasses import replace
from pathlib import Path

import pytest

from vault.audit.places import FilePlace, SyslogPlace, TablePlace, find_default_file, make_folder, make_place
from vault.config import combine
from vault.errors import InvalidRequest
from vault.settings import AuditDevice, Checkpoints, Settings, Storage
from vault.storage.evidence import CheckpointTable

TABLE = CheckpointTable("")


def make_settings(*files: str, audit_dir: str = "", embedded: bool = False, checkpoints: Checkpoints | None = None) -> Settings:
    """Return settings with file devices."""
    return replace(
        combine(dev=False, flags={}, environment={}, files=()),
        audit=tuple(AuditDevice(kind="file", name="file", options={"file_path": file}) for file in files),
        audit_dir=audit_dir,
        data_dir="/data",
        storage=Storage(kind="embedded" if embedded else "postgresql"),
        checkpoints=checkpoints or Checkpoints(),
    )


@pytest.mark.parametrize(
    ("settings", "file"),
    [
        (make_settings("/a/x.log", "/a/y.log"), "/a/x.log.checkpoints"),
        (make_settings("stdout", "/a/y.log"), "/a/y.log.checkpoints"),
        (make_settings("stdout", audit_dir="/b"), "/b/audit.log.checkpoints"),
        (make_settings(embedded=True), "/data/audit.log.checkpoints"),
        (make_settings("stdout"), ""),
    ],
    ids=["first file", "no stream", "folder", "embedded", "nowhere"],
)
def test_default_is_beside_the_first_audit_file(settings: Settings, file: str) -> None:
    """Without a file the folders that are ours are taken, and where there is none, the table."""
    assert find_default_file(settings) == file
    assert isinstance(make_place(settings, TABLE), FilePlace if file else TablePlace)


def test_place_is_what_the_settings_name() -> None:
    """Each kind has its place; a file may be named."""
    for kind, place in (("syslog", SyslogPlace), ("postgres", TablePlace), ("file", FilePlace)):
        assert isinstance(make_place(make_settings("/a/x", checkpoints=Checkpoints(kind=kind)), TABLE), place)
    named = make_place(make_settings("/a/x", checkpoints=Checkpoints(options={"file_path": "/b/c"})), TABLE)
    assert isinstance(named, FilePlace)
    assert named._path == Path("/b/c")


@pytest.mark.parametrize("checkpoints", [Checkpoints(kind="nosuch"), Checkpoints(kind="file")], ids=["unknown", "no file"])
def test_place_that_cannot_be_is_refused(checkpoints: Checkpoints) -> None:
    """A kind that is none, and a file that nobody names, stop the start."""
    with pytest.raises(InvalidRequest):
        make_place(make_settings("stdout", checkpoints=checkpoints), TABLE)


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """The start is refused with the path and the reason."""
    (tmp_path / "file").touch()
    checkpoints = Checkpoints(kind="file", options={"file_path": f"{tmp_path}/file/folder/x"})
    with pytest.raises(InvalidRequest, match=r"the folder of .*/file/folder/x cannot be made: Not a directory"):
        make_folder(make_settings(checkpoints=checkpoints))
