import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.vault.audit.world import Page, body
from vault.audit.chain import Chain, parse_line
from vault.audit.devices.stdout import StreamSink
from vault.audit.devices.stream import WAIT_SECONDS
from vault.audit.verify import verify
from vault.errors import AuditFailed


class Watch:
    """A clock that counts how long was waited, without waiting."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 0.7
        return self.now


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe that holds one page."""
    reading, writing = os.pipe()
    import fcntl

    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    for descriptor in (reading, writing):
        try:
            os.close(descriptor)
        except OSError:
            continue


def _stream(page: Page, descriptor: int) -> Chain:
    return page.chain(StreamSink(descriptor, Watch()))


def test_append_refuses_when_nobody_reads(pipe: tuple[int, int]) -> None:
    """A full pipe refuses, waits once, and every later record at once: requests do not queue up behind each other's wait."""
    page = Page()
    chain = _stream(page, pipe[1])
    os.write(pipe[1], b"x" * 4096)
    for _ in range(5):
        with pytest.raises(AuditFailed) as refused:
            chain.append(body(0))
        assert isinstance(refused.value.__cause__, TimeoutError)
    assert chain._sink._patience.left_seconds == 0  # type: ignore[attr-defined]  # the sink that was put in above
    with pytest.raises(AuditFailed):
        _stream(page, pipe[1]).append(body(0))
    assert WAIT_SECONDS < 2.5


def test_append_refuses_when_the_reader_is_gone(pipe: tuple[int, int]) -> None:
    """A closed pipe is a refusal, not a signal that ends the process."""
    os.close(pipe[0])
    with pytest.raises(AuditFailed):
        _stream(Page(), pipe[1]).append(body(0))


@pytest.mark.parametrize("path", ["/dev/full"])
def test_append_refuses_when_the_device_is_full(path: str) -> None:
    """ENOSPC of a stream is a refusal, also the second time."""
    descriptor = os.open(path, os.O_WRONLY)
    chain = _stream(Page(), descriptor)
    for _ in range(2):
        with pytest.raises(AuditFailed):
            chain.append(body(0))
    os.close(descriptor)


def test_append_refuses_a_closed_descriptor() -> None:
    """Standard output that was closed takes no record."""
    with pytest.raises(AuditFailed):
        _stream(Page(), 987).append(body(0))


def test_append_goes_on_once_somebody_reads(pipe: tuple[int, int]) -> None:
    """Refused records leave no number out and no blank line."""
    page = Page()
    chain = _stream(page, pipe[1])
    chain.append(body(0))
    first = os.read(pipe[0], 4096)
    os.write(pipe[1], b"x" * 4096)
    with pytest.raises(AuditFailed):
        chain.append(body(1))
    os.read(pipe[0], 4096)
    chain.append(body(2))
    second = os.read(pipe[0], 4096)
    records = [parse_line(line[:-1])[1] for line in (first, second)]
    assert [record["seq"] for record in records] == [1, 2]
    assert records[1]["prev"] == records[0]["hash"]


def test_append_starts_a_new_line_after_half_a_record(pipe: tuple[int, int]) -> None:
    """The next record of any worker is not glued to what got stuck half-way."""
    page = Page()
    with pytest.raises(AuditFailed):
        _stream(page, pipe[1]).append(body(0) + b',"x":"' + b"y" * 9000 + b'"')
    half = os.read(pipe[0], 65536)
    assert not half.endswith(b"\n")
    _stream(page, pipe[1]).append(body(1))
    blank, line = os.read(pipe[0], 65536).split(b"\n", 1)
    assert blank == b""
    assert parse_line(line[:-1])[1]["request"] == {"id": "id-1", "path": "secret/data/1"}


def test_append_writes_long_records_whole(pipe: tuple[int, int]) -> None:
    """A record larger than the pipe passes through while somebody reads."""
    read: list[bytes] = []

    def drain() -> None:
        while piece := os.read(pipe[0], 65536):
            read.append(piece)

    reader = threading.Thread(target=drain)
    reader.start()
    chain = Page().chain(StreamSink(pipe[1]))
    chain.append(body(0)[:-1] + b',"x":"' + b"y" * 300_000 + b'"}')
    chain.append(body(1))
    os.close(chain._sink._file)  # type: ignore[attr-defined]  # so that the reader sees the end
    os.close(pipe[1])
    reader.join(10)
    assert [parse_line(line)[1]["seq"] for line in b"".join(read).splitlines()] == [1, 2]


def test_append_does_not_make_the_stream_of_others_non_blocking(pipe: tuple[int, int]) -> None:
    """Whoever shares standard output goes on as before."""
    _stream(Page(), pipe[1]).append(body(0))
    assert os.get_blocking(pipe[1])


def test_append_to_a_redirected_stream_verifies(tmp_path: Path) -> None:
    """Standard output that goes to a file is a log like any other, of several workers, too."""
    with (tmp_path / "out").open("wb") as out:
        page = Page()
        chains = [_stream(page, out.fileno()) for _ in range(2)]
        for index in range(6):
            chains[index % 2].append(body(index))
    assert verify([tmp_path / "out"]).records == 6
