"""One trail per request: a request record before the work, a response record before the answer, whatever becomes of the request.

A record counts when at least one device has accepted it. If devices exist and none does, the request is refused.
"""

from collections.abc import Callable
from types import TracebackType

import structlog

from vault.audit.device import Device
from vault.audit.record import Hasher, describe_request, describe_response, encode_members, encode_text
from vault.authority import Principal
from vault.errors import AuditFailed, VaultError
from vault.logical.mount import Mount
from vault.logical.request import Request
from vault.logical.response import Response

_log = structlog.get_logger(__name__)

Encode = Callable[[Hasher], bytes]


class Broker:
    """The devices of this worker: a snapshot that is swapped as a whole."""

    def __init__(self, now: Callable[[], str]) -> None:
        self._now = now
        self.devices: tuple[Device, ...] = ()

    def open(self, request: Request) -> "Trail":
        """Return the trail of a request, to be used in a with statement."""
        return Trail(self, request)

    def record(self, kind: str, encode: Encode, error: str = "") -> None:
        """Give a record to all devices; raises AuditFailed if there are devices and none accepts it.

        `encode` returns the members of the record but for time, type and error, as JSON text without braces.
        """
        devices = self.devices
        head = f'{{"time":"{self._now()}","type":"{kind}",'.encode()
        tail = b',"error":' + encode_text(error) if error else b""
        accepted = not devices
        for device in devices:
            try:
                device.chain.append(head + encode(device.hasher) + tail)
                accepted = True
            except AuditFailed as failure:
                _log.error("audit device refused a record", device=device.config.path, cause=str(failure.__cause__))
        if not accepted:
            raise AuditFailed


class Trail:
    """The records of one request."""

    __slots__ = ("_admitted", "_broker", "_mount", "_principal", "_request", "_subjects", "closed")

    def __init__(self, broker: Broker, request: Request) -> None:
        self._broker = broker
        self._request = request
        self._principal: Principal | None = None
        self._mount: Mount | None = None
        self._admitted = False
        self._subjects: dict[Hasher, bytes] = {}
        self.closed = False

    def __enter__(self) -> "Trail":
        return self

    def admit(self, principal: Principal, mount: Mount) -> None:
        """Record the request, before any work for it; raises AuditFailed."""
        self._principal, self._mount = principal, mount
        self._subjects.clear()
        self._record_request("")

    def close(self, response: Response | None) -> None:
        """Record the response, before it leaves; raises AuditFailed."""
        self._record_response(response, "")

    def amend(self, error: Exception) -> None:
        """Record that what the response record says did not come about, or not for certain."""
        self._broker.record("outcome", self._encode_subject, str(error))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        del kind, trace
        if error is None or self.closed or (isinstance(error, AuditFailed) and not self._admitted):
            return
        text = str(error) if isinstance(error, VaultError) else "internal error"
        if not self._admitted:
            self._record_request(text)
        self._record_response(None, text)

    def _encode_subject(self, hasher: Hasher) -> bytes:
        """Return who asked for what; encoded once, though both records of the request carry it."""
        found = self._subjects.get(hasher)
        if found is None:
            found = self._subjects[hasher] = encode_members(describe_request(self._request, self._principal, self._mount, hasher))
        return found

    def _record_request(self, error: str) -> None:
        self._broker.record("request", self._encode_subject, error)
        self._admitted = True

    def _record_response(self, response: Response | None, error: str) -> None:
        def encode(hasher: Hasher) -> bytes:
            described = describe_response(response, self._mount, hasher)
            return self._encode_subject(hasher) + b"," + encode_members({"response": described})

        self._broker.record("response", encode, error)
        self.closed = True
