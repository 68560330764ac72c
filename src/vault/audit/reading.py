"""Reads audit logs as people do: the two records of a request are one event, with who did what, where, and how it ended.

Lenient where the verifier is strict: what is no record is left out, and a request without an answer is shown as one.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import orjson

from vault.audit.chain import BEGINNING

_OPEN_MAX = 10_000  # requests whose answer is looked for; more are not under way at one time
_UNANSWERED = "no answer on record"


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What one request was, or what happened to a device. Texts may hold anything that a client sent."""

    time: str
    who: str
    entity: str
    accessor: str
    operation: str
    path: str
    outcome: str
    address: str
    records: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which events are wanted; empty parts want all."""

    path: str = ""  # with * and ?, which stand for slashes, too
    entity: str = ""  # entity id, display name or accessor
    operation: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def wants(self, event: Event) -> bool:
        """Return whether an event is one of those."""
        if self.path and not fnmatchcase(event.path, self.path):
            return False
        if self.entity and self.entity not in {event.entity, event.who, event.accessor}:
            return False
        if self.operation and event.operation != self.operation:
            return False
        return (self.since is None and self.until is None) or self._is_within(event.time)

    def _is_within(self, text: str) -> bool:
        time = parse_time(text)
        return time is not None and (self.since is None or time >= self.since) and (self.until is None or time < self.until)


def parse_time(text: str) -> datetime | None:
    """Return the time that a record names."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Joiner:
    """Joins the records of requests, which may overlap."""

    def __init__(self) -> None:
        self._open: OrderedDict[str, Mapping[str, Any]] = OrderedDict()

    def join(self, lines: Iterable[bytes]) -> Iterator[Event]:
        """Yield an event for each line that completes one, in the order of the answers."""
        for line in lines:
            record = _parse(line)
            if record is not None:
                yield from self._take(record)

    def rest(self) -> Iterator[Event]:
        """Yield the requests whose answer has not come."""
        for record in self._open.values():
            yield _make_event((record,), _UNANSWERED)
        self._open.clear()

    def _take(self, record: Mapping[str, Any]) -> Iterator[Event]:
        request, kind = _member(record, "request"), record.get("type")
        key = str(request.get("id"))
        if kind == "request":
            self._open[key] = record
            if len(self._open) > _OPEN_MAX:
                yield _make_event((self._open.popitem(last=False)[1],), _UNANSWERED)
            return
        if kind == "response":
            before = self._open.pop(key, None)
            yield _make_event((record,) if before is None else (before, record), str(record.get("error") or "ok"))
        else:
            yield _make_event((record,), str(record.get("error") or kind))


def _parse(line: bytes) -> Mapping[str, Any] | None:
    try:
        record = orjson.loads(line[max(line.find(BEGINNING), 0) :])
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _member(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _make_event(records: tuple[Mapping[str, Any], ...], outcome: str) -> Event:
    last = records[-1]
    auth, request = _member(last, "auth"), _member(last, "request")
    granted = _member(_member(last, "response"), "auth")  # of a login: it is not known before who asks
    return Event(
        time=str(records[0].get("time", "")),
        who=str(auth.get("display_name") or granted.get("display_name") or ""),
        entity=str(auth.get("entity_id") or granted.get("entity_id") or ""),
        accessor=str(auth.get("accessor") or ""),
        operation=str(request.get("operation") or last.get("type") or ""),
        path=str(request.get("path") or ""),
        outcome=outcome,
        address=str(request.get("remote_address") or ""),
        records=records,
    )
