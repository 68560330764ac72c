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
    """Many newcomers in a full table never make a limited client free again: its place is not the one that is taken."""
    windows = make()
    for _ in range(5):
        windows.take(b"limited", 5, 1000, 0, 1.0)
    assert not windows.take(b"limited", 5, 1000, 0, 1.0).allowed
    for number in range(GROUPS * PLACES * 2):
        windows.take(b"%d" % number, 5, 1000, 0, 1.0)
    assert not windows.take(b"limited", 5, 1000, 0, 1.0).allowed
