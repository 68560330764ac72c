"""One trail per request: a request record before the work, a response record before the answer, whatever becomes of the request.

A record counts when at least one device has accepted it. If devices exist and none does, the request is refused.
"""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self

import structlog

from vault.audit.chain import RECORD_SECONDS_MAX
from vault.audit.device import Device
from vault.audit.hasher import Hasher
from vault.audit.record import NO_HEADERS, encode, encode_response, encode_subject
from vault.authority import Principal
from vault.clock import SystemClock
from vault.errors import AuditFailed, VaultError
from vault.limits import STRANGER_DATA_BYTES_MAX, VITAL_DATA_BYTES_MAX
from vault.logical.mount import Mount
from vault.logical.request import Request
from vault.logical.response import Response
from vault.telemetry.observer import Observer

_log = structlog.get_logger(__name__)

SECONDS_MIN = 0.25  # for a record of a request whose time is over: enough for a device that works

Members = Callable[[Hasher], bytes]


class Broker:
    """The devices of this worker: a snapshot that is swapped as a whole."""

    def __init__(
        self, now: Callable[[], str], observer: Observer | None = None, monotonic: Callable[[], float] = SystemClock.monotonic
    ) -> None:
        self._now = now
        self.monotonic = monotonic
        self._observer = observer or Observer()
        self.devices: tuple[Device, ...] = ()
        self.headers: Mapping[str, bool] = NO_HEADERS  # of a request that are put on record, and whether hashed

    def open(self, request: Request) -> "Trail":
        """Return the trail of a request, to be used in a with statement."""
        return Trail(self, request)

    def record(
        self, kind: str, members: Members, error: str = "", path: str = "", seconds: float = RECORD_SECONDS_MAX, *, vital: bool = False
    ) -> None:
        """Give a record to all devices that take its path; raises AuditFailed if there are devices and none accepts it.

        `members` returns the members of the record but for time, type and error, as JSON text without braces. Devices that hang share
        the time: each gets an equal part of what is left. A vital record may use space that is kept for such.
        """
        devices, lost_seconds = self.devices, 0.0
        begun = self.monotonic() if len(devices) > 1 else 0.0
        head = f'{{"time":"{self._now()}","type":"{kind}",'.encode()
        tail = b',"error":' + encode(error) if error else b""
        accepted = not devices
        taken: list[int] = []
        refused: list[int] = []
        for index, device in enumerate(devices):
            if device.filter is not None and not device.takes(path):
                continue
            try:
                record = b"".join((head, members(device.hasher), tail))
                device.chain.append(record, (seconds - lost_seconds) / (len(devices) - index), vital=vital)
                accepted = True
                taken.append(device.config.slot)
            except Exception as failure:  # noqa: BLE001 - whatever keeps a record from its device is a device that did not accept it
                _note_refusal(device, failure)
                refused.append(device.config.slot)
                lost_seconds = self.monotonic() - begun if begun else seconds
        self._observer.count_record(kind, accepted=accepted, taken=taken, refused=refused)
        if not accepted:
            raise AuditFailed


def _note_refusal(device: Device, failure: Exception) -> None:
    cause = failure.__cause__ or failure
    text = str(cause) if isinstance(cause, OSError) else type(cause).__name__
    _log.error("audit device refused a record", device=device.config.path, cause=text)


class Trail:
    """The records of one request."""

    __slots__ = (
        "_admitted",
        "_allowed",
        "_amended",
        "_begun",
        "_broker",
        "_mount",
        "_principal",
        "_request",
        "_subjects",
        "_vital",
        "closed",
    )

    def __init__(self, broker: Broker, request: Request) -> None:
        self._broker = broker
        self._request = request
        self._principal: Principal | None = None
        self._mount: Mount | None = None
        self._admitted = False
        self._allowed = False
        self._amended = False
        self._begun = broker.monotonic()
        self._subjects: dict[Hasher, bytes] = {}
        self._vital = False
        self.closed = False

    def __enter__(self) -> Self:
        return self

    def recognise(self, principal: Principal | None, mount: Mount) -> None:
        """Note who asks for what, before it is decided: the record of a refusal then says who was refused."""
        self._principal, self._mount = principal, mount

    def admit(self, principal: Principal, mount: Mount, *, vital: bool = False) -> None:
        """Record the request, before any work for it; raises AuditFailed. All records of a vital one may use what is kept for such."""
        self._principal, self._mount, self._allowed, self._vital = principal, mount, True, vital
        self._record_request("")

    def postpone(self, seconds: float) -> None:
        """Take slow work out of the time that the records of this request have."""
        self._begun += seconds

    def close(self, response: Response | None) -> None:
        """Record the response, before it leaves; raises AuditFailed."""
        self._record_response(response, "")

    def amend(self, error: BaseException) -> None:
        """Record that what the response record says did not come about, or not for certain; raises AuditFailed."""
        self._amended = True
        self._record("outcome", self._encode_subject, _public_text(error))

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        del kind, trace
        if error is None:
            if not self.closed:  # an answer that nobody put on record does not leave
                raise AuditFailed
        elif self.closed:
            if not self._amended:
                self.amend(error)
        elif self._admitted or not isinstance(error, AuditFailed):
            text = _public_text(error)
            if not self._admitted:
                self._record_request(text)
            self._record_response(None, text)

    def _encode_subject(self, hasher: Hasher) -> bytes:
        """Return who asked for what; encoded once, though both records of the request carry it."""
        found = self._subjects.get(hasher)
        if found is None:
            found = encode_subject(
                self._request,
                self._principal,
                self._mount,
                hasher,
                allowed=self._allowed,
                headers=self._broker.headers,
                stranger_bytes_max=VITAL_DATA_BYTES_MAX if self._vital else STRANGER_DATA_BYTES_MAX,
            )
            self._subjects[hasher] = found
        return found

    def _record_request(self, error: str) -> None:
        self._record("request", self._encode_subject, error)
        self._admitted = True

    def _record_response(self, response: Response | None, error: str) -> None:
        operation = self._request.operation

        def members(hasher: Hasher) -> bytes:
            return b"%b,%b" % (self._encode_subject(hasher), encode_response(response, operation, self._mount, hasher))

        self._record("response", members, error)
        self.closed = True

    def _record(self, kind: str, members: Members, error: str) -> None:
        """Give a record to the devices, which have what is left of the time of the request: the storage may have hung as well."""
        seconds = max(RECORD_SECONDS_MAX - self._broker.monotonic() + self._begun, SECONDS_MIN)
        self._broker.record(kind, members, error, self._request.path, seconds, vital=self._vital)


def _public_text(error: BaseException) -> str:
    return str(error) if isinstance(error, VaultError) else "internal error"
