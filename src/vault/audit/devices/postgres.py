"""A device that adds records to a table of the database, in a transaction of their own.

Each start of a host begins a log of its own, whose first record names the log that the host wrote before: two hosts never write to one
log, and a log whose end was cut off is told by the next one. The chain's position says nothing here: every write tells the database
which number comes next, and the database refuses any other.
"""

import hashlib
import re
import socket
from collections.abc import Callable
from typing import Protocol

import orjson

from vault.audit.chain import GENESIS, follows, make_line, parse_head
from vault.audit.sink import NOTING, WHOLE, Head, Position
from vault.crypto import random

_PLACE = re.compile(rb',"log":"([0-9a-f]{32})","seq":([0-9]+),"prev":"[0-9a-f]{64}","hash":"[0-9a-f]{64}"}\Z')
_NOWHERE = Position()
_LOG_BYTES = 16
_PAGE = 500


class Rows(Protocol):
    """The audit tables."""

    def allow(self, seconds: float) -> None:
        """Let all calls until the next one of this wait no longer than that, together."""

    def append(self, log: str, first: int, lines: list[bytes]) -> int:
        """Add records; return the last number of the log before: nothing was added unless it is one less than `first`."""

    def list_after(self, log: str, number: int, limit: int) -> tuple[bytes, ...]:
        """Return records of a log after a number, in order."""

    def find_end(self, log: str) -> bytes | None:
        """Return the last record of a log; None if it has none."""

    def begin(self, log: str, host: str, device: str) -> None:
        """Note that a log begins."""

    def find_last(self, host: str, device: str) -> bytes | None:
        """Return the last record of the log that a host wrote before; None if there is none."""


class TableSink:
    """One device of one worker. Its rows raise TimeoutError when the database hangs, OSError for all else."""

    pause_seconds = 1.0  # connecting to a server that hangs keeps its thread waiting for two

    def __init__(self, rows: Rows, device: str, now: Callable[[], str]) -> None:
        self._rows = rows
        self._device = device
        self._now = now

    def allow(self, seconds: float) -> None:
        """Bound the wait for the database."""
        self._rows.allow(seconds)

    def open(self, known: Head | None) -> Position:
        """Return a position that never moves."""
        del known
        return _NOWHERE

    def recover(self, known: Head | None) -> tuple[Head | None, int]:
        """Return the last record of this host's log in the table, or the first one of a new log."""
        if known is None:
            return self._begin(_describe(self._rows.find_last(socket.gethostname(), self._device))), 0
        found = self._follow(known)
        if found is None:  # rows are gone, or somebody else's: what this host wrote last stands in the log that follows
            found = self._begin({"log": known.log, "seq": known.number, "hash": known.hash})
        return found, 0

    def _follow(self, known: Head) -> Head | None:
        """Return the last record that continues what is known; None if the table holds something else."""
        try:
            if known.state == NOTING:  # half old and half new, but for the name of the log
                last = self._rows.find_end(known.log)
                return None if last is None else parse_head(last, _NOWHERE)
            lines = self._rows.list_after(known.log, known.number - 1, 1)
            if not lines or parse_head(lines[0], _NOWHERE)[:3] != known[:3]:
                return None
            while lines := self._rows.list_after(known.log, known.number, _PAGE):
                for line in lines:
                    if not follows(line, known):
                        return None
                    known = parse_head(line, _NOWHERE)
        except ValueError:  # what stands there is no record
            return None
        return known._replace(position=_NOWHERE, state=WHOLE)

    def _begin(self, before: dict[str, object] | None) -> Head:
        """Begin a log; its first record names the one before."""
        log = random.random_bytes(_LOG_BYTES).hex()
        host = socket.gethostname()
        record: dict[str, object] = {"time": self._now(), "type": "begin", "host": host, "device": self._device}
        if before is not None:
            record["before"] = before
        line, digest = make_line(orjson.dumps(record)[:-1], log, 1, GENESIS)
        self._rows.begin(log, host, self._device)
        if self._rows.append(log, 1, [line[:-1]]) != 0:
            raise OSError("the new audit log has records already")
        return Head(1, digest, log, _NOWHERE)

    def write(self, data: bytes, position: Position) -> Position:
        """Add every line, all or none; raises OSError, TimeoutError where that is not known."""
        lines = data.split(b"\n")[:-1]
        place = _PLACE.search(lines[0])
        if place is None:
            raise ValueError("no record")
        log, first = place[1].decode(), int(place[2])
        last = self._rows.append(log, first, lines)
        if last != first - 1:
            raise OSError(f"the audit table ends at record {last} of this log, not at {first - 1}")
        return position


def _describe(line: bytes | None) -> dict[str, object] | None:
    """Return how a log names the one before it, whose last record may have been changed."""
    if line is None:
        return None
    try:
        head = parse_head(line, _NOWHERE)
    except ValueError:
        return {"damaged": True, "line_hash": hashlib.sha256(line).hexdigest()}
    return {"log": head.log, "seq": head.number, "hash": head.hash}
