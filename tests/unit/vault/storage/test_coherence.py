"""What a listener does with what it hears."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
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


class Silent:
    """A connection that is lost as soon as it is used."""

    closed = False

    def ask(self, *_: object) -> None:
        """Get no answer."""
        raise psycopg.OperationalError

    def close(self) -> None:
        """Be closed."""
        self.closed = True


def test_request_without_an_answer_does_not_use_the_cache(listener: Listener) -> None:
    """Not sure what others wrote: nothing of the cache counts, and the next request does not wait for the same connection."""
    silent: Any = Silent()
    listener._connection = silent
    listener._cache.fresh_until = float("inf")
    listener.ask()
    assert listener._cache.fresh_until == 0.0
    assert silent.closed
    assert listener._connection is None


class Answering:
    """A connection that counts what it was asked, and answers that there are other hosts."""

    closed = False
    ntuples = 1

    def __init__(self) -> None:
        self.asked = 0
        self.begun, self.going_on = threading.Event(), threading.Event()

    def ask(self, *_: object) -> list[Any]:
        """Answer when told to."""
        self.asked += 1
        self.begun.set()
        assert self.going_on.wait(10)
        return [self]

    def get_value(self, *_: int) -> bytes:
        """Return that there are others."""
        return b"\1"

    def take_notices(self) -> list[str]:
        """Return nothing."""
        return []


class Looked:
    """A clock that counts how often it was looked at."""

    def __init__(self) -> None:
        self.times = 0

    def monotonic(self) -> float:
        """Return the time."""
        self.times += 1
        return SystemClock.monotonic()


def test_requests_that_wait_share_one_question(listener: Listener) -> None:
    """Ten requests that came while one was asked for are served by one more question, none by that of before they came."""
    answering: Any = Answering()
    clock: Any = Looked()
    listener._connection, listener._cache.ask, listener._clock = answering, listener.ask, clock
    with ThreadPoolExecutor(11) as pool:
        first = pool.submit(listener.ask)
        assert answering.begun.wait(10)
        rest = [pool.submit(listener.ask) for _ in range(10)]
        while clock.times < 12:  # all have come, and one has asked
            time.sleep(0.01)
        answering.going_on.set()
        for one in (first, *rest):
            one.result(10)
    assert answering.asked == 2


def test_cache_is_used_again_only_after_a_question_that_requests_know_of(listener: Listener) -> None:
    """A request may be on its way that was not told to ask: once another host is known, a second question covers it."""
    answering: Any = Answering()
    answering.going_on.set()
    assert listener._beat(answering)
    assert answering.asked == 2
    assert listener._beat(answering)
    assert answering.asked == 3


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
