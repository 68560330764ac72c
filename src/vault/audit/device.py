"""An audit device: where records go, which ones, and how their values are hashed."""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from vault.audit.chain import Chain
from vault.audit.devices.file import FileSink
from vault.audit.devices.postgres import Rows, TableSink
from vault.audit.devices.reserve import RESERVE_BYTES, RESERVE_BYTES_MAX, Reserve
from vault.audit.devices.socket import Destination, SocketSink
from vault.audit.devices.stdout import StreamSink
from vault.audit.devices.stream import WAIT_SECONDS
from vault.audit.devices.syslog import LOCAL, make_syslog
from vault.audit.filter import PathFilter
from vault.audit.hasher import Hasher
from vault.audit.sink import BoundedLock, Sink
from vault.errors import InvalidRequest
from vault.logical.args import parse_bool, parse_count, parse_duration

STREAMS = frozenset({"stdout", "/dev/stdout"})  # as the file of a file device
_EXECUTABLE = 0o111
_OWNER = 0o600
_OTHERS_WRITE = 0o002
_MODE_MAX = 0o777
_STDOUT = 1
_PREFIX = re.compile(r'[^"{}\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]{1,200}')  # on the line of its record, and told apart from it


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceConfig:
    """A device as configured or as stored; nothing secret. `path` ends with a slash."""

    path: str
    kind: str
    slot: int  # which shared area its chain uses
    description: str = ""
    options: Mapping[str, str] | None = None
    local: bool = False
    declared: bool = False  # in the configuration: the API cannot disable it

    def option(self, name: str, default: str = "") -> str:
        """Return an option."""
        return (self.options or {}).get(name, default)

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return an option that is true or false; raises InvalidRequest."""
        try:
            return parse_bool(self.option(name, "true" if default else "false"))
        except ValueError:  # taken for false, a misspelt `hmac_accessor` would disclose accessors
            raise InvalidRequest(f"{name} must be true or false") from None


@dataclass(frozen=True, slots=True)
class Device:
    """A device that is ready for records."""

    config: DeviceConfig
    hasher: Hasher
    chain: Chain
    filter: PathFilter | None = None

    def takes(self, path: str) -> bool:
        """Return whether records about a path go here."""
        return self.filter is None or self.filter.takes(path)

    def hash_value(self, text: str) -> str:
        """Return what a record of this device shows in place of a string."""
        return self.hasher.hash_text(text)

    def with_salt(self, salt: bytes) -> "Device":
        """Return the same device hashing with another salt; its chain goes on."""
        return Device(self.config, make_hasher(self.config, salt), self.chain, self.filter)


class Host:
    """What devices need of the host: shared areas, locks, the time and the audit tables, which wait for the disk or not."""

    def __init__(
        self,
        area: Callable[[int], memoryview],
        lock: Callable[[int], BoundedLock],
        now: Callable[[], str],
        rows: Callable[[bool], Rows] | None = None,
    ) -> None:
        self.area = area
        self.lock = lock
        self.now = now
        self.rows = rows


def make_hasher(config: DeviceConfig, salt: bytes) -> Hasher:
    """Return the hasher that a device's options ask for."""
    return Hasher(
        salt,
        hmac_accessor=config.flag("hmac_accessor", default=True),
        log_raw=config.flag("log_raw"),
        elide_list_responses=config.flag("elide_list_responses"),
    )


def make_device(config: DeviceConfig, salt: bytes, host: Host) -> Device:
    """Return a device; nothing is opened yet. Raises InvalidRequest for options that cannot be."""
    if config.option("format", "json") != "json":
        raise InvalidRequest("the format of audit records is json")
    try:
        sink = _make_sink(config, host)
        chosen = PathFilter(config.option("filter")) if config.option("filter") else None
    except ValueError as wrong:
        raise InvalidRequest(str(wrong)) from None
    chain = Chain(
        sink,
        host.area(config.slot),
        lambda: host.lock(config.slot),
        host.now,
        prefix=_read_prefix(config),
        reserve=_make_reserve(config),
    )
    return Device(config, make_hasher(config, salt), chain, chosen)


def _read_prefix(config: DeviceConfig) -> str:
    prefix = config.option("prefix")
    if prefix and not (config.declared and config.kind != "postgres" and _PREFIX.fullmatch(prefix)):
        raise InvalidRequest("prefix must be text of one line without quotes and braces, and stand in the configuration")
    return prefix


def require_complete(configs: tuple[DeviceConfig, ...]) -> None:
    """Refuse devices of which each leaves something out: such a record would be nowhere. Raises InvalidRequest."""
    if configs and all(config.option("filter") for config in configs):
        raise InvalidRequest("at least one audit device must be without a filter")


# -- kinds -----------------------------------------------------------------------------------------------------------------------


def file_path(config: DeviceConfig) -> str:
    """Return the file of a file device; `path` is the older name of the option."""
    return config.option("file_path") or config.option("path")


def address_of(config: DeviceConfig) -> str:
    """Return where a device sends records over a socket; empty if it does not."""
    if config.kind == "syslog":
        return config.option("address") or LOCAL
    return config.option("address") if config.kind == "socket" else ""


def _make_sink(config: DeviceConfig, host: Host) -> Sink:
    if config.kind == "postgres" and host.rows is not None:
        return TableSink(host.rows(config.flag("sync", default=True)), config.path, host.now)
    make = _SINKS.get(config.kind)
    if make is None:
        raise InvalidRequest(f'unknown backend type: "{config.kind}"')
    return make(config)


def _make_file(config: DeviceConfig) -> Sink:
    path = file_path(config)
    if not path:
        raise InvalidRequest("file_path is required")
    mode = _parse_mode(config.option("mode", "0600"))
    if path in STREAMS:
        return StreamSink(_STDOUT)
    return FileSink(Path(path), mode, prefix=_read_prefix(config), flush=os.fdatasync if config.flag("sync") else None)


def _make_reserve(config: DeviceConfig) -> Reserve | None:
    """Return the space that is kept for a file; None where there is nothing to keep, or nothing is to be kept."""
    path = file_path(config)
    if config.kind != "file" or path in STREAMS:
        return None
    try:
        size = parse_count(config.option("reserve_bytes", str(RESERVE_BYTES)))
    except ValueError:
        size = -1
    if not 0 <= size <= RESERVE_BYTES_MAX:
        raise InvalidRequest(f"reserve_bytes must be a number of bytes up to {RESERVE_BYTES_MAX}")
    return Reserve(Path(path), size) if size else None


def _parse_mode(text: str) -> int:
    if not re.fullmatch("[0-7]{1,4}", text, re.ASCII):
        raise InvalidRequest("mode must be octal")
    mode = int(text, 8) or _OWNER  # Vault's 0000: leave the mode of the file alone, which we do in any case
    if mode & _EXECUTABLE or mode > _MODE_MAX:
        raise InvalidRequest("mode must not make the audit log executable")
    if mode & _OTHERS_WRITE:
        raise InvalidRequest("mode must not let everybody write the audit log")
    if mode & _OWNER != _OWNER:
        raise InvalidRequest("mode must let the owner read and write the audit log")
    return mode


def _make_stdout(_: DeviceConfig) -> Sink:
    return StreamSink(_STDOUT)


def _make_socket(config: DeviceConfig) -> Sink:
    if not config.option("address"):
        raise InvalidRequest("address is required")
    destination = Destination(socket_type=config.option("socket_type", "tcp"), address=config.option("address"))
    return SocketSink(destination, _read_timeout(config))


def _make_syslog(config: DeviceConfig) -> Sink:
    address = address_of(config)
    kind = config.option("socket_type", "unixgram" if address.startswith("/") else "udp")
    destination = Destination(socket_type=kind, address=address)
    return make_syslog(config.option("facility", "AUTH"), config.option("tag", "vault"), destination, _read_timeout(config))


def _read_timeout(config: DeviceConfig) -> float:
    """Return how long a record may wait: what is longer would keep a request for more than five seconds."""
    try:
        seconds = parse_duration(config.option("write_timeout", "2s"))
    except ValueError:
        seconds = 0
    if not 0 < seconds <= WAIT_SECONDS:
        raise InvalidRequest(f"write_timeout must be a duration of one or {WAIT_SECONDS:.0f} seconds")
    return float(seconds)


_SINKS: Mapping[str, Callable[[DeviceConfig], Sink]] = {
    "file": _make_file,
    "stdout": _make_stdout,
    "socket": _make_socket,
    "syslog": _make_syslog,
}
