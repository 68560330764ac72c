"""Password hashing of one worker: on a thread of its own, in turn, with less right to the processor than those who answer requests.

All workers of a host together hash on half of its processors, and the rest answers. The thread begins with the first password, after
the fork. The library gives up the interpreter while it hashes, and the kernel takes the
processor away from an idle thread at once when any other wakes up: to be nice would hold it up for milliseconds. Where nothing is
left over for such a thread, another one that is only nice helps, so that logins are slow on a busy machine but never stand still.
"""

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TypeVar

from vault import limits
from vault.clock import Clock
from vault.crypto import passwords
from vault.errors import Overloaded
from vault.secret import Secret
from vault.telemetry.layout import Number
from vault.telemetry.observer import Observer

T = TypeVar("T")

_Item = tuple[Callable[[], Any], Future[Any]]
_NICENESS = 10  # a tenth of a processor that others would use up
_PATIENCE_SECONDS = 1.0  # four times what a hash takes on a processor of its own


class PasswordHasher:
    """Hashes and checks passwords."""

    def __init__(self, observer: Observer, clock: Clock, turn: Callable[[], AbstractContextManager[None]] = nullcontext) -> None:
        """`turn` waits until the host has a processor for a hash."""
        self._observer = observer
        self._turn = turn
        self._monotonic = clock.monotonic
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._current: _Item | None = None
        self._begun_at = 0.0
        self._helps = False
        self._work: queue.SimpleQueue[_Item] = queue.SimpleQueue()

    def hash(self, password: Secret) -> str:
        """Return a new hash of a password."""
        given = passwords.encode_password(password.reveal())
        return self._run(lambda: passwords.hash_password(given))

    def check(self, password: Secret, stored: str | None, cost: int) -> bool:
        """Return whether a hash is of this password. None has the same cost as any hash, and is never right."""
        given = passwords.encode_password(password.reveal())
        hashed = passwords.make_decoy(cost) if stored is None else stored
        self._observer.add(Number.PASSWORD_CHECKS)
        return self._run(lambda: passwords.check_password(given, hashed, cost)) and stored is not None

    def _run(self, work: Callable[[], T]) -> T:
        future: Future[T] = Future()
        self._start()
        self._work.put((work, future))
        deadline = self._monotonic() + limits.PASSWORD_SECONDS_MAX
        while (left := deadline - self._monotonic()) > 0:
            with suppress(TimeoutError):
                return future.result(min(left, _PATIENCE_SECONDS))
            self._help()
        future.cancel()
        raise Overloaded

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="passwords", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        """Hash whenever nobody else has use for the processor."""
        with suppress(OSError):  # where it is not allowed, it is a thread like others
            os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
        while True:
            item = self._work.get()
            with self._turn():
                self._begun_at, self._current = self._monotonic(), item
                _hash(*item)
                self._current = None
            del item  # no password stays here while nobody comes

    def _help(self) -> None:
        """Hash with more right to the processor where one hash takes so long that there is no processor left over."""
        with self._lock:
            current = self._current
            if current is None or self._monotonic() - self._begun_at < _PATIENCE_SECONDS or self._helps:
                return
            self._helps = True
        threading.Thread(target=self._serve_queue, args=(current,), name="passwords-help", daemon=True).start()

    def _serve_queue(self, item: _Item) -> None:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        with suppress(queue.Empty):
            while True:
                _hash(*item)
                item = self._work.get_nowait()
        self._helps = False


def _hash(work: Callable[[], Any], future: Future[Any]) -> None:
    """Do the work; where two threads do it, the first one has done it."""
    if future.cancelled() or future.done():
        return
    with suppress(InvalidStateError):
        try:
            future.set_result(work())
        except InvalidStateError:
            raise
        except BaseException as error:  # noqa: BLE001 - it belongs to who asked
            future.set_exception(error)
