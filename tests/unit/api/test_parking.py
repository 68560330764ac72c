import selectors
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from api.connection import Phase
from api.parking import Parking
from vault import limits

FREE = limits.PARKED_BYTES_FREE


class FakeConnection:
    def __init__(self, phase: Phase, held: int = 0, deadline: float = 0.0) -> None:
        self.phase, self.held, self.deadline = phase, held, deadline
        self.wants_write = phase is Phase.SEND
        self.sock, self.peer = socket.socketpair()

    def close(self) -> None:
        self.sock.close()
        self.peer.close()


class Lot:
    """A parking of a hundred bytes, and who was woken."""

    def __init__(self) -> None:
        self.poller = selectors.DefaultSelector()
        self.woken: list[Any] = []
        self.parking = Parking(self.poller, lambda connection, _: self.woken.append(connection), bytes_max=100)
        self.made: list[FakeConnection] = []

    def make(self, phase: Phase, held: int = 0, deadline: float = 0.0) -> Any:
        self.made.append(FakeConnection(phase, held, deadline))
        return self.made[-1]


@pytest.fixture
def lot() -> Iterator[Lot]:
    """Return an empty parking."""
    lot = Lot()
    yield lot
    lot.poller.close()
    for connection in lot.made:
        connection.close()


def test_request_is_refused_when_all_hold_too_much(lot: Lot) -> None:
    """One request more than there is room for is not waited for; answers and small requests always are."""
    assert lot.parking.add(lot.make(Phase.BODY, FREE + 90))
    assert not lot.parking.add(lot.make(Phase.BODY, FREE + 11))
    assert not lot.parking.add(lot.make(Phase.HEAD, FREE + 11))
    assert lot.parking.add(lot.make(Phase.BODY, FREE))
    assert lot.parking.add(lot.make(Phase.SEND, FREE + 1000))
    assert len(lot.parking) == 3


def test_room_comes_back(lot: Lot) -> None:
    """Who leaves takes its bytes along."""
    first = lot.make(Phase.BODY, FREE + 90)
    lot.parking.add(first)
    first.held = 0  # what it held when it came counts
    lot.parking.remove(first)
    assert lot.parking.add(lot.make(Phase.BODY, FREE + 90))


def test_connection_is_woken_by_what_it_waits_for(lot: Lot) -> None:
    """Bytes wake who reads, room wakes who sends."""
    reads, sends = lot.make(Phase.KEPT), lot.make(Phase.SEND)
    lot.parking.add(reads)
    lot.parking.add(sends)
    for key, _ in lot.poller.select(0):
        key.data(key.fileobj)
    assert lot.woken == [sends]
    reads.peer.send(b"x")
    lot.parking.remove(sends)
    for key, _ in lot.poller.select(1):
        key.data(key.fileobj)
    assert lot.woken == [sends, reads]


def test_those_in_an_answer_are_spared(lot: Lot) -> None:
    """Idle connections make room for others, the oldest first; requests that are nearly there do not."""
    body, oldest, fresh = lot.make(Phase.BODY), lot.make(Phase.KEPT, deadline=5.0), lot.make(Phase.FRESH, deadline=9.0)
    for connection in (body, oldest, fresh):
        lot.parking.add(connection)
    assert lot.parking.find_evictable() is oldest
    assert lot.parking.list_idle() == [oldest, fresh]
    assert lot.parking.list_due(5.0) == [body, oldest]


def test_answers_that_nobody_takes_go_when_all_hold_too_much(lot: Lot) -> None:
    """Clients that do not read cannot fill the memory: who has waited longest goes, until what is left may stay."""
    stuck = [lot.make(Phase.SEND, FREE + 60, deadline=9.0) for _ in range(3)]
    lot.parking.add(lot.make(Phase.KEPT, deadline=9.0))
    for connection in stuck:
        lot.parking.add(connection)
    assert lot.parking.list_due(1.0) == stuck[:2]


def test_late_bodies_make_room_before_unread_answers(lot: Lot) -> None:
    """Where no connection is idle, the oldest request that is not whole goes."""
    answer, body, later = lot.make(Phase.SEND), lot.make(Phase.BODY), lot.make(Phase.BODY)
    for connection in (answer, body, later):
        lot.parking.add(connection)
    for expected in (body, later, answer, None):
        assert lot.parking.find_evictable() is expected
        if expected is not None:
            lot.parking.remove(expected)
