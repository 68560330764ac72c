"""`sys/metrics` and `sys/in-flight-req`: what this host counts, and what it is doing right now.

Both answer for all workers of the host that is asked. While it is sealed, only a listener that opens the door to strangers answers:
nobody can show a token.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prometheus_client.core import Metric

from vault.clock import Clock, format_rfc3339_nano
from vault.errors import InvalidRequest
from vault.logical import json
from vault.logical.args import STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.telemetry.collector import Metrics
from vault.telemetry.observer import Observer

METRICS_DOOR = "metrics"
FLIGHT_DOOR = "in-flight-req"
_TEXT = "text/plain; version=0.0.4; charset=utf-8"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsArgs:
    """In which form."""

    format: str = arg(STRING, "prometheus for its text format; nothing for JSON.", default="", query=True)


class MetricsPaths:
    """Handlers of metrics. `refresh` brings what this worker has not told yet."""

    def __init__(self, metrics: Metrics, observer: Observer, clock: Clock, refresh: Callable[[], None], *, prometheus: bool) -> None:
        self._metrics = metrics
        self._observer = observer
        self._clock = clock
        self._refresh = refresh
        self._prometheus = prometheus

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "metrics",
                help="Tell what this host has counted since its start.",
                shape=Shape.BARE,
                read=Endpoint(handler=self.read_metrics, args=MetricsArgs, sealed=True, door=METRICS_DOOR),
            ),
            path(
                "in-flight-req",
                help="List the requests that this host is answering.",
                shape=Shape.BARE,
                read=Endpoint(handler=self.list_flights, sealed=True, door=FLIGHT_DOOR),
            ),
        )

    def read_metrics(self, context: SystemContext, args: MetricsArgs) -> Response:
        """Answer the metrics in the form that was asked for."""
        if args.format not in ("", "prometheus"):
            raise InvalidRequest(f'metric response format "{args.format[:32]}" unknown')
        if args.format and not self._prometheus:
            raise InvalidRequest("prometheus is not enabled")
        self._refresh()
        if args.format:
            return Response(body=self._metrics.text(), content_type=_TEXT)
        stamp = format_rfc3339_nano(context.now_ns // 10**9 * 10**9).replace("T", " ").replace("Z", " +0000 UTC")
        return Response(body=json.encode(_describe(self._metrics, stamp)))

    def list_flights(self, context: SystemContext, _: Any) -> Response:
        """Answer the requests that are being answered, this one included."""
        flights = {
            flight.id: {
                "start_time": format_rfc3339_nano(flight.begun_ns),
                "client_remote_address": flight.address,
                "request_path": f"/v1/{flight.path}",
                "request_method": flight.method,
                "client_id": flight.client_id,
            }
            for flight in self._observer.list_flights()
        }
        return Response(body=json.encode(flights))


def _describe(metrics: Metrics, stamp: str) -> dict[str, Any]:
    """Return the metrics in the words of Vault's JSON: totals since the start, where Vault has those of its last ten seconds."""
    found: dict[str, Any] = {"Timestamp": stamp, "Gauges": [], "Points": [], "Counters": [], "Samples": []}
    for family in metrics.collect():
        name = family.name.replace("_", ".", 2)
        if family.type == "gauge":
            found["Gauges"] += [{"Name": name, "Value": sample.value, "Labels": sample.labels} for sample in family.samples]
        elif family.type in ("counter", "unknown"):
            found["Counters"] += [_count(name, sample.value, sample.value, sample.labels) for sample in family.samples]
        else:
            found["Samples"] += _sample(name, family)
    return found


def _sample(name: str, family: Metric) -> list[dict[str, Any]]:
    counts = {tuple(sorted(sample.labels.items())): sample.value for sample in family.samples if sample.name.endswith("_count")}
    sums = {tuple(sorted(sample.labels.items())): sample.value for sample in family.samples if sample.name.endswith("_sum")}
    return [_count(name, int(count), sums[labels], dict(labels)) for labels, count in counts.items()]


def _count(name: str, count: float, total: float, labels: dict[str, str]) -> dict[str, Any]:
    return {"Name": name, "Count": int(count), "Sum": total, "Mean": total / count if count else 0.0, "Labels": labels}
