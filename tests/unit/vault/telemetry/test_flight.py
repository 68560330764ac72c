from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.telemetry.flight import SLOT_BYTES, Slots, list_flights


def make(path: str, identity: str = "r") -> Request:
    """Return a request."""
    return Request(id=identity, operation=Operation.LIST, path=path, remote_address="192.0.2.1", remote_port=9)


def test_flight_is_shown_as_long_as_it_lasts() -> None:
    """A request shows who asks for what since when, and is gone once it is answered."""
    memory = memoryview(bytearray(2 * SLOT_BYTES))
    slots = Slots(memory)
    place = slots.begin(make("a/b/"), 7)
    slots.name_client(place, b"client")
    (flight,) = list_flights(memory)
    assert (flight.id, flight.begun_ns, flight.address, flight.method) == ("r", 7, "192.0.2.1:9", "LIST")
    assert (flight.path, flight.client_id) == ("a/b/", "client")
    slots.end(place)
    assert list(list_flights(memory)) == []


def test_next_request_has_not_the_client_of_the_last() -> None:
    """A place that is used again tells nothing of who used it before."""
    memory = memoryview(bytearray(SLOT_BYTES))
    slots = Slots(memory)
    place = slots.begin(make("a"), 1)
    slots.name_client(place, b"client")
    slots.end(place)
    slots.begin(make("b"), 2)
    assert [(flight.path, flight.client_id) for flight in list_flights(memory)] == [("b", "")]


def test_long_and_strange_paths_are_cut() -> None:
    """Whatever a path holds, it stays in its place."""
    memory = memoryview(bytearray(2 * SLOT_BYTES))
    slots = Slots(memory)
    slots.begin(make("é\n" * SLOT_BYTES), 1)
    slots.begin(make("b", "other"), 2)
    assert {flight.id for flight in list_flights(memory)} == {"r", "other"}


def test_more_requests_than_places_are_not_shown() -> None:
    """Without a place a request is answered all the same."""
    memory = memoryview(bytearray(SLOT_BYTES))
    slots = Slots(memory)
    slots.begin(make("a"), 1)
    place = slots.begin(make("b"), 2)
    slots.name_client(place, b"client")
    slots.end(place)
    assert [flight.path for flight in list_flights(memory)] == ["a"]


def test_what_a_dead_worker_left_is_cleared() -> None:
    """Who takes a piece over begins with no requests."""
    memory = memoryview(bytearray(SLOT_BYTES))
    Slots(memory).begin(make("a"), 1)
    Slots(memory)
    assert list(list_flights(memory)) == []


def test_half_written_place_is_left_out() -> None:
    """A place that is being changed is not shown."""
    memory = memoryview(bytearray(SLOT_BYTES))
    Slots(memory).begin(make("a"), 1)
    memory[0] |= 1
    assert list(list_flights(memory)) == []
