"""A real server with several workers, driven over keep-alive connections of which the test knows who serves them.

Surprise: which worker serves a connection is read from the operating system, not from the server, so a test can prove that
every worker was reached.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

READY_SECONDS_MAX = 40.0
STOP_SECONDS_MAX = 15.0
CONNECTIONS_MAX = 200
BINARY = Path(sys.executable).parent / "health-vault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A status and a parsed body (None when empty)."""

    status: int
    body: Any

    @property
    def data(self) -> Any:
        """Return the data of the envelope."""
        return self.body["data"]


class Connection:
    """One keep-alive connection, so one worker as long as it lives."""

    def __init__(self, port: int) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._http.connect()
        assert self._http.sock is not None
        self._http.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local_port = self._http.sock.getsockname()[1]

    def call(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        """Send a request and return its answer."""
        headers = {"X-Vault-Token": token} if token else {}
        payload = None if body is None else json.dumps(body).encode()
        if payload is not None:
            headers["Content-Type"] = "application/json"
        self._http.request(method, f"/v1/{path}", body=payload, headers=headers)
        response = self._http.getresponse()
        text = response.read()
        return Answer(status=response.status, body=json.loads(text) if text else None)

    def preflight(self, path: str, origin: str) -> tuple[int, str]:
        """Ask as a browser does on behalf of a page; return the status and the origin that is allowed."""
        self._http.request("OPTIONS", f"/v1/{path}", headers={"Origin": origin, "Access-Control-Request-Method": "GET"})
        response = self._http.getresponse()
        response.read()
        return response.status, response.headers.get("Access-Control-Allow-Origin", "")

    def close(self) -> None:
        """Close the connection."""
        self._http.close()


@dataclass(slots=True, kw_only=True)
class Fleet:
    """A server process, its workers and its database."""

    folder: Path
    port: int
    workers: int
    process: subprocess.Popen[bytes] | None = None
    keys: tuple[str, ...] = ()
    root: str = ""
    environment: dict[str, str] = field(default_factory=dict)
    connection_url: str = ""  # of a PostgreSQL that is not the server's own
    audit: str = ""  # stanzas in place of the one device

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the server over its data folder and wait until it answers."""
        log = (self.folder / "server.log").open("ab")
        command = [str(BINARY), "server", f"-config={self.config()}", "--workers", str(self.workers)]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "BAO_", "HEALTH_VAULT_"))}
        self.process = subprocess.Popen(
            command, stdout=log, stderr=log, cwd=self.folder, env=kept | self.environment, start_new_session=True
        )
        log.close()
        self.await_status({200, 501, 503})

    def config(self) -> Path:
        """Write and return the configuration file."""
        config = self.folder / "server.hcl"
        storage = f'storage "embedded" {{\n  path = "{self.folder / "data"}"\n}}\n'
        if self.connection_url:
            storage = f'storage "postgresql" {{\n  connection_url = "{self.connection_url}"\n}}\n'
        config.write_text(
            f'listener "tcp" {{\n  address = "127.0.0.1:{self.port}"\n  tls_disable = true\n}}\n{storage}'
            f'audit_dir = "{self.audit_file.parent}"\n'
            + (self.audit or f'audit "file" "file" {{\n  options = {{ file_path = "{self.audit_file}" }}\n}}\n')
        )
        return config

    @property
    def audit_file(self) -> Path:
        """Return where the audit records go."""
        return self.folder / "audit" / "audit.log"

    def await_status(self, wanted: set[int]) -> int:
        """Wait until sys/health answers one of the wanted codes."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        seen: object = None
        while time.monotonic() < deadline:
            assert self.process is None or self.process.poll() is None, f"server ended:\n{self.log_tail()}"
            with suppress(OSError, http.client.HTTPException):
                seen = self.once("GET", "sys/health").status
                if seen in wanted:
                    return int(str(seen))
            time.sleep(0.05)
        raise AssertionError(f"health is {seen}, not in {wanted}:\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Return the end of the server's log."""
        return (self.folder / "server.log").read_text(errors="replace")[-3000:]

    def initialize(self, shares: int = 5, threshold: int = 3) -> None:
        """Initialise and unseal."""
        made = self.once("PUT", "sys/init", {"secret_shares": shares, "secret_threshold": threshold}).body
        self.keys, self.root = tuple(made["keys_base64"][:threshold]), made["root_token"]
        self.unseal()

    def unseal(self) -> None:
        """Give enough shares, each over a connection of its own."""
        for key in self.keys:
            answer = self.once("PUT", "sys/unseal", {"key": key})
            assert answer.status == 200, (answer, self.log_tail())
        self.await_status({200})

    def once(self, method: str, path: str, body: Any = None, token: str | None = None) -> Answer:
        """Send one request over a fresh connection."""
        connection = Connection(self.port)
        try:
            return connection.call(method, path, body, token)
        finally:
            connection.close()

    def stop(self) -> None:
        """Stop the server and whatever it left of its session."""
        if self.process is None:
            return
        left = [self.process.pid, *self.postgres_pids()]
        if self.process.poll() is None:
            self.process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=STOP_SECONDS_MAX)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for pid in left[1:]:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process = None

    # -- processes ----------------------------------------------------------------------------------------------------

    @property
    def arbiter_pid(self) -> int:
        """Return the pid of the arbiter."""
        assert self.process is not None
        return self.process.pid

    def postgres_pids(self) -> list[int]:
        """Return the postmaster over this fleet's data folder, if it runs."""
        try:
            pid = int(next(iter(self.folder.glob("data/**/postmaster.pid"))).read_text().split()[0])
        except (StopIteration, OSError, ValueError, IndexError):
            return []
        return [pid] if psutil.pid_exists(pid) else []

    def worker_pids(self) -> list[int]:
        """Return the pids of the workers: children of the arbiter that hold the listening socket."""
        found = []
        for child in psutil.Process(self.arbiter_pid).children():
            with suppress(psutil.Error):
                if any(part.status == psutil.CONN_LISTEN and part.laddr.port == self.port for part in child.net_connections("tcp4")):
                    found.append(child.pid)
        return sorted(found)

    def serving(self) -> dict[int, int]:
        """Return which worker serves which client port."""
        served = {}
        for pid in self.worker_pids():
            with suppress(psutil.Error):
                for part in psutil.Process(pid).net_connections("tcp4"):
                    if part.status == psutil.CONN_ESTABLISHED and part.laddr.port == self.port:
                        served[part.raddr.port] = pid
        return served

    @contextmanager
    def connected(self, each: int = 4) -> Iterator[list[list[Connection]]]:
        """Hold at least `each` live connections to every worker; one list for each worker."""
        connections: list[Connection] = []
        try:
            yield list(self._connect_all(each, connections).values())
        finally:
            for connection in connections:
                connection.close()

    def _connect_all(self, each: int, connections: list[Connection]) -> dict[int, list[Connection]]:
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and len(connections) < CONNECTIONS_MAX:
            for _ in range(each * self.workers):
                connection = Connection(self.port)
                connection.call("GET", "sys/health")
                connections.append(connection)
            owners = self.serving()
            by_worker: dict[int, list[Connection]] = {pid: [] for pid in self.worker_pids()}
            for connection in connections:
                pid = owners.get(connection.local_port)
                if pid is not None:
                    by_worker[pid].append(connection)
            if len(by_worker) == self.workers and all(len(group) >= each for group in by_worker.values()):
                return by_worker
        raise AssertionError("could not reach every worker")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running_fleet(workers: int, audit: Callable[[Path], str] | None = None) -> Iterator[Fleet]:
    """Run an initialised, unsealed server; stopped on failure too. `audit` returns the audit stanzas of a server in a folder.

    Its folder is not one of pytest's: every session that starts closes the folder above them to all but its own user, the user
    of a running database included.
    """
    with tempfile.TemporaryDirectory(prefix="health-vault-fleet-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "audit").mkdir()
        fleet = Fleet(folder=folder, port=free_port(), workers=workers, audit=audit(folder) if audit else "")
        try:
            fleet.start()
            fleet.initialize()
            yield fleet
        finally:
            fleet.stop()
