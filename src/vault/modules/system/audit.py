"""`sys/audit` and `sys/audit-hash`: audit devices. A new one takes a record before it counts as enabled; an old one ends with one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vault.audit.device import STREAMS, Device, DeviceConfig, file_path
from vault.clock import format_rfc3339_nano
from vault.errors import AuditFailed, InvalidRequest, UnsupportedPath
from vault.logical import json
from vault.logical.args import BOOL, PAIRS, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.modules.system.audit_table import AuditTable, resolve_file


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePath:
    """The device that the path names."""

    path: str = arg(STRING, "Name of the device.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableArgs(DevicePath):
    """A new device."""

    type: str = arg(STRING, "file, stdout, socket, syslog or postgres.", default="")
    description: str = arg(STRING, "What it is for, in words for people.", default="")
    options: Mapping[str, str] = arg(PAIRS, "Options of its kind, and filter, hmac_accessor, elide_list_responses.", default=None)
    local: bool = arg(BOOL, "Do not replicate.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HashArgs(DevicePath):
    """What to hash."""

    input: str = arg(STRING, "The text.", default="")


class AuditPaths:
    """Handlers of devices."""

    def __init__(self, table: AuditTable, audit_dir: str, on_end: Callable[[Device], None]) -> None:
        """`on_end` is told of a device after its last record."""
        self._table = table
        self._audit_dir = audit_dir
        self._on_end = on_end

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path("audit", help="List the audit devices.", shape=Shape.DOUBLED, read=Endpoint(handler=self.list_devices, sudo=True)),
            path(
                "audit/{path*}",
                help="Enable and disable an audit device.",
                update=Endpoint(handler=self.enable, args=EnableArgs, sudo=True),
                delete=Endpoint(handler=self.disable, args=DevicePath, sudo=True),
            ),
            path(
                "audit-hash/{path*}",
                help="Tell what a device's records show in place of a text.",
                shape=Shape.DOUBLED,
                update=Endpoint(handler=self.hash_input, args=HashArgs),
            ),
        )

    def list_devices(self, context: SystemContext, _: Any) -> Response:
        """List devices."""
        configs = self._table.list_configs(context.transaction)
        return Response(data={config.path: _describe(config) for config in configs})

    def enable(self, context: SystemContext, args: EnableArgs) -> None:
        """Enable a device that accepts a record."""
        place = _require_name(args.path)
        for config in self._table.list_configs(context.transaction):
            if config.path.startswith(place) or place.startswith(config.path):
                raise InvalidRequest("path already in use")
        device = self._table.add(context.transaction, self._read_config(place, args))
        try:
            _write_note(device, context, "enabled")
        except AuditFailed:
            raise InvalidRequest("sanity check failed: the audit device did not accept a record") from None

    def _read_config(self, place: str, args: EnableArgs) -> DeviceConfig:
        options = args.options or {}
        if options.get("prefix"):
            raise InvalidRequest("audit log prefixing is not allowed")
        if options.get("format", "json") != "json":
            raise InvalidRequest("the format of audit records is json")
        config = DeviceConfig(path=place, kind=args.type, slot=0, description=args.description, options=options, local=args.local)
        if config.flag("log_raw"):
            raise InvalidRequest("log_raw is not allowed: records hold no secrets")
        name = file_path(config)
        if args.type == "file" and name and name not in STREAMS:
            config = replace(config, options={**options, "file_path": resolve_file(self._audit_dir, name)})
        return config

    def disable(self, context: SystemContext, args: DevicePath) -> None:
        """Disable a device; an unknown one is no error."""
        place = _require_name(args.path)
        if self._table.is_declared(place):
            raise InvalidRequest(f'audit device "{place}" is declared in the configuration')
        device = self._table.remove(context.transaction, place)
        if device is not None:
            context.after_commit.extend((lambda: _write_last(device, context), lambda: self._on_end(device), device.chain.end))

    def hash_input(self, _context: SystemContext, args: HashArgs) -> Response:
        """Answer the hash of a text."""
        if not args.input:
            raise InvalidRequest('the "input" parameter is empty')
        return Response(data={"hash": self._table.hash_value(_require_name(args.path), args.input)})


def _require_name(name: str) -> str:
    if not name.strip("/"):
        raise UnsupportedPath
    return f"{name.strip('/')}/"


def _describe(config: DeviceConfig) -> dict[str, Any]:
    return {
        "type": config.kind,
        "description": config.description,
        "options": dict(config.options or {}),
        "local": config.local,
        "path": config.path,
    }


def _write_note(device: Device, context: SystemContext, event: str) -> None:
    """Put on record that this device begins or ends, in its own log; raises AuditFailed."""
    record = {
        "time": format_rfc3339_nano(context.now_ns),
        "type": event,
        "request": {"id": context.request.id, "operation": context.request.operation.value, "path": context.request.path},
    }
    device.chain.append(json.encode(record)[:-1])


def _write_last(device: Device, context: SystemContext) -> None:
    try:
        _write_note(device, context, "disabled")
    except AuditFailed:
        return  # a device that takes no more records is a good reason to disable it
