"""Password hashing of one worker: on a thread of its own, in turn, with less right to the processor than those who answer requests.

The thread begins with the first password, after the fork. What a password check costs is nothing to the requests beside it: the library
gives up the interpreter while it hashes, and the kernel prefers every other thread.
"""

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from vault import limits
from vault.crypto import passwords
from vault.errors import Overloaded
from vault.secret import Secret
from vault.telemetry.layout import Number
from vault.telemetry.observer import Observer

T = TypeVar("T")

_NICENESS = 10  # enough to give way; with 19, logins would starve on a machine that is never idle


class PasswordHasher:
    """Hashes and checks passwords."""

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._work: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()

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
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        while True:
            work, future = self._work.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - it belongs to who asked
                future.set_exception(error)
            del work, future  # no password stays here while nobody comes
