"""Puts together what operators look at and limit: metrics, requests in flight, quotas, foreign origins. Built before the fork."""

from collections.abc import Callable
from dataclasses import dataclass

import structlog

from vault.audit.trail import Broker
from vault.clock import Clock
from vault.cors import Cors
from vault.errors import VaultError
from vault.expiry import ExpiryWorker
from vault.gate import Gate
from vault.host import WINDOW_LOCK, HostPage
from vault.leases import PREFIX as LEASES
from vault.log_levels import LogLevels
from vault.logical.backend import Path
from vault.modules.auth.tokens import ROWS as TOKENS
from vault.modules.system.cors import CorsPaths
from vault.modules.system.loggers import LoggerPaths
from vault.modules.system.metrics import MetricsPaths
from vault.modules.system.quotas import QuotaPaths
from vault.modules.system.state import StatePaths
from vault.modules.system.ui_headers import ui_header_paths
from vault.mounts import Mounts
from vault.quota import Quotas
from vault.settings import Settings
from vault.storage.postgres import Postgres
from vault.storage.transaction import Store
from vault.telemetry.collector import Facts, Metrics
from vault.telemetry.layout import Number
from vault.telemetry.observer import Observer, Shared
from vault.telemetry.sampler import Sampler
from vault.windows import Windows

COUNT_SECONDS = 10.0  # counting tokens and leases reads their whole index: a scrape may come every second from many sides
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """What the metrics are asked of."""

    is_open: Callable[[], bool]
    store: Store
    mounts: Mounts
    broker: Broker
    physical: Postgres
    recount: Callable[[], None]


class Operations:
    """The parts of one host. What they ask of the rest comes with `connect`."""

    def __init__(self, settings: Settings, page: HostPage, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.observer = Observer(Shared(settings.threads, page), clock)
        self.quotas = Quotas(Windows(lambda group: page.lock(WINDOW_LOCK + group)), clock)
        self._cors = Cors(settings.cors_allowed_origins)
        self._levels = LogLevels(page)
        self._sampler: Sampler | None = None
        # How many connections of clients all workers hold; whoever serves them says so, before the fork.
        self.count_connections: Callable[[], int] = lambda: 0

    def reload(self, settings: Settings) -> None:
        """Take over what may change while the server runs."""
        self._cors.configure(settings.cors_allowed_origins)

    def make_gate(self, store: Store, is_open: Callable[[], bool]) -> Gate:
        """Return what decides about a request before it is read."""
        return Gate(store, self.quotas, self._cors, self._levels, is_open)

    def paths(self, sources: Sources) -> tuple[Path, ...]:
        """Return the tables."""
        metrics = Metrics(self.observer, lambda: self._ask(sources))
        enabled = self._settings.prometheus_retention_seconds > 0
        return (
            *MetricsPaths(metrics, self.observer, self._clock, self._refresh, prometheus=enabled).paths(),
            *CorsPaths(self._cors).paths(),
            *QuotaPaths(sources.mounts, sources.recount).paths(),
            *LoggerPaths(self._levels).paths(),
            *StatePaths(self._settings).paths(),
            *ui_header_paths(),
        )

    def _refresh(self) -> None:
        if self._sampler is not None:
            self._sampler.sample()

    def _ask(self, sources: Sources) -> Facts:
        """Return what can be known now: without storage or sealed, the rest still answers."""
        unsealed = sources.is_open()
        mounts, counts = None, None
        if unsealed:
            try:
                table = sources.mounts.table(sources.store.read()).mounts
                auth = sum(mount.is_auth for mount in table)
                mounts = {"auth": auth, "logical": len(table) - auth}
                physical = sources.physical
                counts = self.observer.remember_counts(
                    lambda: (physical.count_subtree(TOKENS), physical.count_subtree(LEASES)), COUNT_SECONDS
                )
            except VaultError as error:
                _log.info("metrics without storage", cause=type(error).__name__)
        return Facts(
            unsealed=unsealed,
            mounts=mounts,
            tokens=None if counts is None else counts[0],
            leases=None if counts is None else counts[1],
            connections=self.count_connections(),
            devices=tuple((device.config.slot, device.config.path) for device in sources.broker.devices),
        )

    def start(self, sources: Sources, expiry: ExpiryWorker) -> None:
        """Begin to count where every worker sees it; call after the fork."""
        if not self.observer.start():
            _log.warning("more workers than the metrics have room for: this one is not counted")
        cache, physical = sources.store.cache, sources.physical
        self._sampler = Sampler(
            self.observer,
            totals={
                Number.CACHE_HITS: lambda: cache.hits,
                Number.CACHE_MISSES: lambda: cache.misses,
                Number.POOL_WAITS: lambda: physical.pool.waits,
                Number.POOL_REFUSALS: lambda: physical.pool.refusals,
                Number.BACKGROUND_RUNS: lambda: expiry.rounds,
                Number.BACKGROUND_FAILURES: lambda: expiry.failures,
            },
            states={
                Number.POOL_IN_USE: lambda: physical.pool.in_use,
                Number.POOL_IDLE: lambda: physical.pool.idle,
                Number.LEADER: lambda: expiry.leads,
            },
        )
        self._sampler.start()

    def stop(self) -> None:
        """Bring what was counted last."""
        if self._sampler is not None:
            self._sampler.stop()
