"""The folder of a throw-away server: data, audit file, the socket of its PostgreSQL. It is deleted at the end, however that comes.

A server that is killed deletes nothing. Its workers do so for it, and where they were killed as well, the next throw-away server.
"""

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vault.config import SCRATCH_DATA
from vault.storage.embedded import Embedded

_PREFIX = "health-vault-"
_MARK = "throw-away"  # a file that its server keeps locked


@contextmanager
def scratch_folder() -> Iterator[Path]:
    """Make the folder; delete it at the end, and those of servers that could not."""
    _discard_abandoned()
    owner = os.getpid()
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX))
    claim = _claim(folder)
    try:
        yield folder
    finally:
        if os.getpid() == owner:  # workers leave this block, too
            discard(folder)
            os.close(claim)


def discard(folder: Path) -> None:
    """Delete the folder of a server that has ended."""
    Embedded(folder / SCRATCH_DATA, throw_away=True).discard()
    shutil.rmtree(folder, ignore_errors=True)


def _claim(folder: Path) -> int:
    """Mark the folder as one to be thrown away. The mark appears locked, so nobody takes it for abandoned; the kernel unlocks it."""
    made = folder / f"{_MARK}.new"
    claim = os.open(made, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    fcntl.lockf(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
    made.rename(folder / _MARK)
    return claim


def _discard_abandoned() -> None:
    for mark in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_MARK}"):
        with suppress(OSError):  # in use, or somebody else's, or gone
            _discard_if_abandoned(mark)


def _discard_if_abandoned(mark: Path) -> None:
    about = mark.parent.lstat()
    # Others may write where this folder is. What they put there must not tell us what to delete.
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.geteuid() or about.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    claim = os.open(mark, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.lockf(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        discard(mark.parent)
    finally:
        os.close(claim)
