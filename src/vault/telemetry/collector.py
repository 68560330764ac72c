"""The metrics, from what all workers of this host counted, as families of the official Prometheus library.

Where Vault has a metric of the same meaning, it has Vault's name; such counters have no `_total`, and so no type in Prometheus's text.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.core import UnknownMetricFamily as CountFamily
from prometheus_client.registry import Collector

from vault.telemetry import layout
from vault.telemetry.layout import Number
from vault.telemetry.observer import Observer

_COUNTS: tuple[tuple[str, str, tuple[int, ...]], ...] = (
    ("vault_audit_log_request_failure", "Request records that no audit device accepted.", (Number.AUDIT_REQUEST_FAILURES,)),
    ("vault_audit_log_response_failure", "Response records that no audit device accepted.", (Number.AUDIT_RESPONSE_FAILURES,)),
    ("vault_cache_hit", "Rows and listings that came from a worker's cache.", (Number.CACHE_HITS,)),
    ("vault_cache_miss", "Rows and listings that did not.", (Number.CACHE_MISSES,)),
)
_TOTALS: tuple[tuple[str, str, int], ...] = (
    ("vault_audit_request_records", "Request records given to the audit devices.", Number.AUDIT_REQUESTS),
    ("vault_audit_response_records", "Response records given to the audit devices.", Number.AUDIT_RESPONSES),
    ("vault_database_waits", "Times that a thread found all connections of its worker in use.", Number.POOL_WAITS),
    ("vault_database_refusals", "Times that a thread got no connection.", Number.POOL_REFUSALS),
    ("vault_password_checks", "Passwords that were checked, at whatever name.", Number.PASSWORD_CHECKS),
    ("vault_login_locked", "Logins under a name that was locked; no password of anybody was looked at.", Number.LOCKED_LOGINS),
    ("vault_background_rounds", "Rounds of background work that were done.", Number.BACKGROUND_RUNS),
    ("vault_background_failures", "Rounds of background work that failed.", Number.BACKGROUND_FAILURES),
)
_STATES: tuple[tuple[str, str, int], ...] = (
    ("vault_database_connections_in_use", "Connections to the database that serve a request.", Number.POOL_IN_USE),
    ("vault_database_connections_idle", "Connections to the database that wait for one.", Number.POOL_IDLE),
    ("vault_background_leader", "Whether a worker of this host does the background work.", Number.LEADER),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is asked at each look; None where it cannot be known now."""

    unsealed: bool
    mounts: dict[str, int] | None  # by kind: auth, logical
    tokens: int | None
    leases: int | None
    devices: tuple[tuple[int, str], ...]  # slot and path
    connections: int = 0


class Metrics(Collector):
    """Collects anew at each look."""

    def __init__(self, observer: Observer, ask: Callable[[], Facts]) -> None:
        self._observer = observer
        self._ask = ask

    def text(self) -> bytes:
        """Return the metrics in Prometheus's text format."""
        return generate_latest(self)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this host."""
        facts = self._ask()
        every = self._observer.read_all()
        living = self._observer.read_living()
        yield from self._collect_facts(facts)
        yield from self._collect_requests(every)
        yield from _collect_devices(every, facts.devices)
        for name, text, numbers in _COUNTS:
            yield CountFamily(name, text, value=sum(region[number] for region in every for number in numbers))
        for name, text, number in _TOTALS:
            yield CounterMetricFamily(name, text, value=sum(region[number] for region in every))
        for name, text, number in _STATES:
            yield GaugeMetricFamily(name, text, value=sum(region[number] for region in living))
        yield GaugeMetricFamily("vault_workers", "Worker processes.", value=len(living))

    def _collect_facts(self, facts: Facts) -> Iterator[Metric]:
        yield GaugeMetricFamily("vault_core_unsealed", "Whether this host is unsealed.", value=float(facts.unsealed))
        yield GaugeMetricFamily("vault_core_active", "Whether this host serves requests; every host does.", value=1.0)
        yield GaugeMetricFamily("vault_core_in_flight_requests", "Requests being answered.", value=len(self._observer.list_flights()))
        yield GaugeMetricFamily("vault_http_connections", "Connections of clients.", value=facts.connections)
        if facts.mounts is not None:
            family = GaugeMetricFamily("vault_core_mount_table_num_entries", "Mounts.", labels=("type", "local"))
            for kind, number in facts.mounts.items():
                family.add_metric((kind, "false"), number)
            yield family
        if facts.tokens is not None:
            yield GaugeMetricFamily("vault_token_count", "Service tokens that are stored.", value=facts.tokens)
        if facts.leases is not None:
            yield GaugeMetricFamily("vault_expire_num_leases", "Leases that are stored.", value=facts.leases)

    def _collect_requests(self, every: list[Sequence[float]]) -> Iterator[Metric]:
        requests = CounterMetricFamily("vault_requests", "Requests by what became of them.", labels=("operation", "mount", "outcome"))
        times = HistogramMetricFamily("vault_request_duration_seconds", "Time from request to answer.", labels=("operation", "mount"))
        count, seconds = 0.0, 0.0
        for mount, block in self._observer.list_mounts():
            for operation in layout.OPERATIONS:
                series = _add_up(every, block + layout.OFFSETS[operation])
                answered = sum(series[: layout.BUCKETS])
                if not answered:
                    continue
                count, seconds = count + answered, seconds + series[layout.SUM]
                for outcome, number in zip(layout.OUTCOMES, series, strict=False):
                    if number:
                        requests.add_metric((operation.value, mount, outcome), number)
                times.add_metric((operation.value, mount), _accumulate(series[layout.BUCKETS : layout.SUM]), series[layout.SUM])
        yield SummaryMetricFamily("vault_core_handle_request", "Requests; the sum is in milliseconds.", int(count), seconds * 1000)
        yield requests
        yield times


def _add_up(every: list[Sequence[float]], place: int) -> list[float]:
    return [sum(column) for column in zip(*(region[place : place + layout.SERIES] for region in every), strict=True)] or (
        [0.0] * layout.SERIES
    )


def _accumulate(numbers: list[float]) -> list[tuple[str, float]]:
    buckets, total = [], 0.0
    for bound, number in zip((*map(str, layout.BOUNDS), "+Inf"), numbers, strict=True):
        total += number
        buckets.append((bound, total))
    return buckets


def _collect_devices(every: list[Sequence[float]], devices: tuple[tuple[int, str], ...]) -> Iterator[Metric]:
    records = CounterMetricFamily("vault_audit_device_records", "Records by audit device.", labels=("device", "outcome"))
    for slot, device in devices:
        place = layout.AUDIT + 2 * slot
        records.add_metric((device, "accepted"), sum(region[place] for region in every))
        records.add_metric((device, "refused"), sum(region[place + 1] for region in every))
    yield records
