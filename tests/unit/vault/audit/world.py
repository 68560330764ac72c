"""A chain on a file without a server: the shared page is a bytearray, and its lock one of this process."""

from pathlib import Path
from threading import Lock
from typing import Any

import orjson

from vault.audit.chain import Chain
from vault.audit.device import Device, DeviceConfig, Host, make_device
from vault.audit.devices.file import FileSink
from vault.audit.sink import Reserve, Sink
from vault.audit.trail import Broker
from vault.authority import Principal
from vault.host import AUDIT_SLOT_BYTES
from vault.logical.mount import Mount, MountConfig
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.token import Token
from vault.modules.policy.acl import EMPTY_ACL
from vault.secret import Secret

NOW = "2026-01-02T03:04:05.000000006Z"
SALT = b"salt" * 8
TOKEN_ID = "hvs.the-token-of-a-nurse"
TOKEN = Token(key="k", accessor="the-accessor", policies=("default", "ward"), path="auth/x/login", display_name="nurse", creation_time=1)
MOUNT = Mount(path="secret/", kind="kv", uuid="u", accessor="kv_1")


def now() -> str:
    """Return the only time there is."""
    return NOW


class Clock:
    """A time that only a test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """Return the time."""
        return self.now


class PageLock:
    """A lock as the host's."""

    def __init__(self) -> None:
        self._lock = Lock()

    def take(self, seconds: float) -> bool:
        return self._lock.acquire(timeout=seconds)

    def release(self) -> None:
        self._lock.release()


class Page:
    """The areas and locks that all processes of a host share."""

    def __init__(self) -> None:
        self.areas = [memoryview(bytearray(AUDIT_SLOT_BYTES)) for _ in range(4)]
        self.locks = [PageLock() for _ in range(4)]

    def lock(self, slot: int) -> PageLock:
        """Return the lock of a slot."""
        return self.locks[slot]

    def host(self) -> Host:
        """Return what devices see of it."""
        return Host(self.areas.__getitem__, self.lock, now)

    def chain(self, sink: Sink, slot: int = 0, reserve: Reserve | None = None) -> Chain:
        """Return a chain, as another worker process would have it."""
        return Chain(sink, self.areas[slot], lambda: self.lock(slot), now, reserve=reserve)

    def file_chain(self, path: Path) -> Chain:
        """Return a chain on a file."""
        return self.chain(FileSink(path))

    def device(self, path: Path, slot: int = 0, **options: str) -> Device:
        """Return a file device."""
        config = DeviceConfig(path=f"file{slot}/", kind="file", slot=slot, options={"file_path": str(path), **options})
        return make_device(config, SALT, self.host())

    def broker(self, *devices: Device) -> Broker:
        """Return a broker with devices."""
        broker = Broker(now)
        broker.devices = devices
        return broker


def body(index: int) -> bytes:
    """Return a record as a chain takes it."""
    return orjson.dumps({"time": NOW, "type": "request", "request": {"id": f"id-{index}", "path": f"secret/data/{index}"}})[:-1]


def write_log(path: Path, count: int) -> list[bytes]:
    """Write a log and return its lines."""
    chain = Page().file_chain(path)
    for index in range(count):
        chain.append(body(index))
    return path.read_bytes().splitlines(keepends=True)


def read_records(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file."""
    return [orjson.loads(line) for line in path.read_bytes().split(b"\n") if line]


def make_request(**changes: Any) -> Request:
    """Return a read of a secret."""
    values: dict[str, Any] = {
        "id": "11111111-2222-4333-8444-555555555555",
        "operation": Operation.READ,
        "path": "secret/data/patient",
        "token": Secret(TOKEN_ID),
        "remote_address": "192.0.2.7",
        "remote_port": 4711,
    }
    return Request(**{**values, **changes})


def make_principal(
    request: Request, *, token: Token | None = TOKEN, granting_policies: tuple[str, ...] = ("ward",), seen: Request | None = None
) -> Principal:
    """Return who may do what the request asks for; `seen` is the request as it was allowed."""
    return Principal(request=seen or request, token=token, acl=EMPTY_ACL, granting_policies=granting_policies)


def make_mount(**config: Any) -> Mount:
    """Return a mount with a configuration."""
    return Mount(path="secret/", kind="kv", uuid="u", accessor="kv_1", config=MountConfig(**config))
