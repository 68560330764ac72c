"""The connections that wait with the poller: for a request, for the rest of one, or for room to send."""

import functools
import selectors
from collections.abc import Callable
from typing import Any

from api.connection import Connection, Phase
from vault import limits

_IN_REQUEST = frozenset({Phase.HEAD, Phase.BODY})
_IN_ANSWER = frozenset({Phase.BODY, Phase.SEND})
_EVICTABLE = (frozenset(Phase) - _IN_ANSWER, frozenset({Phase.BODY}), frozenset({Phase.SEND}))


class Parking:
    """Where connections wait, and how many bytes they hold meanwhile. Used by the poller's thread only."""

    def __init__(
        self, poller: selectors.BaseSelector, wake: Callable[[Connection, Any], None], bytes_max: int = limits.PARKED_BYTES_MAX
    ) -> None:
        self._poller = poller
        self._wake = wake
        self._held: dict[Connection, int] = {}  # in the order in which they came
        self._bytes = 0
        self._bytes_max = bytes_max

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, connection: Connection) -> bool:
        return connection in self._held

    def add(self, connection: Connection) -> bool:
        """Take a connection; return False where its request would make all that wait hold too much."""
        held = max(0, connection.held - limits.PARKED_BYTES_FREE)
        if connection.phase in _IN_REQUEST and held and self._bytes + held > self._bytes_max:
            return False
        self._held[connection] = held
        self._bytes += held
        event = selectors.EVENT_WRITE if connection.wants_write else selectors.EVENT_READ
        self._poller.register(connection.sock, event, functools.partial(self._wake, connection))
        return True

    def remove(self, connection: Connection) -> None:
        """Let a connection go."""
        self._poller.unregister(connection.sock)
        self._bytes -= self._held.pop(connection)

    def list_due(self, now: float) -> list[Connection]:
        """Return those whose time is over, and the answers that wait longest to be taken while all that wait hold too much."""
        excess = self._bytes - self._bytes_max
        due = []
        for connection, held in self._held.items():
            crowds = excess > 0 and held > 0 and connection.phase is Phase.SEND
            if crowds or connection.deadline <= now:
                due.append(connection)
                excess -= held
        return due

    def list_idle(self) -> list[Connection]:
        """Return those with which no answer is being worked on, the one that waits longest first."""
        return [connection for connection in self._held if connection.phase not in _IN_ANSWER]

    def find_evictable(self) -> Connection | None:
        """Return the connection that is missed least: one without a request, else one whose body is late, else an unread answer."""
        for phases in _EVICTABLE:
            found = next((connection for connection in self._held if connection.phase in phases), None)
            if found is not None:
                return found
        return None
