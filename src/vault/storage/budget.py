"""How long a thread may still wait for PostgreSQL.

A request makes several calls, each of which could take its whole time when the server hangs. So the time is given once, to the
thread, and every call inside takes from what is left.
"""

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from vault import limits
from vault.clock import SystemClock


class _Local(threading.local):
    ends_at: float | None = None


_local = _Local()
_monotonic = SystemClock.monotonic


class limited:  # noqa: N801 - used like the functions beside it; a class because it is entered for every request
    """Bound all that this thread asks of the storage inside, to `seconds` if that is less than usual; a bound that is set stays."""

    __slots__ = ("_outer", "_seconds")

    def __init__(self, seconds: float = math.inf) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._outer = _local.ends_at is None
        if self._outer:
            _local.ends_at = _monotonic() + min(self._seconds, limits.STORAGE_TIMEOUT_SECONDS)

    def __exit__(self, *_: object) -> None:
        if self._outer:
            _local.ends_at = None


class extended:  # noqa: N801 - as above
    """Leave at least `seconds`: for a step that must not be given up for want of time, such as a commit."""

    __slots__ = ("_before", "_seconds")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def __enter__(self) -> None:
        self._before = _local.ends_at
        _local.ends_at = _monotonic() + max(self._seconds, remaining_seconds())

    def __exit__(self, *_: object) -> None:
        _local.ends_at = self._before


@contextmanager
def shortened(seconds: float) -> Iterator[None]:
    """Give at most `seconds`: for a step that another way can stand in for."""
    before = _local.ends_at
    _local.ends_at = _monotonic() + min(seconds, remaining_seconds())
    try:
        yield
    finally:
        _local.ends_at = before


@contextmanager
def separate(seconds: float) -> Iterator[None]:
    """Give exactly `seconds`: for what has a bound of its own, whatever is left of this thread's time."""
    before = _local.ends_at
    _local.ends_at = _monotonic() + seconds
    try:
        yield
    finally:
        _local.ends_at = before


@contextmanager
def paused() -> Iterator[None]:
    """Let no time pass: for slow work that is none of the storage's. What is asked of the storage inside has the usual time."""
    before, begun = _local.ends_at, _monotonic()
    _local.ends_at = None
    try:
        yield
    finally:
        _local.ends_at = None if before is None else before + _monotonic() - begun


def remaining_seconds() -> float:
    """Return what is left of this thread's time; all of it outside of `limited`."""
    return limits.STORAGE_TIMEOUT_SECONDS if _local.ends_at is None else max(_local.ends_at - _monotonic(), 0.0)
