"""A log on a disk that is full, or that lets no file grow: refused, cut back, and good again without a restart."""

import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.audit.conftest import DISK_BYTES
from tests.unit.vault.audit.world import Page, body, read_records
from vault.audit.chain import Chain
from vault.audit.devices.stdout import StreamSink
from vault.audit.verify import verify
from vault.errors import AuditFailed

_LIMIT_BYTES = 10_000


@pytest.fixture
def size_limit() -> Iterator[None]:
    """Let no file of this process grow beyond some bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (_LIMIT_BYTES, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def _fill(chain: Chain) -> int:
    """Append until a record is refused, and once more; return how many were accepted."""
    for index in range(2000):
        try:
            chain.append(body(index))
        except AuditFailed:
            with pytest.raises(AuditFailed):
                chain.append(body(index))
            return index
    pytest.fail("the disk never filled")


def _check_full(path: Path, chain: Chain, make_room: Callable[[], None]) -> None:
    accepted = _fill(chain)
    assert len(read_records(path)) == accepted
    assert path.read_bytes().endswith(b"\n")
    assert verify([path]).ok
    make_room()
    chain.append(body(1))
    report = verify([path])
    assert report.ok
    assert report.records == accepted + 1


def test_append_refuses_on_a_full_disk(disk: Path) -> None:
    """The record that does not fit leaves no trace, and once there is room the next one follows."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(DISK_BYTES // 2))
    _check_full(disk / "log", Page().file_chain(disk / "log"), ballast.unlink)


def test_append_takes_small_records_on_after_a_large_one_was_refused(disk: Path) -> None:
    """A record of which only a part fits is cut off again."""
    path = disk / "log"
    chain = Page().file_chain(path)
    chain.append(body(0))
    with pytest.raises(AuditFailed):
        chain.append(body(1) + b',"x":"' + b"y" * 2 * DISK_BYTES + b'"')
    assert len(read_records(path)) == 1
    chain.append(body(2))
    assert [record["type"] for record in read_records(path)] == ["request", "request"]
    assert verify([path]).ok


@pytest.mark.usefixtures("size_limit")
def test_append_refuses_when_the_file_may_not_grow(tmp_path: Path) -> None:
    """EFBIG after a short write: cut back, refused, and a rotation makes room."""
    path = tmp_path / "log"
    chain = Page().file_chain(path)
    accepted = _fill(chain)
    assert verify([path]).records == accepted
    path.rename(tmp_path / "log.1")
    chain.append(body(1))
    assert verify([tmp_path / "log.1", path]).records == accepted + 1


def test_append_to_a_pipe_that_nobody_reads_is_refused_within_five_seconds() -> None:
    """Sixteen writers of two workers and a full pipe: each of them is refused, and none waits for the waits of the others."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writing, True)
    page, waits = Page(), list[float]()

    def write(chain: Chain) -> None:
        begun = time.monotonic()
        with pytest.raises(AuditFailed):
            chain.append(body(0))
        waits.append(time.monotonic() - begun)

    chains = [page.chain(StreamSink(writing)) for _ in range(2)]
    threads = [threading.Thread(target=write, args=(chains[index % 2],)) for index in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    os.close(reading)
    os.close(writing)
    assert len(waits) == 16
    assert max(waits) < 5
