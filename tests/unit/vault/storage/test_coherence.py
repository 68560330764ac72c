"""What a listener does with what it hears."""

import pytest

from vault import limits
from vault.clock import SystemClock
from vault.host import HostPage
from vault.storage.cache import Cache
from vault.storage.coherence import Listener, parse_slots


@pytest.fixture
def page() -> HostPage:
    """Return a fresh page."""
    return HostPage()


@pytest.fixture
def listener(page: HostPage) -> Listener:
    """Return the listener of host `here`, not started."""
    return Listener("", "here", page.generations, Cache(page.generations, SystemClock()), SystemClock())


def moved(page: HostPage) -> set[int]:
    """Return the counters that are not where they began."""
    return {slot for slot in range(limits.GENERATION_SLOTS) if page.generations.read(slot)}


@pytest.mark.parametrize("text", ["*", "1 *", "x", "1 2 -1", f"1 {limits.GENERATION_SLOTS}", "1,2", "9" * 40])
def test_notice_that_is_not_understood_moves_everything(page: HostPage, listener: Listener, text: str) -> None:
    """Not sure which rows changed: all of them have."""
    listener.hear(f"there {text}")
    assert len(moved(page)) == limits.GENERATION_SLOTS


def test_notice_of_another_host_moves_what_it_names(page: HostPage, listener: Listener) -> None:
    """Only the counters that another host names are moved."""
    listener.hear("there 3 5 65535")
    assert moved(page) == {3, 5, 65535}


def test_notice_of_this_host_is_passed_over(page: HostPage, listener: Listener) -> None:
    """This host's writers have moved their counters themselves."""
    listener.hear("here 3 5")
    listener.hear("here *")
    assert moved(page) == set()


def test_empty_notice_names_nothing() -> None:
    """A write without any row to tell of moves nothing."""
    assert parse_slots("") == set()
