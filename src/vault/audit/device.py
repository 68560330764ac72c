"""An audit device: where records go and how their values are hashed."""

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vault.audit.chain import Chain, Sink
from vault.audit.devices.file import FileSink
from vault.audit.devices.stdout import StreamSink
from vault.audit.hasher import Hasher
from vault.errors import InvalidRequest
from vault.logical.args import parse_bool

STREAMS = frozenset({"stdout", "/dev/stdout"})  # as the file of a file device
_EXECUTABLE = 0o111
_OWNER = 0o600
_MODE_MAX = 0o777
_STDOUT = 1


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

    def hash_value(self, text: str) -> str:
        """Return what a record of this device shows in place of a string."""
        return self.hasher.hash_text(text)

    def with_salt(self, salt: bytes) -> "Device":
        """Return the same device hashing with another salt; its chain goes on."""
        return Device(self.config, make_hasher(self.config, salt), self.chain)


class Host:
    """What devices need of the host: shared areas, locks and the time."""

    def __init__(
        self, area: Callable[[int], memoryview], lock: Callable[[int], AbstractContextManager[None]], now: Callable[[], str]
    ) -> None:
        self.area = area
        self.lock = lock
        self.now = now


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
    make_sink = _SINKS.get(config.kind)
    if make_sink is None:
        raise InvalidRequest(f'unknown backend type: "{config.kind}"')
    if config.option("format", "json") != "json" or config.option("prefix"):
        raise InvalidRequest("audit records are JSON, without a prefix")
    chain = Chain(make_sink(config), host.area(config.slot), lambda: host.lock(config.slot), host.now)
    return Device(config, make_hasher(config, salt), chain)


def file_path(config: DeviceConfig) -> str:
    """Return the file of a file device; `path` is the older name of the option."""
    return config.option("file_path") or config.option("path")


def _make_file(config: DeviceConfig) -> Sink:
    path = file_path(config)
    if not path:
        raise InvalidRequest("file_path is required")
    mode = _parse_mode(config.option("mode", "0600"))
    return _make_stdout(config) if path in STREAMS else FileSink(Path(path), mode)


def _parse_mode(text: str) -> int:
    if not re.fullmatch("[0-7]{1,4}", text, re.ASCII):
        raise InvalidRequest("mode must be octal")
    mode = int(text, 8) or _OWNER  # Vault's 0000: leave the mode of the file alone, which we do in any case
    if mode & _EXECUTABLE or mode > _MODE_MAX:
        raise InvalidRequest("mode must not make the audit log executable")
    if mode & _OWNER != _OWNER:
        raise InvalidRequest("mode must let the owner read and write the audit log")
    return mode


def _make_stdout(_: DeviceConfig) -> Sink:
    return StreamSink(_STDOUT)


_SINKS: Mapping[str, Callable[[DeviceConfig], Any]] = {"file": _make_file, "stdout": _make_stdout}
