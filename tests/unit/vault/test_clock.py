"""Times as text."""

import pytest

from vault.clock import SystemClock, format_rfc3339, format_rfc3339_nano


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (1, "1970-01-01T00:00:00.000000001Z"),
        (1_700_000_000_120_000_000, "2023-11-14T22:13:20.12Z"),
        (1_700_000_000 * 10**9, "2023-11-14T22:13:20Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
    ],
)
def test_nanoseconds_are_written_as_go_does(nanoseconds: int, text: str) -> None:
    """Zeros at the end are cut, and the point with them."""
    assert format_rfc3339_nano(nanoseconds) == text


def test_seconds_are_cut() -> None:
    """The fraction is dropped."""
    assert format_rfc3339(1_700_000_000.99) == "2023-11-14T22:13:20Z"


def test_system_clock_goes_on() -> None:
    """Both forms of now tell the same time, and the monotonic one does not go back."""
    clock = SystemClock()
    assert abs(clock.now_ns() / 1e9 - clock.now()) < 60
    first = clock.monotonic()
    assert clock.monotonic() >= first
