"""`sys/rotate`, `sys/key-status`: the data key in use, and when it is replaced."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from vault import limits
from vault.clock import format_rfc3339_nano
from vault.errors import InvalidRequest, VaultError
from vault.logical.args import BOOL, INT, TTL, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.rotation import Rotation, RotationConfig
from vault.seal import Seal


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigArgs:
    """When to rotate; what is left out stays."""

    max_operations: int | None = arg(INT, "Number of encryptions after which the key is replaced.", default=None)
    interval: int | None = arg(TTL, "Age at which the key is replaced; 0: at none.", default=None)
    enabled: bool | None = arg(BOOL, "Whether keys are replaced without being asked.", default=None)


class RotatePaths:
    """Handlers around the data keys."""

    def __init__(self, seal: Seal, rotation: Rotation) -> None:
        self._seal = seal
        self._rotation = rotation

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path("key-status", help="Tell which data key is in use.", shape=Shape.DOUBLED, read=Endpoint(handler=self.read_status)),
            path(
                "rotate",
                "rotate/keyring",
                help="Put a fresh data key in use; old ones go on decrypting.",
                shape=Shape.DOUBLED,
                update=Endpoint(handler=self.rotate, sudo=True),
            ),
            path(
                "rotate/config",
                "rotate/keyring/config",
                help="When a fresh data key is put in use without being asked.",
                read=Endpoint(handler=self.read_config),
                update=Endpoint(handler=self.write_config, args=ConfigArgs),
            ),
        )

    def read_status(self, context: SystemContext, _: Any) -> Response:
        """Tell which data key is in use."""
        status = self._rotation.describe(context.transaction)
        installed = format_rfc3339_nano(status.installed_ns)
        return Response(data={"term": status.term, "install_time": installed, "encryptions": status.uses})

    def rotate(self, context: SystemContext, _: Any) -> None:
        """Put a fresh data key in use."""
        self._seal.rotate(context.transaction)
        context.after_commit.append(self._follow)

    def _follow(self) -> None:
        with suppress(VaultError):  # the key is there all the same, and is taken soon
            self._seal.follow_keyring()

    def read_config(self, context: SystemContext, _: Any) -> Response:
        """Tell when keys are replaced without being asked."""
        config = self._rotation.read_config(context.transaction)
        interval = _format_go(config.interval_seconds) if config.interval_seconds else 0
        return Response(data={"max_operations": config.max_operations, "interval": interval, "enabled": config.enabled})

    def write_config(self, context: SystemContext, args: ConfigArgs) -> None:
        """Change when keys are replaced without being asked."""
        given = {
            "max_operations": args.max_operations,
            "interval_seconds": args.interval,
            "enabled": args.enabled,
        }
        changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        config = replace(self._rotation.read_config(context.transaction), **changes)
        _check(config)
        self._rotation.write_config(context.transaction, config)


def _check(config: RotationConfig) -> None:
    low, high = limits.KEY_OPERATIONS_MIN, limits.KEY_OPERATIONS_MAX
    if not low <= config.max_operations <= high:
        raise InvalidRequest(f"max_operations must be in the range [{low},{high}]")
    if 0 < config.interval_seconds < limits.ROTATION_SECONDS_MIN:
        raise InvalidRequest("interval must be greater or equal to 24h0m0s")


def _format_go(seconds: int) -> str:
    """Return a duration as Go prints it, here with its empty parts."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes // 60}h{minutes % 60}m{rest}s"
