import os
import signal

from vault.telemetry.regions import Regions


def claim_in_child(regions: Regions) -> int:
    """Fork a process that holds a piece; return its pid once it does."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        region = regions.claim()
        os.write(writing, b"n" if region is None else b"y")
        if region is not None:
            region[0] = region[0] + 1
            os.write(writing, b"w")
        signal.pause()
    assert os.read(reading, 1) == b"y"
    assert os.read(reading, 1) == b"w"
    os.close(reading)
    os.close(writing)
    return pid


def end(pid: int) -> None:
    """Kill a process without a chance to clean up."""
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_pieces_are_held_by_one_process_each() -> None:
    """Two living processes never share a piece, and a third finds none where there are two."""
    regions = Regions(2, 4096)
    first, second = claim_in_child(regions), claim_in_child(regions)
    try:
        assert regions.list_held() == [0, 1]
        assert regions.claim() is None
    finally:
        end(first)
        end(second)


def test_killed_process_leaves_what_it_counted() -> None:
    """The next process goes on from where a killed one stopped, and the dead one no longer counts as living."""
    regions = Regions(4, 4096)
    end(claim_in_child(regions))
    assert regions.list_held() == []
    assert regions.list_used() == [0]
    assert regions.region(0)[0] == 1
    heir = claim_in_child(regions)
    try:
        assert regions.list_held() == [0]
        assert regions.region(0)[0] == 2
    finally:
        end(heir)
