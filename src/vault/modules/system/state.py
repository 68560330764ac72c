"""`sys/config/state/sanitized`: what the server was told, without what is secret."""

from typing import Any

from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response
from vault.settings import Listener, Settings


class StatePaths:
    """The handler. The values are named one by one: a setting that is added later is not told by accident."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (path("config/state/sanitized", help="Tell how the server is configured.", read=Endpoint(handler=self.read)),)

    def read(self, context: SystemContext, _: Any) -> Response:
        """Answer the configuration."""
        settings = self._settings
        return Response(
            data={
                "api_addr": settings.api_addr,
                "default_lease_ttl": settings.default_lease_seconds,
                "default_max_request_duration": settings.request_seconds_max,
                "disable_mlock": settings.disable_mlock,
                "listeners": [{"type": "tcp", "config": _describe_listener(listener)} for listener in settings.listeners],
                "log_format": settings.log_format,
                "log_level": settings.log_level,
                "max_lease_ttl": settings.max_lease_seconds,
                "pid_file": settings.pid_file,
                "raw_storage_endpoint": settings.raw_storage_endpoint,
                "seals": [{"type": "shamir" if settings.seal is None else "static", "disabled": False}],
                "storage": {"type": settings.storage.kind},
                "telemetry": {"prometheus_retention_time": settings.prometheus_retention_seconds * 10**9},
                "threads": settings.threads,
                "workers": settings.workers,
            }
        )


def _describe_listener(listener: Listener) -> dict[str, Any]:
    told: dict[str, Any] = {"address": str(listener.address), "tls_disable": listener.tls is None}
    if listener.tls is not None:
        told |= {
            "tls_cert_file": listener.tls.cert_file,
            "tls_key_file": listener.tls.key_file,
            "tls_min_version": listener.tls.min_version,
        }
    return told
