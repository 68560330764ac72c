import os
import struct

from vault.host import WINDOW_LOCK, HostPage
from vault.windows import GROUPS, PLACES, Windows


def make() -> Windows:
    """Return an empty table."""
    page = HostPage()
    return Windows(lambda group: page.lock(WINDOW_LOCK + group))


def test_limit_is_exact_within_a_window() -> None:
    """As many as the limit are allowed, until the window ends."""
    windows = make()
    turns = [windows.take(b"a", 3, 10, 0, 100.0 + number) for number in range(5)]
    assert [turn.allowed for turn in turns] == [True, True, True, False, False]
    assert [turn.remaining for turn in turns] == [2, 1, 0, 0, 0]
    assert turns[4].reset_seconds == 6.0
    assert windows.take(b"a", 3, 10, 0, 109.9).allowed is False
    assert windows.take(b"a", 3, 10, 0, 110.0).allowed is True


def test_subjects_do_not_share() -> None:
    """One client's requests are not another's."""
    windows = make()
    assert windows.take(b"a", 1, 10, 0, 1.0).allowed
    assert windows.take(b"b", 1, 10, 0, 1.0).allowed


def test_blocked_subject_waits_longer() -> None:
    """Who asks once too often is refused for the whole block, also when the window has ended."""
    windows = make()
    assert windows.take(b"a", 1, 1, 60, 100.0).allowed
    assert windows.take(b"a", 1, 1, 60, 100.5).reset_seconds == 60.0
    assert not windows.take(b"a", 1, 1, 60, 159.0).allowed
    assert windows.take(b"a", 1, 1, 60, 160.6).allowed


def test_crowding_gives_nobody_more() -> None:
    """Newcomers in a full table never make a limited client free again, nor does its count fall on them."""
    windows = make()
    for _ in range(50):
        windows.take(b"limited", 50, 1000, 0, 1.0)
    assert not windows.take(b"limited", 50, 1000, 0, 1.0).allowed
    assert all(windows.take(b"%d" % number, 50, 1000, 0, 1.0).allowed for number in range(GROUPS * PLACES * 2))
    assert not windows.take(b"limited", 50, 1000, 0, 1.0).allowed


def test_crowding_ends_no_block() -> None:
    """Nor do newcomers that are blocked themselves free one that is blocked."""
    windows = make()
    for number in (0, 0, *range(1, GROUPS * PLACES * 2)):
        windows.take(b"%d" % number, 1, 1, 1000, 1.0)
        windows.take(b"%d" % number, 1, 1, 1000, 1.0)
    assert not windows.take(b"0", 1, 1, 1000, 10.0).allowed


def test_table_holds_no_more_than_its_places() -> None:
    """Who comes into a full table counts on from what was there: with a limit of one nobody else gets a turn."""
    windows = make()
    allowed = sum(windows.take(b"%d" % number, 1, 1000, 0, 1.0).allowed for number in range(GROUPS * PLACES * 2))
    assert allowed <= GROUPS * PLACES


def test_limit_is_exact_over_processes() -> None:
    """Of the requests that several processes count at the same time exactly as many are allowed as the limit says."""
    windows, processes, limit = make(), 4, 6_000
    pipes = [os.pipe() for _ in range(processes)]
    pids = []
    for _, writing in pipes:
        pid = os.fork()
        if pid == 0:
            allowed = sum(windows.take(b"a", limit, 1000, 0, 1.0).allowed for _ in range(limit // 2))
            os.write(writing, struct.pack("I", allowed))
            os._exit(0)
        pids.append(pid)
    allowed = sum(struct.unpack("I", os.read(reading, 4))[0] for reading, _ in pipes)
    for pid in pids:
        os.waitpid(pid, 0)
    for descriptor in (descriptor for pipe in pipes for descriptor in pipe):
        os.close(descriptor)
    assert allowed == limit
