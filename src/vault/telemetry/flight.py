"""Which requests are being answered right now, for `sys/in-flight-req`: a fixed place of shared memory for each thread.

A reader looks at the number of changes before and after, and leaves out what changed meanwhile.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from vault.logical.operation import Operation
from vault.logical.request import Request

SLOT_BYTES = 1024
_HEAD = struct.Struct("<IIQ")  # changes, length of the text, begin in unix nanoseconds
_CLIENT = 16
_CLIENT_BYTES = 64
_TEXT = _CLIENT + _CLIENT_BYTES
_TEXT_MAX = SLOT_BYTES - _TEXT
_METHODS = {Operation.READ: "GET", Operation.UPDATE: "PUT", Operation.CREATE: "PUT", Operation.HELP: "GET"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Flight:
    """A request that is being answered."""

    id: str
    begun_ns: int
    address: str
    method: str
    path: str
    client_id: str


class Slots:
    """The places of one worker. More requests than places are not shown."""

    def __init__(self, memory: memoryview) -> None:
        self._memory = memory
        self._free = list(range(len(memory) // SLOT_BYTES))
        self.clear()

    def clear(self) -> None:
        """Forget what a dead worker left."""
        for number in self._free:
            _HEAD.pack_into(self._memory, number * SLOT_BYTES, 0, 0, 0)

    def begin(self, request: Request, now_ns: int) -> int:
        """Note a request; return its place, or -1."""
        try:
            place = self._free.pop() * SLOT_BYTES
        except IndexError:
            return -1
        method = _METHODS.get(request.operation) or request.operation.value.upper()
        text = f"{request.id}\n{request.remote_address}:{request.remote_port}\n{method}\n{request.path}".encode("utf-8", "replace")[
            :_TEXT_MAX
        ]
        changes = _HEAD.unpack_from(self._memory, place)[0]
        _HEAD.pack_into(self._memory, place, changes | 1, 0, 0)
        self._memory[place + _CLIENT : place + _TEXT + len(text)] = bytes(_CLIENT_BYTES) + text
        _HEAD.pack_into(self._memory, place, (changes + 2) & 0xFFFFFFFE, len(text), now_ns)
        return place

    def name_client(self, place: int, client_id: bytes) -> None:
        """Note whose request it is."""
        if place >= 0:
            self._memory[place + _CLIENT : place + _CLIENT + len(client_id)] = client_id

    def end(self, place: int) -> None:
        """Free a place."""
        if place >= 0:
            changes = _HEAD.unpack_from(self._memory, place)[0]
            _HEAD.pack_into(self._memory, place, (changes + 2) & 0xFFFFFFFE, 0, 0)
            self._free.append(place // SLOT_BYTES)


def list_flights(memory: memoryview) -> Iterator[Flight]:
    """Return the requests in a worker's places."""
    for place in range(0, len(memory), SLOT_BYTES):
        slot = bytes(memory[place : place + SLOT_BYTES])
        changes, length, begun_ns = _HEAD.unpack_from(slot)
        if length and not changes % 2 and _HEAD.unpack_from(memory, place) == (changes, length, begun_ns):
            parts = slot[_TEXT : _TEXT + length].decode("utf-8", "ignore").split("\n", 3)
            client_id = slot[_CLIENT:_TEXT].rstrip(b"\0").decode("ascii", "ignore")
            if len(parts) == 4:
                yield Flight(id=parts[0], address=parts[1], method=parts[2], path=parts[3], begun_ns=begun_ns, client_id=client_id)
