"""The bounds of a pool, as far as no server is needed."""

import socket
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


@pytest.mark.slow
def test_silent_server_is_not_asked_again_at_once(tmp_path: Path) -> None:
    """After a server took a connection and said nothing, the next calls are refused without asking it."""
    asked = 0
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / ".s.PGSQL.5432"))
        listening.listen(10)
        listening.setblocking(False)
        pool = Pool(f"host={tmp_path} port=5432 user=nobody", 2)
        for _ in range(20):
            with pytest.raises(StorageUnavailable):
                pool.take()
        while True:
            try:
                listening.accept()[0].close()
            except BlockingIOError:
                break
            asked += 1
    assert asked == 1
