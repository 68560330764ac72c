"""How long the records of a request may take in all, whatever hangs: by a clock that the hanging devices move."""

import pytest

from tests.unit.vault.audit.world import MOUNT, SALT, Clock, Page, make_principal, make_request, now
from vault.audit.chain import RECORD_SECONDS_MAX, Chain
from vault.audit.device import Device, DeviceConfig, make_hasher
from vault.audit.sink import Head, Position
from vault.audit.trail import SECONDS_MIN, Broker
from vault.errors import AuditFailed, StorageUnavailable
from vault.logical.request import Request

DEVICES_MAX = 6
SECONDS_MAX = 5.0


class SlowSink:
    """Waits for as long as it may, two seconds at most, and then takes nothing; or takes everything after some time.

    As streams do, it waits no more once it has hung.
    """

    pause_seconds = 0.0

    def __init__(self, clock: Clock, works_after_seconds: float | None = None) -> None:
        self._clock = clock
        self.works_after_seconds = works_after_seconds
        self._seconds = 0.0
        self._has_hung = False
        self.records = 0

    def allow(self, seconds: float) -> None:
        self._seconds = seconds

    def open(self, known: Head | None) -> Position:
        self._has_hung = False
        return Position()

    def recover(self, known: Head | None) -> tuple[Head | None, int]:
        self._has_hung = known is not None
        return (known._replace(state=1) if known else None), 0

    def write(self, data: bytes, position: Position) -> Position:
        needed = 2.0 if self.works_after_seconds is None else self.works_after_seconds
        if self.works_after_seconds is not None or not self._has_hung:
            self._clock.now += min(needed, self._seconds)
        if self.works_after_seconds is None or needed > self._seconds:
            raise TimeoutError
        self.records += 1
        return position


def make_broker(clock: Clock, sinks: list[SlowSink]) -> Broker:
    """Return a broker with a device for each sink."""
    page, broker, devices = Page(), Broker(now, monotonic=clock.monotonic), []
    for number, sink in enumerate(sinks):
        config = DeviceConfig(path=f"d{number}/", kind="file", slot=number)
        area = memoryview(bytearray(len(page.areas[0])))
        chain = Chain(sink, area, lambda: page.lock(0), now, monotonic=clock.monotonic)
        devices.append(Device(config, make_hasher(config, SALT), chain))
    broker.devices = tuple(devices)
    return broker


@pytest.mark.parametrize("count", range(1, DEVICES_MAX + 1))
def test_devices_that_hang_together_share_the_time(count: int) -> None:
    """However many there are, the request is refused within five seconds, and its last record is tried once more."""
    clock = Clock()
    request = make_request()
    with pytest.raises(AuditFailed), make_broker(clock, [SlowSink(clock) for _ in range(count)]).open(request) as trail:
        trail.admit(make_principal(request), MOUNT)
    assert clock.now - 1000 <= RECORD_SECONDS_MAX


def answer_while_all_hang(broker: Broker, request: Request, sinks: list[SlowSink]) -> None:
    """Put a request on record, and its answer when all devices hang."""
    with broker.open(request) as trail:
        trail.admit(make_principal(request), MOUNT)
        for sink in sinks:
            sink.works_after_seconds = None
        trail.close(None)


@pytest.mark.parametrize("count", range(1, DEVICES_MAX + 1))
def test_devices_that_begin_to_hang_between_two_records_share_the_time(count: int) -> None:
    """Also where the response cannot be put on record, nor that it could not, and some hang already with the request."""
    for before in range(count):
        clock = Clock()
        sinks = [SlowSink(clock, None if number < before else 0.0) for number in range(count)]
        request = make_request()
        broker = make_broker(clock, sinks)
        with pytest.raises(AuditFailed):
            answer_while_all_hang(broker, request, sinks)
        assert clock.now - 1000 <= RECORD_SECONDS_MAX + 2 * SECONDS_MIN <= SECONDS_MAX


def fail_slowly(broker: Broker, clock: Clock) -> None:
    """Have a request whose storage hangs."""
    with broker.open(make_request()):
        clock.now += 4.0
        raise StorageUnavailable


@pytest.mark.parametrize("count", range(1, DEVICES_MAX + 1))
def test_time_that_the_storage_took_is_gone(count: int) -> None:
    """A database that hangs may be storage and device at once: both together answer in time."""
    clock = Clock()
    broker = make_broker(clock, [SlowSink(clock) for _ in range(count)])
    with pytest.raises(AuditFailed):
        fail_slowly(broker, clock)
    assert clock.now - 1000 <= RECORD_SECONDS_MAX + 2 * SECONDS_MIN


@pytest.mark.parametrize("count", range(1, DEVICES_MAX + 1))
def test_device_that_works_has_time_behind_those_that_hang(count: int) -> None:
    """The last device stands in for all the others, though it needs a while."""
    clock = Clock()
    sinks = [*(SlowSink(clock) for _ in range(count - 1)), SlowSink(clock, 0.2)]
    request = make_request()
    with make_broker(clock, sinks).open(request) as trail:
        trail.admit(make_principal(request), MOUNT)
        trail.close(None)
    assert sinks[-1].records == 2
    assert clock.now - 1000 <= SECONDS_MAX


def test_slow_device_alone_is_not_cut_short() -> None:
    """A device that takes its time is no device that hangs: both records may need nearly all of it."""
    clock = Clock()
    sink = SlowSink(clock, 1.9)
    request = make_request()
    with make_broker(clock, [sink]).open(request) as trail:
        trail.admit(make_principal(request), MOUNT)
        trail.close(None)
    assert sink.records == 2
