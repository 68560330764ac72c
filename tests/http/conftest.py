"""One real server, our worker and all, over a fake core."""

import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import pytest

from tests.certificates import Authority

START_SECONDS_MAX = 30.0
WAIT_SECONDS_MAX = 20.0
WORKERS = 2
THREADS = 4

# As in the settings of pytest: ldap3 imports two names of pyasn1 by their older spelling.
WARNINGS = ("-W", "error::DeprecationWarning", "-W", "ignore:tagMap is deprecated", "-W", "ignore:typeMap is deprecated")


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
    folder: Path
    file: Path
    tls: ssl.SSLContext | None = None

    def connect(self) -> socket.socket:
        """Open a connection."""
        connection = socket.create_connection(("127.0.0.1", self.port))
        connection.settimeout(WAIT_SECONDS_MAX)
        return connection if self.tls is None else self.tls.wrap_socket(connection, server_hostname="127.0.0.1")

    def over(self, port: int, tls: ssl.SSLContext | None = None) -> Self:
        """Return the same server as seen from another of its listeners."""
        return replace(self, port=port, tls=tls)

    def exchange(self, data: bytes) -> Reply:
        """Send bytes, say that there are no more, and read to the end."""
        with self.connect() as connection:
            connection.sendall(data)
            end_sending(connection)
            return read_all(connection)

    def configure(self, **values: Any) -> None:
        """Write other settings, for the next reload."""
        file = self.folder / "settings.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | values))

    def log(self) -> str:
        """Return what the server has logged."""
        return (self.folder / "log").read_text()

    def seen(self) -> list[str]:
        """Return what the core saw so far."""
        return self.file.read_text().splitlines()

    def workers(self) -> set[int]:
        """Return the processes that serve now."""
        listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False).stdout
        return {int(pid) for pid in listed.split()}


def end_sending(connection: socket.socket) -> None:
    """Say that nothing more comes; below TLS, whose own words for it would end both directions."""
    with socket.socket(fileno=os.dup(connection.fileno())) as below:
        below.shutdown(socket.SHUT_WR)


def trust(file: str, **versions: ssl.TLSVersion) -> ssl.SSLContext:
    """Return what a client of servers with certificates of this authority uses."""
    context = ssl.create_default_context(cafile=file)
    for name, version in versions.items():
        setattr(context, name, version)
    return context


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
def running(
    folder: Path,
    *,
    workers: int = WORKERS,
    threads: int = THREADS,
    listeners: Sequence[dict[str, Any]] = ({},),
    wrapper: Sequence[str] = (),
    **settings: Any,
) -> Iterator[Running]:
    """Run a server; its listeners get ports where they have none."""
    placed = [{"address": f"127.0.0.1:{free_port()}", **listener} for listener in listeners]
    seen, spec = folder / "seen", folder / "settings.json"
    seen.touch()
    spec.write_text(json.dumps({"workers": workers, "threads": threads, "listeners": placed, **settings}))
    with (folder / "log").open("ab") as sink:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(("src", "."))}
        command = [*wrapper, sys.executable, *WARNINGS, "-m", "tests.http.fake_server", str(spec), str(seen)]
        process = subprocess.Popen(command, stdout=sink, stderr=sink, start_new_session=True, env=environment)
    server = Running(port=int(placed[0]["address"].rpartition(":")[2]), process=process, folder=folder, file=seen)
    try:
        await_true(lambda: process.poll() is not None or sum(line.startswith("start") for line in server.seen()) >= workers)
        assert process.poll() is None, server.log()
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait(WAIT_SECONDS_MAX)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def find_port(server: Running, number: int) -> int:
    """Return the port of one of a server's listeners."""
    listeners = json.loads((server.folder / "settings.json").read_text())["listeners"]
    return int(listeners[number]["address"].rpartition(":")[2])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Return an authority that clients trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[dict[str, Running]]:
    """Give all tests of a module one server with two listeners."""
    pair = authority.issue("server")
    listeners: list[dict[str, Any]] = [{}, {"tls": {"cert_file": pair.cert_file, "key_file": pair.key_file}}]
    with running(tmp_path_factory.mktemp("server"), listeners=listeners) as found:
        yield {"http": found, "https": found.over(find_port(found, 1), trust(authority.file))}


@pytest.fixture(params=["http", "https"])
def server(request: pytest.FixtureRequest, servers: dict[str, Running]) -> Running:
    """Give a test the server by each of its listeners."""
    return servers[request.param]


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Running]:
    """Give a test a server that it may harm."""
    with running(tmp_path) as found:
        yield found
