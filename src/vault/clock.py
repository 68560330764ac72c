"""The only module that reads the time."""

import functools
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What everything else sees of time."""

    def now(self) -> float:
        """Return unix seconds."""

    def now_ns(self) -> int:
        """Return unix nanoseconds."""

    def monotonic(self) -> float:
        """Return seconds on a clock that never goes back."""


class SystemClock:
    """The machine's clock."""

    now = staticmethod(time.time)
    now_ns = staticmethod(time.time_ns)
    monotonic = staticmethod(time.monotonic)


def format_rfc3339(seconds: float) -> str:
    """Return whole-second RFC 3339 text in UTC, as Vault writes expiry times."""
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@functools.lru_cache(maxsize=64)
def _format_second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def format_rfc3339_nano(nanoseconds: int) -> str:
    """Return RFC 3339 text in UTC with nanoseconds, trailing zeros cut as Go does."""
    whole, fraction = divmod(nanoseconds, 1_000_000_000)
    digits = f"{fraction:09d}".rstrip("0")
    return f"{_format_second(whole)}.{digits}Z" if digits else f"{_format_second(whole)}Z"
