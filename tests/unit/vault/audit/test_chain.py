import errno
import threading
import time
from pathlib import Path

import pytest

from tests.unit.vault.audit.world import Page, body, now, read_records
from vault.audit.chain import _STATE, GENESIS, QUEUE_PART, RECORD_SECONDS_MAX, Chain, parse_line
from vault.audit.devices.file import FileSink
from vault.audit.sink import NOTING, TORN, Head, Position
from vault.audit.verify import verify
from vault.errors import AuditFailed


class FailingSink:
    """Fails as it is told, and remembers what it was given."""

    pause_seconds = 0.0

    def __init__(self, failure: BaseException | None = None) -> None:
        self.failure = failure
        self.written: list[bytes] = []

    def allow(self, seconds: float) -> None:
        pass

    def open(self, known: Head | None) -> Position:
        return Position()

    def recover(self, known: Head | None) -> tuple[Head | None, int]:
        return (known._replace(state=1) if known else None), 0

    def write(self, data: bytes, position: Position) -> Position:
        if self.failure is not None:
            raise self.failure
        self.written.append(data)
        return position


@pytest.mark.parametrize("failure", [OSError("full"), TimeoutError(), ValueError("damaged"), KeyError("seq")])
def test_append_refuses_what_was_not_written(failure: Exception) -> None:
    """Whatever keeps a record from its sink, its writer is told."""
    with pytest.raises(AuditFailed):
        Page().chain(FailingSink(failure)).append(body(0))


def test_append_recovers_without_restart() -> None:
    """Once the sink works again, so does the chain, and no number is left out."""
    sink = FailingSink()
    chain = Page().chain(sink)
    chain.append(body(0))
    sink.failure = OSError("full")
    with pytest.raises(AuditFailed):
        chain.append(body(1))
    sink.failure = None
    chain.append(body(2))
    records = [parse_line(line[:-1])[1] for line in sink.written]
    assert [record["seq"] for record in records] == [1, 2]
    assert records[1]["prev"] == records[0]["hash"]
    assert records[0]["prev"] == GENESIS


def test_append_of_others_fails_with_the_writer_that_took_them() -> None:
    """A thread that dies of something unforeseen while it writes for others leaves none of them believing it was written."""
    page, sink = Page(), FailingSink()
    entered, go_on = threading.Event(), threading.Event()

    class Dying:
        def take(self, seconds: float) -> bool:
            entered.set()
            go_on.wait(10)
            raise SystemExit

        def release(self) -> None:
            return

    chain = Chain(sink, page.areas[0], Dying, now)
    outcomes: list[str] = []

    def write(index: int) -> None:
        try:
            chain.append(body(index))
            outcomes.append("accepted")
        except (AuditFailed, SystemExit) as refusal:
            outcomes.append(type(refusal).__name__)

    threads = [threading.Thread(target=write, args=(index,)) for index in range(4)]
    threads[0].start()
    assert entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(chain._queue) < 3:
        pass
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert "accepted" not in outcomes
    assert len(outcomes) == 4
    assert not sink.written


def test_append_that_waited_for_a_slow_one_goes_on_at_once() -> None:
    """Who queued up while another wrote is woken when that is done, and not refused after its patience."""
    entered, go_on = threading.Event(), threading.Event()

    class Slow(FailingSink):
        def write(self, data: bytes, position: Position) -> Position:
            entered.set()
            go_on.wait(10)
            return super().write(data, position)

    sink = Slow()
    chain = Page().chain(sink)
    threads = [threading.Thread(target=chain.append, args=(body(index),)) for index in range(4)]
    threads[0].start()
    assert entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(chain._queue) < 3:
        pass
    begun = time.monotonic()
    go_on.set()
    for thread in threads:
        thread.join(10)
    assert b"".join(sink.written).count(b"\n") == 4
    assert time.monotonic() - begun < RECORD_SECONDS_MAX * QUEUE_PART * 0.9


@pytest.mark.parametrize("record", [b'{"time":"x",\n"type":"y"', b"", b"{", b"not json", b'{"type":"y"', b'\n{"time":"x"'])
def test_append_refuses_what_would_be_no_record(record: bytes) -> None:
    """No caller can break a record in two, or write what the verifier would not read."""
    with pytest.raises(AuditFailed):
        Page().chain(FailingSink()).append(record)


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\u0085", "\u009b", "\u202e", "\u2066"])
def test_append_escapes_what_readers_take_for_control(tmp_path: Path, character: str) -> None:
    """What ends a line or steers a terminal in some reader is written as its escape, and reads back as it was."""
    Page().file_chain(tmp_path / "a").append(f'{{"time":"t","type":"é{character}€"'.encode())
    assert character not in (tmp_path / "a").read_text()
    assert read_records(tmp_path / "a")[0]["type"] == f"é{character}€"
    assert verify([tmp_path / "a"]).ok


@pytest.mark.parametrize("writers", [1, 3])
def test_append_of_many_threads_and_workers_makes_one_chain(tmp_path: Path, writers: int) -> None:
    """Several chains of one host, each used by several threads, write one log without gap or duplicate."""
    page = Page()
    chains = [page.file_chain(tmp_path / "a") for _ in range(writers)]

    def write(chain: Chain, start: int) -> None:
        for index in range(start, start + 50):
            chain.append(body(index))

    threads = [threading.Thread(target=write, args=(chains[n % writers], n * 50)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    report = verify([tmp_path / "a"])
    assert report.ok
    assert report.records == 300
    assert {record["request"]["id"] for record in read_records(tmp_path / "a")} == {f"id-{index}" for index in range(300)}


@pytest.mark.parametrize("state", [TORN, NOTING])
def test_append_goes_on_after_a_writer_was_killed_before_it_noted(tmp_path: Path, state: int) -> None:
    """A record that was written but not noted is taken over: none is lost, and no number is given twice."""
    page = Page()
    page.file_chain(tmp_path / "a").append(body(0))
    before = bytes(page.areas[0])
    page.file_chain(tmp_path / "a").append(body(1))
    page.areas[0][:] = before
    page.areas[0][_STATE] = state
    page.file_chain(tmp_path / "a").append(body(2))
    report = verify([tmp_path / "a"])
    assert report.ok
    assert report.records == 3


def test_append_goes_on_where_the_numbers_are_half_noted(tmp_path: Path) -> None:
    """A writer killed while it noted the head leaves nonsense there; the file tells what is true."""
    page = Page()
    chain = page.file_chain(tmp_path / "a")
    chain.append(body(0))
    page.areas[0][0:20] = b"\xff" * 20
    page.areas[0][_STATE] = NOTING
    chain.append(body(1))
    assert verify([tmp_path / "a"]).records == 2


def test_append_begins_a_log_of_its_own(tmp_path: Path) -> None:
    """Two logs never have the same name, so that records of one are strangers in the other."""
    for name in "ab":
        Page().chain(FileSink(tmp_path / name)).append(body(0))
    assert read_records(tmp_path / "a")[0]["log"] != read_records(tmp_path / "b")[0]["log"]


@pytest.mark.parametrize(
    "line",
    [b"", b"{}", b'{"seq":1}', b'{"seq":1,"hash":"00"}', b'{"seq":true,"hash":"' + b"0" * 64 + b'"}', b'[1,"hash":"' + b"0" * 64 + b'"}'],
)
def test_parse_line_refuses_what_is_no_record(line: bytes) -> None:
    """Anything else than a record is refused as a value, never by another exception."""
    with pytest.raises(ValueError):
        parse_line(line)


class FullSink(FileSink):
    """A disk that is full whatever is given up."""

    def write(self, data: bytes, position: Position) -> Position:
        """Refuse."""
        raise OSError(errno.ENOSPC, "full")


class Endless:
    """A reserve that says that there is more, as often as it is asked."""

    spent = 0

    def keep(self) -> None:
        """Do nothing."""

    def end(self) -> None:
        """Do nothing."""

    def spend(self, size: int) -> bool:
        """Count."""
        del size
        self.spent += 1
        return self.spent < 1000


def test_reserve_is_not_emptied_for_one_record(tmp_path: Path) -> None:
    """Where giving up space makes no room, most of it stays, and others wait for the log only shortly."""
    reserve = Endless()
    with pytest.raises(AuditFailed):
        Page().chain(FullSink(tmp_path / "log"), reserve=reserve).append(body(1), vital=True)
    assert 0 < reserve.spent <= 32
