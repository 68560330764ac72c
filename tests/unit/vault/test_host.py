"""The page that all processes of a host share."""

import ctypes
import itertools
import os
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from vault import limits
from vault.host import AUDIT_SLOT_BYTES, AUDIT_SLOTS, GENERATION_LOCK, HostPage

KEY = bytes(range(32))
SHARES = tuple(bytes([number]) * 33 for number in range(1, 256))


def fork(work: Callable[[], None]) -> int:
    """Run `work` in a child; return its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
        os._exit(0)
    finally:
        os._exit(1)


def join(*pids: int) -> None:
    """Wait for children that must have succeeded."""
    assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids] == [0] * len(pids)


@pytest.fixture
def page() -> HostPage:
    """Return a fresh page."""
    return HostPage()


def test_fresh_page_is_sealed(page: HostPage) -> None:
    """A host starts sealed, without a key and without progress."""
    state = page.read_seal()
    assert state.sealed
    assert (state.root_key, state.nonce, state.shares) == (b"", "", ())


def test_wipe_leaves_neither_key_nor_share_in_memory(page: HostPage) -> None:
    """After a seal the page holds nothing of the root key, after an unseal nothing of the shares."""
    page.write_progress("nonce", SHARES[:3])
    page.write_unsealed(KEY)
    assert KEY in bytes(page._map)
    assert not any(share in bytes(page._map) for share in SHARES[:3])
    page.wipe()
    assert KEY[:8] not in bytes(page._map)


def test_end_of_the_arbiter_leaves_neither_key_nor_share(page: HostPage) -> None:
    """Also when a worker that was killed still holds the lock, or was about to change the state."""
    page.write_unsealed(KEY)
    page.write_progress("nonce", SHARES[:3])
    page._sequence[0] |= 1
    with page.lock(GENERATION_LOCK):
        page.erase()
    memory = bytes(page._map)
    assert not any(secret[:8] in memory for secret in (KEY, *SHARES[:3]))
    assert page.read_seal().sealed


def test_page_is_locked_shared_and_left_out_of_dumps(page: HostPage) -> None:
    """As the kernel sees it, here and in a child; the lock is said to hold only where it does."""

    def flags() -> set[str]:
        address = ctypes.addressof(ctypes.c_char.from_buffer(page._map))
        found: set[str] = set()
        is_page = False
        for line in Path("/proc/self/smaps").read_text().splitlines():
            if match := re.match(r"([0-9a-f]+)-([0-9a-f]+) ", line):
                is_page = int(match[1], 16) <= address < int(match[2], 16)
            elif is_page and line.startswith("VmFlags:"):
                found = set(line.split()[1:])
        return found

    def look_from_child() -> None:
        assert {"dd", "sh"} <= flags()

    assert {"dd", "sh"} <= flags()
    assert ("lo" in flags()) is page.locked_in_memory
    join(fork(look_from_child))


def test_state_does_not_show_its_key(page: HostPage) -> None:
    """Printing the state tells neither key nor shares."""
    page.write_unsealed(KEY)
    assert repr(KEY)[2:-1] not in repr(page.read_seal())
    page.write_progress("nonce", (b"sharesharesharesharesharesharesh1",))
    assert "share1" not in repr(page.read_seal())
    assert "sharesh" not in repr(page.read_seal())


def test_progress_holds_every_share(page: HostPage) -> None:
    """The page has room for the largest number of the longest shares."""
    page.write_progress("f" * 36, SHARES)
    state = page.read_seal()
    assert (state.nonce, state.shares, state.sealed) == ("f" * 36, SHARES, True)


def test_epoch_moves_with_seal_and_unseal_only(page: HostPage) -> None:
    """Workers reload their keys by the epoch: it moves when the key comes or goes, not with a share."""
    epochs = [page.read_seal().epoch]
    page.write_progress("nonce", SHARES[:1])
    epochs.append(page.read_seal().epoch)
    page.write_unsealed(KEY)
    epochs.append(page.read_seal().epoch)
    page.wipe()
    epochs.append(page.read_seal().epoch)
    assert epochs[0] == epochs[1] < epochs[2] < epochs[3]


def test_children_share_the_page(page: HostPage) -> None:
    """What one process writes the others read, also a process that is forked later."""
    join(fork(lambda: page.write_unsealed(KEY)))
    assert page.read_seal().root_key == KEY

    def check() -> None:
        assert page.read_seal().root_key == KEY
        page.wipe()

    join(fork(check))
    assert page.read_seal().sealed


def test_state_is_never_read_by_halves(page: HostPage) -> None:
    """A reader sees a state as one writer left it, however often it changes."""

    def write() -> None:
        for number in itertools.count():
            byte = bytes([number % 255 + 1])
            with page.lock():
                page.write_progress(f"{byte[0]:036}", (byte * 33,) * (byte[0] % 9))

    writer = fork(write)
    try:
        seen: set[int] = set()
        deadline = time.monotonic() + 30
        while len(seen) < 200:
            assert time.monotonic() < deadline, "the reader saw too few changes: the test shows nothing"
            state = page.read_seal()
            if state.nonce:
                number = int(state.nonce)
                assert state.shares == (bytes([number]) * 33,) * (number % 9)
                seen.add(number)
    finally:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)


def killed_while(page: HostPage, step: Callable[[], None], place: int = 0) -> None:
    """Kill a process that holds a lock after it has done a step."""

    def hold() -> None:
        with page.lock(place):
            step()
            os.kill(os.getpid(), signal.SIGKILL)

    _, status = os.waitpid(fork(hold), 0)
    assert os.WTERMSIG(status) == signal.SIGKILL


def test_lock_of_a_killed_process_is_free(page: HostPage) -> None:
    """A process that dies with a lock does not keep the others out."""
    killed_while(page, lambda: None, GENERATION_LOCK)
    page.generations.bump({1})
    assert page.generations.read(1) == 1


def test_writer_killed_half_way_leaves_the_host_sealed(page: HostPage) -> None:
    """Half a state is no state: who comes next finds the host sealed, with the lock or without, and does not wait for ever."""
    page.write_unsealed(KEY)
    epoch = page.read_seal().epoch

    def begin() -> None:
        page._sequence[0] += 1  # as a change does first

    killed_while(page, begin)
    with page.lock():
        assert page.read_seal().sealed
    assert page.read_seal().epoch > epoch
    page.write_unsealed(KEY)
    killed_while(page, begin)
    assert page.read_seal().sealed


def test_concurrent_bumps_are_all_counted(page: HostPage) -> None:
    """Counters move once for each bump of each process; each bump tells where it left them."""

    def bump() -> None:
        for _ in range(500):
            assert page.generations.bump({7, 9})[7] > 0

    join(*(fork(bump) for _ in range(4)))
    assert (page.generations.read(7), page.generations.read(9), page.generations.read(8)) == (2000, 2000, 0)


def test_bump_all_moves_every_counter(page: HostPage) -> None:
    """No counter stays where it was."""
    page.generations.bump_all()
    assert {page.generations.read(slot) for slot in range(limits.GENERATION_SLOTS)} == {1}


def test_audit_areas_are_apart(page: HostPage) -> None:
    """Each audit device has bytes of its own, and touches nothing else of the page."""
    page.write_unsealed(KEY)
    for slot in range(AUDIT_SLOTS):
        page.audit_area(slot)[:] = bytes([slot]) * AUDIT_SLOT_BYTES
    assert all(bytes(page.audit_area(slot)) == bytes([slot]) * AUDIT_SLOT_BYTES for slot in range(AUDIT_SLOTS))
    assert page.read_seal().root_key == KEY
    assert page.generations.read(0) == page.generations.read(limits.GENERATION_SLOTS - 1) == 0


def test_page_stays_out_of_dumps_and_swap(page: HostPage) -> None:
    """The mapping is left out of core dumps, and locked in memory where the system allows it."""
    mappings = re.split(r"(?m)^(?=[0-9a-f]+-[0-9a-f]+ )", Path("/proc/self/smaps").read_text())
    marked = [re.search(r"VmFlags: (.*)", mapping) for mapping in mappings if " rw-s " in mapping.split("\n", 1)[0]]
    flags = [match[1].split() for match in marked if match]
    assert any("dd" in found and ("lo" in found or not page.locked_in_memory) for found in flags)


def test_root_key_is_replaced_without_a_new_epoch() -> None:
    """So no worker reloads; sealing forgets it, and it is never printed."""
    page = HostPage()
    with page.lock():
        page.write_unsealed(b"a" * 32)
        epoch = page.read_seal().epoch
        page.write_root_key(b"b" * 32)
    state = page.read_seal()
    assert (state.epoch, state.root_key) == (epoch, b"b" * 32)
    assert "bbbb" not in repr(state)
    with page.lock():
        page.wipe()
    assert not any(key * 32 in bytes(page._map[:512]) for key in (b"a", b"b"))
