"""A disk that fails in every way that it can: refused, cut back, and good again with the next record."""

import errno
import os
from pathlib import Path

import pytest

from tests.unit.vault.audit.world import Page, body, read_records
from vault import syscall
from vault.audit.devices.file import FileSink
from vault.audit.verify import verify
from vault.errors import AuditFailed


class Disk:
    """Fails as it is told, after it has taken some bytes."""

    def __init__(self) -> None:
        self.number = 0
        self.taken = 0
        self.flushes = 0

    def write(self, file: int, data: bytes) -> int:
        if not self.number:
            return syscall.write(file, data)
        if self.taken:
            taken, self.taken = self.taken, 0
            return syscall.write(file, data[:taken])
        raise OSError(self.number, os.strerror(self.number))

    def flush(self, file: int) -> None:
        self.flushes += 1
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        os.fdatasync(file)


@pytest.mark.parametrize("taken", [0, 1, 100])
@pytest.mark.parametrize("number", [errno.EIO, errno.EROFS, errno.EDQUOT, errno.ENOSPC, errno.EFBIG])
def test_failed_write_leaves_nothing(tmp_path: Path, number: int, taken: int) -> None:
    """An error, also after a part was taken, refuses the record; the next one follows the one before without a gap."""
    disk, page, log = Disk(), Page(), tmp_path / "log"
    chains = [page.chain(FileSink(log, write=disk.write)) for _ in range(2)]
    chains[0].append(body(0))
    for chain in chains:
        disk.number, disk.taken = number, taken
        with pytest.raises(AuditFailed):
            chain.append(body(1))
        assert log.read_bytes().endswith(b"\n")
    disk.number = 0
    for index, chain in enumerate(chains):
        chain.append(body(2 + index))
    assert [record["seq"] for record in read_records(log)] == [1, 2, 3]
    assert verify([log]).ok


def test_short_write_is_finished(tmp_path: Path) -> None:
    """The kernel may take a record in pieces."""
    log = tmp_path / "log"
    Page().chain(FileSink(log, write=lambda file, data: syscall.write(file, data[:7]))).append(body(0))
    assert verify([log]).records == 1


def test_failed_flush_refuses(tmp_path: Path) -> None:
    """What is not on the disk does not count, where that was asked for; each write is flushed."""
    disk, log = Disk(), tmp_path / "log"
    chain = Page().chain(FileSink(log, flush=disk.flush))
    chain.append(body(0))
    disk.number = errno.EIO
    with pytest.raises(AuditFailed):
        chain.append(body(1))
    disk.number = 0
    chain.append(body(2))
    assert disk.flushes == 3
    assert [record["request"]["id"] for record in read_records(log)] == ["id-0", "id-2"]


def test_closed_descriptor_is_opened_again(tmp_path: Path) -> None:
    """Somebody closed what was open: one record is refused, and no other file that gets the number is written to."""
    log = tmp_path / "log"
    sink = FileSink(log)
    chain = Page().chain(sink)
    chain.append(body(0))
    os.close(sink._file)
    with pytest.raises(AuditFailed):
        chain.append(body(1))
    chain.append(body(2))
    assert verify([log]).records == 2
