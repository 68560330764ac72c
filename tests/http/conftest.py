"""One real server, our worker and all, over a fake core."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

START_SECONDS_MAX = 30.0
WAIT_SECONDS_MAX = 20.0
WORKERS = 2
THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Everything that came back over one connection."""

    data: bytes
    closed: bool

    @property
    def statuses(self) -> list[int]:
        """The status of each answer."""
        return [int(part[:3]) for part in self.data.split(b"HTTP/1.1 ")[1:]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The server under test."""

    port: int
    process: subprocess.Popen[bytes]
    file: Path

    def connect(self) -> socket.socket:
        """Open a connection."""
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(WAIT_SECONDS_MAX)
        return connection

    def exchange(self, data: bytes) -> Reply:
        """Send bytes, say that there are no more, and read to the end."""
        with self.connect() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            return read_all(connection)

    def seen(self) -> list[str]:
        """Return what the core saw so far."""
        return self.file.read_text().splitlines()

    def workers(self) -> set[int]:
        """Return the processes that serve now."""
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False).stdout
        return {int(pid) for pid in listed.split()}


def read_all(connection: socket.socket) -> Reply:
    """Read until the server closes."""
    data = b""
    try:
        while chunk := connection.recv(65_536):
            data += chunk
    except (ConnectionResetError, TimeoutError) as error:
        return Reply(data=data, closed=isinstance(error, ConnectionResetError))
    return Reply(data=data, closed=True)


def read_answer(connection: socket.socket) -> bytes:
    """Read one answer of known length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _receive(connection)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += _receive(connection)
    return head + b"\r\n\r\n" + body


def _receive(connection: socket.socket) -> bytes:
    chunk = connection.recv(65_536)
    if not chunk:
        raise ConnectionError("closed")
    return chunk


def await_true(condition: Callable[[], bool]) -> None:
    """Wait until something holds; fails when it never does."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while not condition():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.05)


def free_port() -> int:
    """Return a port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(folder: Path, *, workers: int = WORKERS, threads: int = THREADS) -> Iterator[Running]:
    """Run a server."""
    port, seen = free_port(), folder / "seen"
    seen.touch()
    command = [sys.executable, "-m", "tests.http.fake_server", f"127.0.0.1:{port}", str(workers), str(threads), str(seen)]
    with (folder / "log").open("wb") as sink:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(("src", "."))}
        process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True, env=environment)
    server = Running(port=port, process=process, file=seen)
    try:
        await_true(lambda: process.poll() is not None or sum(line.startswith("start") for line in server.seen()) >= workers)
        assert process.poll() is None, (folder / "log").read_text()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(WAIT_SECONDS_MAX)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Give all tests of a module one server."""
    with running(tmp_path_factory.mktemp("server")) as found:
        yield found


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Running]:
    """Give a test a server that it may harm."""
    with running(tmp_path) as found:
        yield found
