"""A log whose lock is held by a process that was stopped, and a sink that hangs: everybody else is refused in time."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from tests.unit.vault.audit.world import Page, body, now
from vault.audit.chain import Chain
from vault.audit.devices.file import FileSink
from vault.audit.sink import Head, Position
from vault.audit.verify import verify
from vault.errors import AuditFailed
from vault.host import AUDIT_LOCK, HostPage

THREADS = 8


class HangingSink:
    """Takes a while, and then nothing."""

    def __init__(self, seconds: float, pause_seconds: float) -> None:
        self.seconds = seconds
        self.pause_seconds = pause_seconds
        self.trials = 0
        self.allowed = 0.0

    def allow(self, seconds: float) -> None:
        self.allowed = seconds

    def open(self, known: Head | None) -> Position:
        return Position()

    def recover(self, known: Head | None) -> tuple[Head | None, int]:
        return (known._replace(state=1) if known else None), 0

    def write(self, data: bytes, position: Position) -> Position:
        self.trials += 1
        if self.seconds:
            time.sleep(self.seconds)
            raise TimeoutError
        return position


def refuse_all(chains: list[Chain]) -> float:
    """Append from many threads at once; all must be refused. Return the longest time."""
    waits: list[float] = []

    def write(chain: Chain) -> None:
        begun = time.monotonic()
        with pytest.raises(AuditFailed):
            chain.append(body(0))
        waits.append(time.monotonic() - begun)

    threads = [threading.Thread(target=write, args=(chains[index % len(chains)],)) for index in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(waits) == THREADS
    return max(waits)


def test_stopped_process_that_holds_the_log_refuses_others_in_time(tmp_path: Path) -> None:
    """Nobody waits for it for long, nor one after the other; when it goes on, so does everybody."""
    page = HostPage()
    log = tmp_path / "log"
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with page.lock(AUDIT_LOCK):
            os.write(writing, b"x")
            os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    try:
        os.read(reading, 1)
        os.waitpid(pid, os.WUNTRACED)
        chain = Chain(FileSink(log), page.audit_area(0), lambda: page.place_lock(AUDIT_LOCK), now)
        assert refuse_all([chain]) < 5
        begun = time.monotonic()
        with pytest.raises(AuditFailed):
            chain.append(body(0))
        assert time.monotonic() - begun < 1
    finally:
        os.kill(pid, signal.SIGCONT)
        os.waitpid(pid, 0)
        os.close(reading)
        os.close(writing)
    chain.append(body(1))
    assert verify([log]).records == 1


def test_stopped_process_that_is_killed_frees_the_log(tmp_path: Path) -> None:
    """The kernel frees what it held, and the next record is accepted."""
    page = HostPage()
    pid = os.fork()
    if pid == 0:
        page.place_lock(AUDIT_LOCK).take(1)
        os.kill(os.getpid(), signal.SIGSTOP)
        os._exit(0)
    os.waitpid(pid, os.WUNTRACED)
    chain = Chain(FileSink(tmp_path / "log"), page.audit_area(0), lambda: page.place_lock(AUDIT_LOCK), now)
    with pytest.raises(AuditFailed):
        chain.append(body(0))
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    chain.append(body(1))


@pytest.mark.parametrize("pause_seconds", [0.0, 0.5])
def test_hanging_sink_refuses_all_in_time(pause_seconds: float) -> None:
    """Two seconds of a sink are two seconds for everybody and not for one after the other."""
    page, sink = Page(), HangingSink(2.0, pause_seconds)
    chains = [page.chain(sink) for _ in range(2)]
    assert refuse_all(chains) < 5


def test_device_that_hung_is_tried_by_one_thread_at_a_time() -> None:
    """While it is known to hang, all are refused at once; after the pause one finds out, and a success ends the pause for all."""
    page, sink = Page(), HangingSink(0.2, 0.5)
    chains = [page.chain(sink) for _ in range(2)]
    with pytest.raises(AuditFailed):
        chains[0].append(body(0))
    for _ in range(100):
        with pytest.raises(AuditFailed):
            chains[1].append(body(0))
    assert sink.trials == 1
    time.sleep(0.55)
    refuse_all(chains)
    assert sink.trials == 2
    sink.seconds = 0
    time.sleep(0.55)
    for chain in chains:
        chain.append(body(1))
