"""Counts what this worker does, in memory that every worker of the host can read.

The cost of a request is a look-up of its mount and three additions. Mounts get their number from a shared table of names; only those
of the mount table come into it, and when it is full the rest share one.
"""

import mmap
import struct
import threading
from base64 import b64encode
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha256
from types import TracebackType
from typing import Self

from vault.clock import Clock, SystemClock
from vault.host import TELEMETRY_LOCK, HostPage
from vault.logical.request import Request
from vault.logical.token import Token
from vault.telemetry import layout
from vault.telemetry.flight import SLOT_BYTES, Flight, Slots, list_flights
from vault.telemetry.layout import Number
from vault.telemetry.regions import Regions

REGIONS = 128  # workers that live at the same time; a reload has twice as many for a moment
_NUMBERS_BYTES = 8 * layout.ALL
_NAME_BYTES = 1024
_OTHER = "other"
_COUNTED = struct.Struct("<ddd")  # tokens, leases, when


class Shared:
    """What the workers of a host share for this: their pieces, and the names of mounts. Made before the fork."""

    def __init__(self, threads: int, page: HostPage) -> None:
        slots_bytes = (threads + 2) * SLOT_BYTES  # background work goes past the core, but may come to use it
        self.regions = Regions(REGIONS, _NUMBERS_BYTES + slots_bytes)
        self._page = page
        self._names = mmap.mmap(-1, 8 + layout.MOUNTS_MAX * _NAME_BYTES, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        self._counted = mmap.mmap(-1, _COUNTED.size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)

    def list_mounts(self) -> list[str]:
        """Return the mounts that have a number, by number; the first is no mount."""
        known = int.from_bytes(self._names[:8], "little")
        return ["", *(self._read_name(number) for number in range(known))]

    def _read_name(self, number: int) -> str:
        place = 8 + number * _NAME_BYTES
        return self._names[place : place + _NAME_BYTES].rstrip(b"\0").decode("utf-8", "replace")

    def find_mount(self, path: str) -> int:
        """Return the number of a mount; the last one if there are too many."""
        with self._page.lock(TELEMETRY_LOCK):
            known = self.list_mounts()
            name = path.encode()
            if path in known:
                return known.index(path)
            if len(known) >= layout.MOUNTS_MAX - 1 or len(name) >= _NAME_BYTES:
                return layout.MOUNTS_MAX - 1
            place = 8 + (len(known) - 1) * _NAME_BYTES
            self._names[place : place + len(name)] = name
            self._names[:8] = len(known).to_bytes(8, "little")
            return len(known)

    def remember(self, count: Callable[[], tuple[int, int]], now: float, seconds: float) -> tuple[int, int]:
        """Return two numbers that some worker counted within so many seconds; count them if none did."""
        tokens, leases, counted_at = _COUNTED.unpack(self._counted[: _COUNTED.size])
        if counted_at and now - counted_at < seconds:
            return int(tokens), int(leases)
        found = count()
        self._counted[: _COUNTED.size] = _COUNTED.pack(*found, now)
        return found


_RECORDS = {
    (True, True): Number.AUDIT_REQUESTS,
    (True, False): Number.AUDIT_REQUEST_FAILURES,
    (False, True): Number.AUDIT_RESPONSES,
    (False, False): Number.AUDIT_RESPONSE_FAILURES,
}


@lru_cache(maxsize=1024)
def _hash_policies(policies: tuple[str, ...]) -> bytes:
    """Return what Vault calls a client that has no entity: a hash of its policies."""
    return b64encode(sha256("\0".join(sorted(policies)).encode()).digest())


class Observer:
    """Counts for one worker. Before `start` it counts for itself alone."""

    def __init__(self, shared: Shared | None = None, clock: Clock | None = None) -> None:
        self._shared = shared
        self._monotonic = (clock or SystemClock()).monotonic
        self._now_ns = (clock or SystemClock()).now_ns
        self._lock = threading.Lock()
        self._blocks: dict[str, int] = {}
        self._use(memoryview(bytearray(_NUMBERS_BYTES + SLOT_BYTES)) if shared else None)

    def _use(self, region: memoryview | None) -> None:
        self._numbers = None if region is None else region[:_NUMBERS_BYTES].cast("d")
        self._slots = None if region is None else Slots(region[_NUMBERS_BYTES:])

    def start(self) -> bool:
        """Count where everybody sees it; call after the fork. Returns whether there was a place left."""
        region = self._shared.regions.claim() if self._shared else None
        if region is None:
            return False
        self._use(region)
        for number in range(layout.FIRST_GAUGE, layout.NUMBERS):
            self.set(number, 0)
        return True

    # -- counting -----------------------------------------------------------------------------------------------------

    def watch(self, request: Request) -> "Watch":
        """Return what observes a request, to be used in a with statement."""
        return Watch(self, request)

    def count_request(self, request: Request, mount: str, seconds: float, error: BaseException | None) -> None:
        """Count a request."""
        numbers = self._numbers
        if numbers is None:
            return
        block = self._blocks.get(mount)
        if block is None:
            block = self._find_block(mount)
        block += layout.OFFSETS[request.operation]
        outcome = block + (0 if error is None else layout.find_outcome(error))
        bucket = block + layout.BUCKETS + bisect_left(layout.BOUNDS, seconds)
        with self._lock:
            numbers[outcome] += 1
            numbers[bucket] += 1
            numbers[block + layout.SUM] += seconds

    def _find_block(self, mount: str) -> int:
        number = self._shared.find_mount(mount) if mount and self._shared else 0
        if len(self._blocks) > layout.MOUNTS_MAX:  # mounts come and go
            self._blocks.clear()
        block = self._blocks[mount] = layout.MOUNTS + number * layout.MOUNT_NUMBERS
        return block

    def add(self, number: int, amount: float = 1) -> None:
        """Add to a number."""
        if self._numbers is not None:
            with self._lock:
                self._numbers[number] += amount

    def set(self, number: int, value: float) -> None:
        """Set a number that is true of the present only."""
        if self._numbers is not None:
            self._numbers[number] = value

    def count_record(self, kind: str, *, accepted: bool, taken: Sequence[int], refused: Sequence[int]) -> None:
        """Count a record: whether it is on record at all, and what became of it at each audit device, by slot."""
        numbers = self._numbers
        if numbers is None:
            return
        number = _RECORDS[kind == "request", accepted]
        with self._lock:
            numbers[number] += 1
            for slot in taken:
                numbers[layout.AUDIT + 2 * slot] += 1
            for slot in refused:
                numbers[layout.AUDIT + 2 * slot + 1] += 1

    # -- reading ------------------------------------------------------------------------------------------------------

    def read_all(self) -> list[Sequence[float]]:
        """Return the numbers of every worker that ever counted, the dead included."""
        regions = self._shared.regions if self._shared else None
        return [] if regions is None else [regions.region(number)[:_NUMBERS_BYTES].cast("d") for number in regions.list_used()]

    def read_living(self) -> list[Sequence[float]]:
        """Return the numbers of the workers that live."""
        regions = self._shared.regions if self._shared else None
        return [] if regions is None else [regions.region(number)[:_NUMBERS_BYTES].cast("d") for number in regions.list_held()]

    def list_mounts(self) -> list[tuple[str, int]]:
        """Return the mounts that were counted, and where their numbers lie."""
        names = self._shared.list_mounts() if self._shared else []
        blocks = [(name, layout.MOUNTS + number * layout.MOUNT_NUMBERS) for number, name in enumerate(names)]
        return [*blocks, (_OTHER, layout.MOUNTS + (layout.MOUNTS_MAX - 1) * layout.MOUNT_NUMBERS)]

    def list_flights(self) -> list[Flight]:
        """Return the requests that any worker of this host is answering."""
        regions = self._shared.regions if self._shared else None
        if regions is None:
            return []
        return [flight for number in regions.list_held() for flight in list_flights(regions.region(number)[_NUMBERS_BYTES:])]

    def remember_counts(self, count: Callable[[], tuple[int, int]], seconds: float) -> tuple[int, int]:
        """Return the numbers of tokens and leases, counted at most every so many seconds by any worker of this host."""
        return self._shared.remember(count, self._monotonic(), seconds) if self._shared else count()

    # -- one request --------------------------------------------------------------------------------------------------

    def begin(self, request: Request) -> tuple[float, int]:
        """Note that a request is being answered; return when it began and its place."""
        slots = self._slots
        return self._monotonic(), -1 if slots is None else slots.begin(request, self._now_ns())

    def recognise(self, place: int, token: Token) -> None:
        """Note whose request it is."""
        if self._slots is not None:
            self._slots.name_client(place, token.entity_id.encode()[:48] or _hash_policies(token.policies))

    def end(self, request: Request, place: int, begun: float, mount: str, error: BaseException | None) -> None:
        """Count a request that was answered."""
        if self._slots is not None:
            self._slots.end(place)
        self.count_request(request, mount, self._monotonic() - begun, error)


class Watch:
    """Observes one request. `mount` is set once it is known."""

    __slots__ = ("_begun", "_observer", "_place", "_request", "mount")

    def __init__(self, observer: Observer, request: Request) -> None:
        self._observer = observer
        self._request = request
        self.mount = ""

    def __enter__(self) -> Self:
        self._begun, self._place = self._observer.begin(self._request)
        return self

    def recognise(self, token: Token) -> None:
        """Note whose request it is."""
        self._observer.recognise(self._place, token)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._observer.end(self._request, self._place, self._begun, self.mount, error)
