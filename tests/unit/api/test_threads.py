"""Threads that have others in their place while they wait."""

import threading
import time
from concurrent.futures import wait

from api.threads import Threads


def test_waiting_threads_hold_up_nobody() -> None:
    """Where all threads wait, as many others do their work."""
    pool, go = Threads(2), threading.Event()

    def hold() -> bool:
        with pool.stand_in():
            return go.wait(10)

    slow = [pool.submit(hold) for _ in range(10)]
    quick = [pool.submit(lambda: 1) for _ in range(20)]
    assert all(future.result(5) == 1 for future in quick)
    assert not any(future.done() for future in slow)
    go.set()
    assert all(future.result(5) for future in slow)
    pool.shutdown()


def test_those_that_stood_in_go_away() -> None:
    """Once nobody waits, there are as many threads as before."""
    pool = Threads(2)

    def pause() -> None:
        with pool.stand_in():
            time.sleep(0.01)

    before = threading.active_count()
    wait([pool.submit(pause) for _ in range(30)])
    deadline = time.monotonic() + 5
    while threading.active_count() > before + 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before + 2
    pool.shutdown()


def test_all_threads_end_with_the_pool() -> None:
    """Those that stand in as well."""
    pool, go = Threads(1), threading.Event()

    def hold() -> None:
        with pool.stand_in():
            go.wait(5)

    before = threading.active_count()
    held = pool.submit(hold)
    assert pool.submit(lambda: 1).result(5) == 1
    pool.shutdown(wait=False)
    go.set()
    held.result(5)
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before
