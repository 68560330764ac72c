"""The background work of a cluster: revoking what fell due, finishing what a killed process began.

One worker of the cluster does it at a time. Leadership is a row with a time; every transaction of the leader is guarded by
that row, so a leader that was paused and has been replaced cannot write any more.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import structlog

from vault.clock import Clock
from vault.crypto import random
from vault.errors import Sealed, StorageUnavailable, VaultError
from vault.leases import PREFIX
from vault.mounts import Mounts
from vault.revocation import Revoker
from vault.storage.transaction import Store, Transaction

LEADER = "core/leader"
TERM_SECONDS = 15.0  # a killed leader is replaced within this and one interval
INTERVAL_SECONDS = 2.0
BATCH = 500
CHUNK = 50  # leases revoked together: fewer commits, and a chunk is done well within the time of a transaction

T = TypeVar("T")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leader:
    """Who does the background work, and until when. Unix seconds."""

    holder: str
    until: float


class Leadership:
    """One candidate for the background work."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._chosen = ""

    @property
    def _holder(self) -> str:
        """Return the name of this candidate, chosen at its first use: one chosen before the fork would be that of all workers."""
        self._chosen = self._chosen or random.random_base62(20)
        return self._chosen

    def acquire(self) -> bool:
        """Take or keep leadership; False if somebody else has it."""
        return bool(self._store.run(self._acquire))

    def _acquire(self, transaction: Transaction) -> bool:
        current = self._find(transaction)
        now = self._clock.now()
        if current is not None and current.holder != self._holder and current.until > now:
            return False
        if current is None or current.holder != self._holder or current.until - now < TERM_SECONDS / 2:
            transaction.put(LEADER, msgspec.json.encode(Leader(holder=self._holder, until=now + TERM_SECONDS)))
        return True

    def require(self, transaction: Transaction) -> None:
        """Bind a transaction to this leadership: it commits only while nobody else has taken it."""
        current = self._find(transaction)
        if current is None or current.holder != self._holder:
            raise LeadershipLost
        transaction.guard(LEADER)

    def _find(self, transaction: Transaction) -> Leader | None:
        entry = transaction.get(LEADER)
        return None if entry is None else msgspec.json.decode(entry.value, type=Leader)


class Fenced:
    """A store whose transactions commit only while this process leads."""

    def __init__(self, store: Store, leadership: Leadership) -> None:
        self._store = store
        self._leadership = leadership

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Run one transaction under the leadership."""

        def fenced(transaction: Transaction) -> T:
            self._leadership.require(transaction)
            return work(transaction)

        return self._store.run(fenced)


class LeadershipLost(VaultError):
    """Somebody else does the background work now."""

    message = "leadership lost"


class ExpiryWorker:
    """The thread in each worker process that does the background work when it leads."""

    def __init__(
        self,
        store: Store,
        mounts: Mounts,
        *,
        leadership: Leadership,
        revoker: Revoker,
        clock: Clock,
        is_open: Callable[[], bool],
        chores: tuple[Callable[[], None], ...] = (),
        duties: tuple[Callable[[], None], ...] = (),
    ) -> None:
        """`revoker` runs behind `Fenced` with the same leadership; `chores` finish what others began, any number of times.

        `duties` are done by every worker in every round, sealed or not.
        """
        self._store = store
        self._mounts = mounts
        self._revoker = revoker
        self._clock = clock
        self._is_open = is_open
        self._chores = chores
        self._duties = duties
        self._leadership = leadership
        self._stop = threading.Event()
        self.rounds = self.failures = 0  # as leader
        self.leads = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread; call after the fork."""
        self._thread = threading.Thread(target=self._run, name="expiry", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end after its present step."""
        self._stop.set()

    def _run(self) -> None:
        while not self._stop.wait(INTERVAL_SECONDS):
            for step in (*self._duties, self._lead):
                self._try(step)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Sealed:
            pass  # and so there is nothing to be done
        except VaultError as error:
            self.failures += 1
            _log.info("background work put off", cause=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - the thread must outlive any one failure
            self.failures += 1
            _log.error("background work failed", cause=type(error).__name__)

    def _lead(self) -> None:
        self.leads = False  # until it is known
        self.leads = self._is_open() and self._leadership.acquire()
        if self.leads:
            self.work()
            self.rounds += 1

    def work(self) -> None:
        """Do what is due now."""
        stuck: set[str] = set()  # those that stay due are left to the next round, and are not in the way of others
        while due := self._list_due(stuck):
            for start in range(0, len(due), CHUNK):
                stuck.update(self._revoke(due[start : start + CHUNK]))
            if self._stop.is_set() or not self._leadership.acquire():
                return
        for chore in (self.finish_unmounts, *self._chores):
            chore()

    def _list_due(self, stuck: set[str]) -> tuple[str, ...]:
        paths = self._store.list_expired(self._clock.now(), BATCH + len(stuck), PREFIX)
        due = (path.removeprefix(PREFIX) for path in paths)
        return tuple(lease_id for lease_id in due if lease_id not in stuck)

    def _revoke(self, due: tuple[str, ...]) -> tuple[str, ...]:
        """Revoke what is due; return what stays."""
        try:
            return self._revoker.revoke_due(due)
        except (LeadershipLost, Sealed, StorageUnavailable):
            raise  # so it is for all of them
        except Exception as error:  # noqa: BLE001 - one bad lease must not keep the others alive
            if len(due) == 1:
                _log.error("a lease could not be revoked", cause=type(error).__name__)
                self._revoker.note_failure(due[0], error)
                return due
            return tuple(lease_id for single in due for lease_id in self._revoke((single,)))

    def finish_unmounts(self) -> None:
        """Empty and forget the mounts that somebody closed and did not finish removing."""
        for mount in self._mounts.table(self._store.read()).mounts:
            if mount.tainted:
                self._revoker.remove_mount(mount)
