"""What may not be in any file of the repository."""

import re
import subprocess

from tests.architecture.source import ROOT

# Written in pieces, so that this file does not find itself.
MACHINE_PATHS = re.compile(
    "|".join(("/" + "work/", "/tmp/" + "lab", "/home/" + r"\w+/", r"(?<!sys/rotate)/root/" + r"[\w.]", "file:///" + "opt"))
)


def _list_tracked_texts() -> dict[str, str]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = [ROOT / name for name in listed.split("\0") if name]
    return {str(path.relative_to(ROOT)): path.read_text(errors="replace") for path in paths if path.is_file()}


def test_files_name_no_machine() -> None:
    """No file depends on where one developer keeps things."""
    assert not [path for path, text in _list_tracked_texts().items() if MACHINE_PATHS.search(text)]


def test_locked_requirements_have_hashes() -> None:
    """Everything installed from a lock is pinned and verified."""
    for lock in sorted((ROOT / "requirements").glob("*.txt")):
        names = re.findall(r"^\S+==\S+ \\$", lock.read_text(), re.MULTILINE)
        unpinned = [line for line in lock.read_text().splitlines() if line and not line.startswith(" ") and line not in names]
        assert names, lock.name
        assert not unpinned, lock.name
