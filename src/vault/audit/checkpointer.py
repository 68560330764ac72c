"""Signs the heads of the audit logs and notes them in a second place. A thread of each worker looks; one of a host signs at a time.

The last checkpoint of a log is a row of the storage, written before the checkpoint goes to its place: whoever is killed in between
leaves a row from which the next one delivers the same line, so the place may hold a line twice but never lacks one. Nothing here is
on the way of a request: a place that is down is logged, and the next checkpoint covers what this one should have.
"""

import os
import struct
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import structlog

from vault.audit.checkpoint import NO_CHECKPOINT, Checkpoint, Signed, parse_checkpoint, sign
from vault.audit.device import Device, file_path
from vault.audit.signing import get_key
from vault.audit.sink import Head
from vault.clock import Clock, format_rfc3339_nano
from vault.errors import Sealed, VaultError
from vault.host import HostPage
from vault.settings import Checkpoints
from vault.storage.transaction import Store, Transaction

PREFIX = "core/audit-checkpoint/"
_LOOK_SECONDS = 0.2  # so one checkpoint covers more records than configured where more than five times as many come in a second
_RETRY_SECONDS = 5.0
_TURN_SECONDS = 2.0  # sealing and stopping wait for no longer

_MARK = struct.Struct("<16sQQdQ")  # log, its last covered record, the file it was in, when, number of the delivered checkpoint

_log = structlog.get_logger(__name__)


class Place(Protocol):
    """Where checkpoints go."""

    def append(self, line: bytes) -> None:
        """Add a line, whole and for good; raises OSError or StorageUnavailable."""


@dataclass(frozen=True, slots=True)
class _Mark:
    """How far a log is covered, as all workers of the host know it."""

    log: str
    seq: int
    inode: int
    at: float
    number: int


class Checkpointer:
    """The checkpoints of one host."""

    def __init__(
        self,
        *,
        page: HostPage,
        store: Store,
        place: Place,
        devices: Callable[[], tuple[Device, ...]],
        is_open: Callable[[], bool],
        clock: Clock,
        settings: Checkpoints,
    ) -> None:
        self._page = page
        self._store = store
        self._place = place
        self._devices = devices
        self._is_open = is_open
        self._clock = clock
        self._settings = settings
        self._retry_at = 0.0
        self._stop = threading.Event()
        self.failures = 0  # of this worker, since its start

    # -- the thread ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; call after the fork."""
        threading.Thread(target=self._run, name="checkpoints", daemon=True).start()

    def stop(self) -> None:
        """End the thread and cover what this worker has recorded last."""
        self._stop.set()
        self.cover_all("stop")

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_SECONDS):
            self.look()

    def look(self) -> None:
        """Sign what is due, unless another worker does so already."""
        if self._clock.monotonic() < self._retry_at:
            return
        with self._noting_failure():
            if self._is_open() and any(self._find_reason(device) for device in self._devices()):
                with self._page.checkpoint_turn(0) as is_mine:
                    if is_mine:
                        self._cover(self._devices(), "")

    def cover_all(self, reason: str) -> None:
        """Sign the heads of all logs that have gone on since their last checkpoint; a failure is logged and no more."""
        with self._noting_failure():
            if self._is_open():
                self._take_turn(self._devices(), reason)

    def close(self, device: Device) -> None:
        """Sign the last head of a log whose device is disabled."""
        with self._noting_failure():
            self._take_turn((device,), "closing")

    def _take_turn(self, devices: Iterable[Device], reason: str) -> None:
        with self._page.checkpoint_turn(_TURN_SECONDS) as is_mine:
            if not is_mine:
                raise TimeoutError("another worker is signing for too long")
            self._cover(devices, reason)

    @contextmanager
    def _noting_failure(self) -> Iterator[None]:
        """Log that checkpoints are missing; the thread tries again after a while."""
        try:
            yield
        except Sealed:
            return
        except Exception as error:  # noqa: BLE001 - whatever it is: the thread lives on, and sealing and stopping go on
            self.failures += 1
            self._retry_at = self._clock.monotonic() + _RETRY_SECONDS
            cause = str(error) if isinstance(error, OSError | VaultError) else type(error).__name__
            _log.error("no audit checkpoint could be written: a cut audit log would not be found", cause=cause)

    # -- what is due --------------------------------------------------------------------------------------------------

    def _find_reason(self, device: Device) -> str:
        """Return why the head of a device's log is to be signed now; empty if it need not be."""
        head, mark = _find_head(device), self._read_mark(device)
        if head is None:
            return ""
        if mark.log != head.log:
            return "start"
        if head.number == mark.seq:
            return ""
        if head.position.inode != mark.inode:
            return "rotation"
        if head.number - mark.seq >= self._settings.records:
            return "records"
        return "interval" if self._clock.monotonic() - mark.at >= self._settings.interval_seconds else ""

    def _read_mark(self, device: Device) -> _Mark:
        log, seq, inode, at, number = _MARK.unpack_from(self._page.audit_mark(device.config.slot))
        return _Mark(log.hex(), seq, inode, at, number)

    def _note(self, device: Device, checkpoint: Checkpoint, inode: int) -> None:
        area = self._page.audit_mark(device.config.slot)
        _MARK.pack_into(area, 0, bytes.fromhex(checkpoint.log), checkpoint.seq, inode, self._clock.monotonic(), checkpoint.number)

    # -- signing ------------------------------------------------------------------------------------------------------

    def _cover(self, devices: Iterable[Device], reason: str) -> None:
        for device in devices:
            head = _find_head(device)
            found = self._find_reason(device)
            if head is not None and (found or (reason and self._read_mark(device).seq != head.number)):
                self._cover_one(device, head, reason or found)

    def _cover_one(self, device: Device, head: Head, reason: str) -> None:
        last, mark = find_last(self._store.read(), head.log), self._read_mark(device)
        if last is not None:
            if (mark.log, mark.number) != (head.log, last.statement.number):
                self._place.append(last.line)
                self._note(device, last.statement, head.position.inode)
            if (last.statement.seq, last.statement.hash) == (head.number, head.hash):
                return
            if last.statement.seq >= head.number:
                _log.error("an audit log lacks records that a checkpoint covers", device=device.config.path, record=head.number + 1)
        _keep(device, head)
        signed = self._store.run(partial(self._sign, device, head, reason))
        self._place.append(signed.line)
        self._note(device, signed.statement, head.position.inode)

    def _sign(self, device: Device, head: Head, reason: str, transaction: Transaction) -> Signed[Checkpoint]:
        key, last = get_key(transaction), find_last(transaction, head.log)
        checkpoint = Checkpoint(
            time=format_rfc3339_nano(self._clock.now_ns()),
            reason=reason,
            device=device.config.path,
            medium=device.config.kind,
            log=head.log,
            seq=head.number,
            hash=head.hash,
            count=head.number - (last.statement.seq if last else 0),
            number=(last.statement.number if last else 0) + 1,
            prev=last.hash if last else NO_CHECKPOINT,
            key=key.public.id,
        )
        signed = Signed(checkpoint, sign(checkpoint, key))
        transaction.put(PREFIX + head.log, signed.line)
        return signed


def find_last(transaction: Transaction, log: str) -> Signed[Checkpoint] | None:
    """Return the last checkpoint of a log."""
    entry = transaction.get(PREFIX + log)
    return None if entry is None else entry.decode(parse_checkpoint)


def list_last(transaction: Transaction) -> tuple[Signed[Checkpoint], ...]:
    """Return the last checkpoint of every log of the cluster."""
    found = (find_last(transaction, log) for log in transaction.list_children(PREFIX))
    return tuple(last for last in found if last is not None)


def _find_head(device: Device) -> Head | None:
    """Return the last record of a device; None also where a log has begun and its first record was refused."""
    head = device.chain.find_head()
    return head if head is not None and head.number > 0 else None


def _keep(device: Device, head: Head) -> None:
    """Bring the records of a file to the disk before they are signed for: what a checkpoint covers outlives a loss of power."""
    if device.config.kind != "file" or not head.position.inode:
        return
    with suppress(FileNotFoundError):  # moved away meanwhile
        file = os.open(file_path(device.config), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.fdatasync(file)
        finally:
            os.close(file)
