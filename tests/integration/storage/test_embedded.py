"""The embedded PostgreSQL: whose it is, who may reach it, and that it never outlives its owner."""

import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.integration.storage.worker import await_true
from vault.errors import StorageUnavailable
from vault.storage.embedded import SYSTEM_USER, Embedded

SOURCE = Path(__file__).resolve().parents[3] / "src"
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")

# A process that starts a server, says so, and waits.
OWNER = """
import sys, time
from pathlib import Path
from vault.storage.embedded import Embedded
embedded = Embedded(Path(sys.argv[1]), throw_away=sys.argv[2] == "throw-away")
print(embedded.start(), flush=True)
sys.stdin.read()
embedded.stop()
"""


@pytest.fixture
def run() -> Iterator[Callable[..., Embedded]]:
    """Return what starts a server, to be stopped at the end."""
    with ExitStack() as stack:

        def start(folder: Path, *, throw_away: bool = True) -> Embedded:
            embedded = Embedded(folder, throw_away=throw_away)
            stack.callback(embedded.stop)
            embedded.start()
            return embedded

        yield start


@pytest.fixture
def own() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Return what starts a process that owns a server."""
    with ExitStack() as stack:

        def start(folder: Path, *prefix: str, kind: str = "keep") -> subprocess.Popen[str]:
            command = [*prefix, sys.executable, "-W", "ignore", "-c", OWNER, str(folder), kind]
            environment = {"PYTHONPATH": str(SOURCE), "PATH": os.defpath, "CANARY": "canary-of-the-owner", "PGPORT": "1"}
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd="/")
            stack.callback(end, process)
            assert process.stdout is not None
            assert "host=" in process.stdout.readline()
            return process

        yield start


def end(process: subprocess.Popen[str]) -> None:
    """Kill a process, if it is not over."""
    process.kill()
    process.communicate()


def postmaster_of(folder: Path) -> psutil.Process:
    """Return the server over a folder."""
    return psutil.Process(int((folder / "postgresql" / "postmaster.pid").read_text().split("\n", 1)[0]))


def query(dsn: str, text: str) -> object:
    """Return the first value of a query."""
    with psycopg.connect(dsn) as connection:
        row = connection.execute(text.encode()).fetchone()
        return row and row[0]


def test_second_owner_is_refused(own: Callable[..., subprocess.Popen[str]], folder: Path) -> None:
    """A folder with a live owner is refused, and its server goes on; stopping who was refused ends nothing."""
    own(folder)
    pid = postmaster_of(folder).pid
    second = Embedded(folder, throw_away=True)
    with pytest.raises(StorageUnavailable, match="in use"):
        second.start()
    second.stop()
    assert postmaster_of(folder).pid == pid
    assert query(second.dsn, "SELECT 1") == 1


def test_server_ends_with_its_killed_owner(own: Callable[..., subprocess.Popen[str]], folder: Path) -> None:
    """Kill -9 of the owner ends the server and all its processes."""
    owner = own(folder)
    postmaster = postmaster_of(folder)
    family = [postmaster, *postmaster.children(recursive=True)]
    assert len(family) > 3
    end(owner)
    assert psutil.wait_procs(family, timeout=10)[1] == []


def test_leftover_of_a_killed_owner_is_taken_over(
    own: Callable[..., subprocess.Popen[str]], run: Callable[..., Embedded], folder: Path
) -> None:
    """A server that hangs, so that it survived its owner, is ended; what it had committed is there."""
    owner = own(folder)
    with psycopg.connect(Embedded(folder).dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    postmaster = postmaster_of(folder)
    family = [postmaster, *postmaster.children(recursive=True)]
    for process in family:
        process.suspend()
    end(owner)
    embedded = run(folder)
    assert query(embedded.dsn, "SELECT n FROM kept") == 7
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in family)


def test_stale_pid_file_is_no_hindrance(run: Callable[..., Embedded], folder: Path) -> None:
    """A pid file left by a power cut, whose number belongs to a live process by now, does not keep the server from starting."""
    run(folder, throw_away=False).stop()
    (folder / "postgresql" / "postmaster.pid").write_text(f"{os.getpid()}\n{folder / 'postgresql'}\n1\n5432\n/tmp\n\n1 1\nready\n")
    assert query(run(folder).dsn, "SELECT 1") == 1
    assert psutil.pid_exists(os.getpid())


def test_cluster_that_was_left_half_way_is_made_anew(run: Callable[..., Embedded], folder: Path) -> None:
    """What a killed creation left is not taken for a cluster."""
    left = folder / "postgresql.new"
    left.mkdir(parents=True)
    (left / "PG_VERSION").write_text("18\n")
    assert query(run(folder).dsn, "SELECT 1") == 1


def test_killed_server_is_started_again(run: Callable[..., Embedded], folder: Path) -> None:
    """After kill -9 of the postmaster, one call brings the server back with all that was committed."""
    embedded = run(folder)
    with psycopg.connect(embedded.dsn) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    embedded.ensure_running()
    killed = postmaster_of(folder)
    killed.kill()
    killed.wait(10)
    embedded.ensure_running()

    def answers() -> bool:
        try:
            return query(embedded.dsn, "SELECT n FROM kept") == 7
        except psycopg.OperationalError:
            return False

    await_true(answers, "the server answers")


def test_throw_away_leaves_nothing(run: Callable[..., Embedded], folder: Path) -> None:
    """A stopped throw-away server leaves neither its folder nor its socket."""
    embedded = run(folder)
    socket_folder = Path(str(psycopg.conninfo.conninfo_to_dict(embedded.dsn)["host"]))
    assert socket_folder.is_dir()
    embedded.stop()
    assert not folder.exists()
    assert not socket_folder.exists()


def test_folder_with_odd_name_works(run: Callable[..., Embedded], folder: Path) -> None:
    """A space, a quote and a backslash in the folder's name are part of the name."""
    assert query(run(folder / "it's a \\ folder").dsn, "SELECT 1") == 1


def test_log_has_no_values(run: Callable[..., Embedded], folder: Path) -> None:
    """A refused statement leaves neither its text nor its values in the server's log."""
    embedded = run(folder)
    with psycopg.connect(embedded.dsn, autocommit=True) as connection:
        connection.execute("CREATE TABLE row (path text PRIMARY KEY, n integer)")
        connection.execute("INSERT INTO row VALUES (%s, 1)", ("canary-path",))
        for parameters in (("canary-path", 1), ("canary-other", "canary-value")):
            with pytest.raises(psycopg.Error):
                connection.execute("INSERT INTO row VALUES (%s, %s::text::integer)", parameters)
    log = (folder / "postgresql.log").read_text()
    assert "duplicate key" in log, "the test must provoke a line"
    assert "canary-path" not in log
    assert "canary-other" not in log
    assert "INSERT" not in log
    # PostgreSQL itself quotes what it cannot convert: so no statement of ours converts text.


def test_processes_show_no_secret(own: Callable[..., subprocess.Popen[str]], folder: Path) -> None:
    """The password is on no command line, and the server inherits nothing of the owner's environment."""
    own(folder)
    password = (folder / "pgpass").read_text().strip().rsplit(":", 1)[1]
    postmaster = postmaster_of(folder)
    shown = str(postmaster.environ()) + str(postmaster.cmdline())
    for process in postmaster.children():
        with suppress(psutil.NoSuchProcess):  # of a connection that has just ended
            shown += str(process.environ()) + str(process.cmdline())
    assert password not in shown
    assert "canary" not in shown


def test_wrong_password_is_refused(run: Callable[..., Embedded], folder: Path) -> None:
    """The socket alone does not let anybody in."""
    dsn = psycopg.conninfo.make_conninfo(run(folder).dsn, passfile="/dev/null", password="guessed")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(dsn)


def test_files_are_closed_to_others(run: Callable[..., Embedded], folder: Path) -> None:
    """Nobody but owner and database user may read or list anything; nothing listens on the network."""
    embedded = run(folder)
    socket_folder = Path(str(psycopg.conninfo.conninfo_to_dict(embedded.dsn)["host"]))
    for path in (folder, *folder.rglob("*"), socket_folder, *socket_folder.iterdir()):
        mode = path.stat().st_mode
        assert not mode & stat.S_IRWXO, path
        assert not mode & (stat.S_IRGRP | stat.S_IWGRP), path
    postmaster = postmaster_of(folder)
    assert [part for process in (postmaster, *postmaster.children()) for part in process.net_connections("inet")] == []


@as_root
def test_only_the_database_user_is_let_through(run: Callable[..., Embedded], folder: Path) -> None:
    """Run as root, the server is another user's; the folders above its data stay closed to everybody else."""
    closed = folder.parent / "closed"
    closed.mkdir(mode=0o700)
    try:
        run(closed / "data")
        assert postmaster_of(closed / "data").username() == SYSTEM_USER
        assert not closed.stat().st_mode & stat.S_IRWXO
        assert not (closed / "data").stat().st_mode & stat.S_IRWXO
        listed = subprocess.run(
            ["setpriv", f"--reuid={NOBODY}", "--clear-groups", "ls", str(closed / "data")], capture_output=True, check=False
        )
        assert listed.returncode != 0
    finally:
        shutil.rmtree(closed / "data", ignore_errors=True)


@as_root
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="needs setpriv")
def test_normal_user_runs_a_server(own: Callable[..., subprocess.Popen[str]], folder: Path) -> None:
    """A user who is not root runs the server as himself, and it ends with him."""
    prefix = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
    reachable = subprocess.run([*prefix, sys.executable, "-c", "import psycopg"], capture_output=True, check=False, cwd="/")
    if reachable.returncode != 0:
        pytest.skip("the interpreter is closed to other users")
    folder.parent.chmod(0o711)
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    owner = own(folder, *prefix)
    postmaster = postmaster_of(folder)
    assert postmaster.uids().real == NOBODY
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert psutil.wait_procs([postmaster], timeout=10)[1] == []
