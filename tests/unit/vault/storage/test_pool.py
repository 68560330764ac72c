"""The bounds of a pool, as far as no server is needed."""

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from vault.errors import StorageUnavailable
from vault.storage.pool import Pool


def test_closed_pool_gives_nothing() -> None:
    """After its end a pool makes no connection."""
    pool = Pool("host=/nowhere", 1)
    pool.close()
    with pytest.raises(StorageUnavailable):
        pool.take()


def test_refused_connection_does_not_use_up_the_pool() -> None:
    """Without a server every call is refused, and none of them keeps a place."""
    pool = Pool("host=/nowhere", 1)
    for _ in range(5):
        with pytest.raises(StorageUnavailable):
            pool.take()
    assert pool._places._value == 1


@pytest.fixture
def silent(tmp_path: Path) -> Iterator[socket.socket]:
    """Return a server that takes connections and says nothing."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / ".s.PGSQL.5432"))
        listening.listen(10)
        listening.setblocking(False)
        yield listening


def count_asked(listening: socket.socket) -> int:
    """Return how many connections a server was asked for."""
    asked = 0
    while True:
        try:
            listening.accept()[0].close()
        except BlockingIOError:
            return asked
        asked += 1


def test_request_does_not_ask_a_silent_server_twice(silent: socket.socket, tmp_path: Path) -> None:
    """After a server said nothing, what else the same request asks is refused at once."""
    pool = Pool(f"host={tmp_path} port=5432 user=nobody", 2)
    for _ in range(20):
        with pytest.raises(StorageUnavailable):
            pool.take()
    assert count_asked(silent) == 1


def test_one_thread_at_a_time_asks_a_silent_server(silent: socket.socket, tmp_path: Path) -> None:
    """While one thread finds out whether the server is back, all others are refused at once: none of them waits."""
    pool = Pool(f"host={tmp_path} port=5432 user=nobody", 2)
    with pytest.raises(StorageUnavailable):
        pool.take()

    def ask() -> None:
        with pytest.raises(StorageUnavailable):
            pool.take()

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count_asked(silent) == 2
