"""The time that a thread may wait for PostgreSQL."""

import threading

import pytest

from vault import limits
from vault.storage import budget


def test_outer_bound_holds_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bound inside a bound gives no new time."""
    monkeypatch.setattr(limits, "STORAGE_TIMEOUT_SECONDS", 0.0)
    with budget.limited():
        monkeypatch.setattr(limits, "STORAGE_TIMEOUT_SECONDS", 1000.0)
        with budget.limited():
            assert budget.remaining_seconds() == 0.0
    with budget.limited():
        assert budget.remaining_seconds() > 900.0


def test_extension_ends_with_its_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that must have time gets it, and what comes after it does not."""
    monkeypatch.setattr(limits, "STORAGE_TIMEOUT_SECONDS", 0.0)
    with budget.limited():
        with budget.extended(1000.0):
            assert budget.remaining_seconds() > 900.0
        assert budget.remaining_seconds() == 0.0


def test_bound_can_be_less_than_usual_and_not_more() -> None:
    """A request may be given less time, and never more."""
    with budget.limited(0.0):
        assert budget.remaining_seconds() == 0.0
    with budget.limited(1000.0):
        assert budget.remaining_seconds() <= limits.STORAGE_TIMEOUT_SECONDS


def test_bound_is_of_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """One request's bound is not another's."""
    monkeypatch.setattr(limits, "STORAGE_TIMEOUT_SECONDS", 0.0)
    found: list[float] = []
    with budget.limited():
        monkeypatch.setattr(limits, "STORAGE_TIMEOUT_SECONDS", 1000.0)
        thread = threading.Thread(target=lambda: found.append(budget.remaining_seconds()))
        thread.start()
        thread.join()
    assert found == [1000.0]
