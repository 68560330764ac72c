"""Password hashing of one worker: on a thread of its own, in turn, with less right to the processor than those who answer requests.

All workers of a host together hash on half of its processors, and the rest answers: who guesses passwords does not slow down others. The
thread begins with the first password, after the fork. The library gives up the interpreter while it hashes.
"""

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TypeVar

from vault import limits
from vault.crypto import passwords
from vault.errors import Overloaded
from vault.secret import Secret
from vault.telemetry.layout import Number
from vault.telemetry.observer import Observer

T = TypeVar("T")

_Item = tuple[Callable[[], Any], Future[Any]]
_NICENESS = 10  # a tenth of a processor that others would use up: logins are slow on a busy machine but never stand still


class PasswordHasher:
    """Hashes and checks passwords."""

    def __init__(self, observer: Observer, turn: Callable[[], AbstractContextManager[object]] = nullcontext) -> None:
        """`turn` waits until the host has a processor for a hash."""
        self._observer = observer
        self._turn = turn
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._work: queue.SimpleQueue[_Item] = queue.SimpleQueue()

    def hash(self, password: Secret) -> str:
        """Return a new hash of a password."""
        given = passwords.encode_password(password.reveal())
        return self._run(lambda: passwords.hash_password(given))

    def check(self, password: Secret, stored: str | None, cost: int) -> bool:
        """Return whether a hash is of this password. None has the same cost as any hash, and is never right."""
        given = passwords.encode_password(password.reveal())
        decoy = passwords.make_decoy(cost)  # not only where it is needed: that takes its time
        hashed = decoy if stored is None else stored
        self._observer.add(Number.PASSWORD_CHECKS)
        return self._run(lambda: passwords.check_password(given, hashed, cost)) and stored is not None

    def _run(self, work: Callable[[], T]) -> T:
        future: Future[T] = Future()
        self._start()
        self._work.put((work, future))
        try:
            return future.result(limits.PASSWORD_SECONDS_MAX)
        except TimeoutError:
            future.cancel()
            raise Overloaded from None

    def _start(self) -> None:
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._serve, name="passwords", daemon=True)
                self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):  # where it is not allowed, it is a thread like others
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            work, future = self._work.get()
            with self._turn():
                if future.set_running_or_notify_cancel():  # else nobody waits for it any more
                    _hash(work, future)
            del work, future  # no password stays here while nobody comes


def _hash(work: Callable[[], Any], future: Future[Any]) -> None:
    try:
        future.set_result(work())
    except BaseException as error:  # noqa: BLE001 - it belongs to who asked
        future.set_exception(error)
