"""Removes what the audit table has kept long enough: whole partitions, each under a signed record of how its logs end.

The closing record is a row first, then stands in the table of the checkpoints, and only then the partition is detached; a process that
is killed in between is finished by the next. The detached table stays in the database, for its owner to export and drop.
"""

from collections.abc import Callable
from functools import partial

import structlog

from vault import limits
from vault.audit.chain import parse_line
from vault.audit.checkpoint import NO_CHECKPOINT, ClosedLog, Closing, Signed, parse_closing, sign
from vault.audit.signing import get_key
from vault.clock import Clock, format_rfc3339_nano
from vault.storage.evidence import CLOSING, CheckpointTable, Partitions
from vault.storage.evidence_statement import End, Partition
from vault.storage.transaction import Transaction

LAST_CLOSING = "core/audit-closing"
_INTERVAL_SECONDS = 3600.0
_DAY_SECONDS = 86_400

Work = Callable[[Transaction], Signed[Closing] | None]

_log = structlog.get_logger(__name__)


class Retention:
    """A chore of the background work: one process of the cluster does it."""

    def __init__(
        self,
        run: Callable[[Work], Signed[Closing] | None],
        partitions: Partitions,
        table: CheckpointTable,
        clock: Clock,
        retention_days: int,
    ) -> None:
        """`run` runs a transaction that commits only while this process does the background work."""
        self._run = run
        self._partitions = partitions
        self._table = table
        self._clock = clock
        self._days = max(retention_days, limits.AUDIT_RETENTION_DAYS_MIN)
        self._due_at = 0.0

    def run(self) -> None:
        """Close what is due, once in a while."""
        now = self._clock.monotonic()
        if now >= self._due_at:
            self._due_at = now + _INTERVAL_SECONDS
            self.close_ended()

    def close_ended(self) -> None:
        """Close and detach every partition that is old enough; finish first what somebody began."""
        begun = self._run(_find_last)
        if begun is not None:
            self._finish(begun)
        ended = self._partitions.list_ended(self._clock.now() - self._days * _DAY_SECONDS)
        start = 0
        for index in range(len(ended)):
            ends = self._partitions.find_ends(ended[start], ended[index])
            if ends is None:  # closed together with the one after it, when that has ended
                _log.warning("an audit log goes on in a later partition with an earlier record", partition=ended[index].name)
                continue
            closing = self._run(partial(self._sign, ended[start : index + 1], ends))
            if closing is not None:
                self._finish(closing)
            start = index + 1

    def _sign(self, partitions: tuple[Partition, ...], ends: tuple[End, ...], transaction: Transaction) -> Signed[Closing]:
        key, last = get_key(transaction), _find_last(transaction)
        closing = Closing(
            time=format_rfc3339_nano(self._clock.now_ns()),
            partitions=tuple(partition.name for partition in partitions),
            logs=tuple(_close(end) for end in ends),
            number=(last.statement.number if last else 0) + 1,
            prev=last.hash if last else NO_CHECKPOINT,
            key=key.public.id,
        )
        signed = Signed(closing, sign(closing, key))
        transaction.put(LAST_CLOSING, signed.line)
        return signed

    def _finish(self, closing: Signed[Closing]) -> None:
        self._table.add(CLOSING, closing.statement.number, closing.line)
        for name in closing.statement.partitions:
            if self._partitions.detach(name, self._days):
                _log.info("audit partition detached: export and drop it", partition=name)


def _find_last(transaction: Transaction) -> Signed[Closing] | None:
    entry = transaction.get(LAST_CLOSING)
    return None if entry is None else entry.decode(parse_closing)


def _close(end: End) -> ClosedLog:
    """Return how a log ends; raises ValueError where its last record is none: nothing is signed for that."""
    return ClosedLog(log=end.log, first=end.first, seq=end.last, hash=str(parse_line(end.line)[1]["hash"]))
