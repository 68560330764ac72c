"""Audit devices that fail and hang under real workers: refused in time, nothing changed, and well again without a restart."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.integration.server.fleet import Connection, Fleet, running_fleet
from vault.audit.verify import verify
from vault.storage.embedded import Embedded

SECONDS_MAX = 5.0
BACK_SECONDS_MAX = 15.0
WORKERS = 2


@dataclass(frozen=True)
class Watched:
    """A server, and connections to each of its workers that were opened while its device was well."""

    fleet: Fleet
    groups: list[list[Connection]]

    def send_all(self, key: str, status: int = 204) -> float:
        """Write over three connections of every worker at once; all must answer the same. Return the longest time."""
        found: list[tuple[int, float]] = []

        def write(connection: Connection, number: int) -> None:
            begun = time.monotonic()
            answer = connection.call("PUT", f"kv/{key}-{number}", {"k": "v"}, self.fleet.root)
            found.append((answer.status, time.monotonic() - begun))

        connections = [connection for group in self.groups for connection in group[:3]]
        threads = [threading.Thread(target=write, args=(connection, number)) for number, connection in enumerate(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [seen for seen, _ in found] == [status] * 3 * WORKERS, found
        return max(seconds for _, seconds in found)

    def require_refused(self, key: str) -> None:
        """All are refused in time."""
        assert self.send_all(key, 500) < SECONDS_MAX

    def require_well(self, key: str) -> None:
        """Every worker takes requests again, soon and without a restart, and finds nothing of those that were refused."""
        deadline = time.monotonic() + BACK_SECONDS_MAX
        for connection in (connection for group in self.groups for connection in group):
            while connection.call("GET", "auth/token/lookup-self", token=self.fleet.root).status != 200:
                assert time.monotonic() < deadline, self.fleet.log_tail()
                time.sleep(0.05)
        listing = self.groups[0][0].call("LIST", "kv", token=self.fleet.root)
        assert listing.status == 200
        assert not [name for name in listing.data["keys"] if name.startswith(f"{key}-")]


@contextmanager
def watched(stanzas: Callable[[Path], str] | None = None) -> Iterator[Watched]:
    """Run a server with some secrets in it."""
    with running_fleet(WORKERS, stanzas) as fleet:
        assert fleet.once("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "1"}}, fleet.root).status == 204
        with fleet.connected(3) as groups:
            made = Watched(fleet, groups)
            made.send_all("well")
            yield made


@pytest.fixture(scope="module")
def table_fleet() -> Iterator[Watched]:
    """Run a server whose only device is the table."""
    with watched(lambda _: 'audit "postgres" "table" {}\n') as running:
        yield running


@pytest.fixture(scope="module")
def file_fleet() -> Iterator[Watched]:
    """Run a server whose only device is a file."""
    with watched() as running:
        yield running


@contextmanager
def locked(fleet: Fleet) -> Iterator[None]:
    """Keep everybody else from the audit table."""
    with psycopg.connect(Embedded(fleet.folder / "data").dsn) as blocker:
        blocker.execute("LOCK TABLE vault.audit_record IN ACCESS EXCLUSIVE MODE")
        yield
        blocker.rollback()


# -- the table -------------------------------------------------------------------------------------------------------------------


def test_locked_table_refuses_in_time_and_recovers(table_fleet: Watched) -> None:
    """Six requests of two workers wait for one another's waits no more than for the table; nothing is stored."""
    with locked(table_fleet.fleet):
        table_fleet.require_refused("locked")
        table_fleet.require_refused("locked")
    table_fleet.require_well("locked")


def test_table_holds_a_log_of_this_start(table_fleet: Watched, tmp_path: Path) -> None:
    """All workers write one chain, under a role that may only add to it; the records verify as those of a file."""
    with psycopg.connect(Embedded(table_fleet.fleet.folder / "data").application_dsn, autocommit=True) as connection:
        logs = [row[0] for row in connection.execute("SELECT log FROM vault.audit_log ORDER BY begun_at").fetchall()]
        rows = connection.execute("SELECT line FROM vault.audit_record WHERE log = %s ORDER BY seq", (logs[-1],)).fetchall()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM vault.audit_record")
    (tmp_path / "log").write_bytes(b"".join(row[0] + b"\n" for row in rows))
    report = verify([tmp_path / "log"])
    assert report.ok
    assert report.records == len(rows) > 6
    with psycopg.connect(Embedded(table_fleet.fleet.folder / "data").dsn, autocommit=True) as connection:
        found = connection.execute("SELECT DISTINCT usename::text FROM pg_stat_activity WHERE application_name = 'health-vault'").fetchall()
    assert found == [("vault_application",)]


def test_database_that_hangs_is_storage_and_device_at_once(table_fleet: Watched) -> None:
    """PostgreSQL that is stopped lets requests wait for the storage and for the table: for both no more than 5 s."""
    (postmaster,) = table_fleet.fleet.postgres_pids()
    stopped = [postmaster, *(child.pid for child in psutil.Process(postmaster).children(recursive=True))]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    try:
        table_fleet.require_refused("stopped")
    finally:
        for pid in stopped:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    table_fleet.require_well("stopped")


def test_second_device_is_not_slowed_by_one_that_hangs(table_fleet: Watched) -> None:
    """A file stands in for a table that hangs: one request waits for it now and then, the others do not."""
    fleet = table_fleet.fleet
    assert fleet.once("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": "second.log"}}, fleet.root).status == 204
    with locked(fleet):
        waits = []
        begun = time.monotonic()
        while time.monotonic() - begun < 4:
            for group in table_fleet.groups:
                sent = time.monotonic()
                assert group[0].call("PUT", "kv/a", {"k": "v"}, fleet.root).status == 204
                waits.append(time.monotonic() - sent)
    waits.sort()
    assert waits[-1] < SECONDS_MAX
    assert waits[len(waits) // 2] < 0.5
    assert len(waits) > 40
    assert fleet.once("DELETE", "sys/audit/file", token=fleet.root).status == 204
    table_fleet.require_well("second")


# -- the file --------------------------------------------------------------------------------------------------------------------


def _break_fifo(log: Path) -> Callable[[], None]:
    return _replaced(log, lambda: os.mkfifo(log))


def _break_folder(log: Path) -> Callable[[], None]:
    return _replaced(log, log.mkdir)


def _break_link(log: Path) -> Callable[[], None]:
    return _replaced(log, lambda: log.symlink_to("/dev/null"))


def _break_copy(log: Path) -> Callable[[], None]:
    return _replaced(log, lambda: log.write_text('{"type":"forged"}\n'))


def _replaced(log: Path, make: Callable[[], object]) -> Callable[[], None]:
    kept = log.with_name("kept")
    log.rename(kept)
    make()

    def mend() -> None:
        if log.is_dir() and not log.is_symlink():
            log.rmdir()
        else:
            log.unlink()
        kept.rename(log)

    return mend


def _break_mode(log: Path) -> Callable[[], None]:
    log.chmod(0)
    return lambda: log.chmod(0o600)


def _break_removed(log: Path) -> Callable[[], None]:
    log.unlink()
    return log.touch


def _break_parent(log: Path) -> Callable[[], None]:
    kept = log.parent.with_name("gone")
    log.parent.rename(kept)

    def mend() -> None:
        kept.rename(log.parent)

    return mend


def _break_emptied(log: Path) -> Callable[[], None]:
    os.truncate(log, 0)

    def mend() -> None:
        log.rename(log.with_name("emptied"))

    return mend


@pytest.mark.parametrize(
    "harm", [_break_fifo, _break_folder, _break_link, _break_copy, _break_mode, _break_removed, _break_parent, _break_emptied]
)
def test_broken_file_refuses_in_time_and_recovers(file_fleet: Watched, harm: Callable[[Path], Callable[[], None]]) -> None:
    """Whatever stands at the path, or nothing: every worker refuses, changes nothing, and goes on when it is mended."""
    name = harm.__name__.removeprefix("_break_")
    mend = harm(file_fleet.fleet.audit_file)
    try:
        file_fleet.require_refused(name)
    finally:
        mend()
    file_fleet.require_well(name)


# -- sockets ---------------------------------------------------------------------------------------------------------------------


class Receiver:
    """Reads from a TCP or UNIX datagram socket until it is told to stop reading, or to go."""

    def __init__(self, kind: str, place: str) -> None:
        self._stream = kind == "tcp"
        self._place = place
        self.received: list[bytes] = []
        self._reading = threading.Event()
        self._reading.set()
        self._made: list[socket.socket] = []
        self.appear()

    def appear(self) -> None:
        """Listen."""
        if self._stream:
            host, port = self._place.split(":")
            made = socket.create_server((host, int(port)))
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        else:
            with suppress(FileNotFoundError):
                Path(self._place).unlink()
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            made.bind(self._place)
        self._made = [made]
        threading.Thread(target=self._accept if self._stream else self._read, args=(made,), daemon=True).start()

    def _accept(self, listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection, _ = listening.accept()
                self._made.append(connection)
                threading.Thread(target=self._read, args=(connection,), daemon=True).start()

    def _read(self, source: socket.socket) -> None:
        with suppress(OSError):
            while True:
                self._reading.wait()
                piece = source.recv(65536)
                if not piece:
                    return
                self.received.append(piece)

    def hang(self) -> None:
        """Stop reading."""
        self._reading.clear()

    def go_on(self) -> None:
        """Read again."""
        self._reading.set()

    def vanish(self) -> None:
        """Close everything."""
        self._reading.set()
        for one in self._made:
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        if not self._stream:
            Path(self._place).unlink(missing_ok=True)


@pytest.mark.parametrize("kind", ["tcp", "syslog"])
def test_receiver_that_vanishes_or_hangs(kind: str) -> None:
    """A socket that is gone or that nobody reads, and a syslog that is stopped, refuse in time; back again, the server goes on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    receivers: list[Receiver] = []

    def stanzas(folder: Path) -> str:
        place = f"127.0.0.1:{port}" if kind == "tcp" else str(folder / "log")
        receivers.append(Receiver(kind, place))
        device = "socket" if kind == "tcp" else "syslog"
        return f'audit "{device}" "remote" {{\n  options = {{ address = "{place}", write_timeout = "1s" }}\n}}\n'

    with watched(stanzas) as running:
        receivers[0].vanish()
        running.require_refused("vanished")
        receivers[0].appear()
        running.require_well("vanished")
        receivers[0].hang()
        _fill(running, members=10_000 if kind == "tcp" else 1)
        running.require_refused("hung")
        receivers[0].go_on()
        running.require_well("hung")
    receivers[0].vanish()
    first = b"".join(receivers[0].received).partition(b'{"time":"')[2]
    assert b'"seq":1,' in first.partition(b'{"time":"')[0]


def _fill(running: Watched, members: int) -> None:
    """Send until the device takes no more, on all workers."""
    for size in (members, 1):
        refused = 0
        deadline = time.monotonic() + 60
        while refused < 3 * WORKERS:
            assert time.monotonic() < deadline
            fields = {f"k{index}": "" for index in range(size)}
            statuses = [group[0].call("PUT", "kv/fill", fields, running.fleet.root).status for group in running.groups]
            refused = refused + WORKERS if statuses == [500] * WORKERS else 0
            time.sleep(0.2 if refused else 0)  # what the kernel still moves from buffer to buffer
