"""The server process: gunicorn's arbiter with what must exist before the fork, and what it watches afterwards.

The arbiter never serves and holds no database connection. It owns the page of memory that the workers share and, where PostgreSQL is
embedded, sees to it that PostgreSQL runs.
"""

import ctypes
import gc
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import structlog
from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger

from api.app import App, create_app
from api.balance import Balance
from api.entrance import Entrance, make_entrances
from api.reload import Reloader
from api.scratch import discard, scratch_folder
from api.vault.sink import log_unexpected
from api.worker import Worker
from vault import config, limits, log
from vault.bootstrap import DevServer, Service, build
from vault.config_file import WrongSetting
from vault.host import HostPage
from vault.settings import Settings
from vault.storage.capacity import choose_limit
from vault.storage.embedded import Embedded

_PR_SET_DUMPABLE = 4
_GC_THRESHOLDS = (20_000, 20, 50)  # a request makes few cycles; looking for them often costs more than it frees
_log = structlog.get_logger(__name__)


class QuietLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """gunicorn's messages among our own."""

    def setup(self, cfg: Any) -> None:
        """Leave handlers and form to the root logger."""
        self.cfg = cfg
        self.error_log.propagate = True
        self.error_log.handlers[:] = []

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """Log nothing: the sink does, without query strings."""

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log what gunicorn tells, but for its addresses: it takes every listener for plain HTTP."""
        if not msg.startswith("Listening at"):
            super().info(msg, *args, **kwargs)


class Server(Arbiter):  # type: ignore[misc]  # gunicorn has no types
    """The arbiter."""

    app: "Application"
    stopping = False
    hurried = False

    def start(self) -> None:
        """Open the listeners and say where they are."""
        super().start()
        schemes = ("https" if entrance.listener.tls else "http" for entrance in self.app.entrances)
        urls = (f"{scheme}://{str(opened).partition('://')[2]}" for scheme, opened in zip(schemes, self.LISTENERS, strict=True))
        self.log.info("listening at: %s (%s)", ",".join(urls), self.pid)

    def signal(self, sig: int, frame: Any) -> None:
        """Take a signal for later; the second order to stop means at once."""
        if sig in (signal.SIGTERM, signal.SIGINT):
            self.hurried = self.hurried or self.stopping
            self.stopping = True
            sig = signal.SIGINT if self.hurried else sig
        super().signal(sig, frame)

    def stop(self, graceful: bool = True) -> None:
        """Stop the workers."""
        if not graceful or self.hurried:
            self.cfg.set("graceful_timeout", limits.QUIT_SECONDS_MAX)
        super().stop(graceful and not self.hurried)

    def handle_hup(self) -> None:
        """Read the settings anew, here and in every worker; nobody is replaced."""
        self.app.reload_settings()
        self.app.reloader.announce()

    def murder_workers(self) -> None:
        """End workers that hang; once a second, also see to PostgreSQL."""
        super().murder_workers()
        self.app.supervise()


class Application(BaseApplication):  # type: ignore[misc]  # gunicorn has no types
    """Our settings as gunicorn's, and what its workers find on their `app`."""

    def __init__(
        self,
        settings: Settings,
        service: Service,
        embedded: Embedded | None,
        entrances: Sequence[Entrance],
        read: Callable[[], Settings],
        *,
        scratch: Path | None = None,
    ) -> None:
        self.settings = settings
        self.service = service
        self.entrances = entrances
        self.reloader = Reloader(read, entrances, service)
        self.balance = Balance()
        service.operations.count_connections = self.balance.count_all
        self._embedded = embedded
        self._scratch = scratch
        self._arbiter_pid = os.getpid()
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults."""
        for name, value in _gunicorn_settings(self.settings).items():
            self.cfg.set(name, value)
        self.cfg.set("child_exit", self._worker_ended)

    def load(self) -> App:
        """Return the WSGI application."""
        return create_app(self.service.core, self.service.gate, log_access=self.settings.log_level == "debug")

    def run(self) -> None:
        """Serve until stopped."""
        Server(self).run()

    def supervise(self) -> None:
        """Start PostgreSQL again if it has died."""
        if self._embedded is not None:
            try:
                self._embedded.ensure_running()
            except Exception as error:  # noqa: BLE001 - the arbiter must survive whatever is wrong with PostgreSQL
                log_unexpected(error)

    def tidy(self) -> None:
        """Delete, for an arbiter that was killed, what it would have deleted."""
        if self._scratch is not None:
            discard(self._scratch)

    def reload_settings(self) -> None:
        """Read the settings anew, for this process."""
        self.reloader.apply(self.wsgi().sink)

    def accepts_head(self, environ: Mapping[str, Any]) -> bool:
        """Return whether the body of a request is worth waiting for."""
        return bool(self.wsgi().accepts_head(environ))

    def refuse_malformed(self, client: tuple[str, int]) -> None:
        """Put on record what was not HTTP."""
        self.wsgi().sink.refuse_malformed(*client)

    def _worker_ended(self, _arbiter: Server, worker: Worker) -> None:
        self.balance.remove(worker.age)
        self.service.worker_died()


def _gunicorn_settings(settings: Settings) -> dict[str, Any]:
    return {
        "bind": [str(listener.address) for listener in settings.listeners],
        "workers": settings.workers,
        "threads": settings.threads,
        "worker_class": Worker,
        "worker_connections": limits.CONNECTIONS_MAX,
        "preload_app": True,
        "keepalive": limits.KEEPALIVE_SECONDS,
        "graceful_timeout": limits.GRACEFUL_SECONDS_MAX,
        "limit_request_field_size": limits.HEADER_BYTES_MAX,
        "limit_request_fields": limits.HEADERS_MAX,
        # Such methods get Vault's 405 and an audit record.
        "permit_unconventional_http_method": True,
        "forwarded_allow_ips": "",
        "control_socket_disable": True,
        "pidfile": settings.pid_file or None,
        "logger_class": QuietLogger,
        "proc_name": "health-vault",
    }


def protect_memory() -> None:
    """Keep keys out of core dumps, and out of reach of other processes of the same user."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@contextmanager
def _postgresql(settings: Settings) -> Iterator[Embedded | None]:
    """Run PostgreSQL, if it is ours to run, as long as the arbiter lives."""
    if settings.storage.kind == "postgresql":
        yield None
        return
    tables = sum(device.kind == "postgres" for device in settings.audit)
    connections = choose_limit(settings.workers, settings.threads, tables)
    embedded = Embedded(Path(settings.storage.path), throw_away=settings.storage.kind == "inmem", connections=connections)
    arbiter = os.getpid()
    embedded.start()
    try:
        yield embedded
    finally:
        if os.getpid() == arbiter:  # workers are forked inside this block, and leave it, too
            embedded.stop()


@contextmanager
def _scratch(settings: Settings) -> Iterator[Path | None]:
    if settings.storage.kind != "inmem":
        yield None
        return
    with scratch_folder() as folder:
        yield folder


@contextmanager
def _host_page(settings: Settings) -> Iterator[HostPage]:
    """Make the page that the workers share; wipe it when the arbiter ends."""
    page, arbiter = HostPage(), os.getpid()
    if not (page.locked_in_memory or settings.disable_mlock):
        _log.warning("the system does not let us lock memory: the root key may be written to swap (allow 16 KiB, or set disable_mlock)")
    try:
        yield page
    finally:
        if os.getpid() == arbiter:
            page.erase()


def _require_folders(settings: Settings) -> None:
    """Raise WrongSetting where a file could not be written: gunicorn would say so in its own words, and only at the very end."""
    for name in ("log_file", "pid_file"):
        path = getattr(settings, name)
        if path and not os.access(Path(path).parent, os.W_OK | os.X_OK):
            raise WrongSetting(f"{name} {path}: expected a path in a folder that exists and can be written")


def serve(settings: Settings, read: Callable[[], Settings]) -> NoReturn:
    """Run the server until it is stopped; `read` returns the settings as they are when it is called. Raises WrongSetting."""
    os.umask(0o077)  # before the first file is made
    _require_folders(settings)
    log.configure(settings)
    entrances = make_entrances(settings)
    for warning in settings.warnings:
        _log.warning(warning)
    protect_memory()
    with _scratch(settings) as scratch:
        settle = partial(config.settle, scratch=str(scratch or ""))
        settled = settle(settings)
        with _postgresql(settled) as embedded, _host_page(settled) as page:
            service = build(settled, page)
            dev = service.prepare()
            if dev is not None:
                _print_banner(settled, dev)
            gc.freeze()
            gc.set_threshold(*_GC_THRESHOLDS)
            arbiter = os.getpid()
            try:
                Application(settled, service, embedded, entrances, lambda: settle(read()), scratch=scratch).run()
            finally:
                if os.getpid() == arbiter:  # workers leave this block, too
                    service.retire()
    sys.exit(0)


def check_settings(settings: Settings) -> None:
    """Make what a server makes of its settings before it opens anything; raises WrongSetting."""
    _require_folders(settings)
    make_entrances(settings)
    build(config.settle(settings, "/"), HostPage())


def _print_banner(settings: Settings, dev: DevServer) -> None:
    """Tell the developer how to get in; the only place where secrets are printed."""
    device = settings.audit[0].options.get("file_path", "")
    sys.stdout.write(
        "\nWARNING! dev mode: everything is thrown away at the end, and the root token is shown below.\n\n"
        f"    $ export VAULT_ADDR='{settings.listeners[0].url}'\n"
        f"    $ export VAULT_TOKEN='{dev.root_token.reveal()}'\n\n"
        f"Unseal Key: {dev.unseal_key}\n"
        f"Root Token: {dev.root_token.reveal()}\n"
        f"Audit file: {device}\n\n"
        "Development mode should NOT be used in production installations!\n\n"
    )
    sys.stdout.flush()
