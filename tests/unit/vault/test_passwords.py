"""Hashing on a thread of its own, and the bound of all who wait."""

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from unittest.mock import Mock

import bcrypt
import pytest

from vault import limits
from vault.crypto import passwords
from vault.errors import InvalidRequest, Overloaded
from vault.passwords import PasswordHasher
from vault.secret import Secret
from vault.telemetry.observer import Observer
from vault.waiting import Waiting


@pytest.fixture
def hasher() -> PasswordHasher:
    """Return a hasher that counts for nobody."""
    return PasswordHasher(Observer())


def test_a_password_is_checked_on_a_thread_that_gives_way(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread for all, begun with the first password, with less right to the processor than the others."""
    found: list[tuple[int, int]] = []
    original = bcrypt.hashpw

    def note(password: bytes, salt: bytes) -> bytes:
        found.append((threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
        return original(password, salt)

    stored = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    monkeypatch.setattr(bcrypt, "hashpw", note)
    assert hasher.check(Secret("right"), stored, 4)
    assert not hasher.check(Secret("wrong"), stored, 4)
    assert not hasher.check(Secret("right"), None, 4)
    assert len({thread for thread, _ in found}) == 1
    assert {niceness for _, niceness in found} == {10}


@pytest.mark.parametrize(
    "stored", [None, passwords.make_decoy(4), bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()], ids=["nobody", "own", "imported"]
)
def test_a_check_does_the_same_work_for_every_hash(hasher: PasswordHasher, stored: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoy and a digest, needed or not: for nobody's hash, our own, an imported one."""
    steps = {name: Mock(side_effect=getattr(passwords, name)) for name in ("make_decoy", "_digest")}
    for name, step in steps.items():
        monkeypatch.setattr(passwords, name, step)
    hasher.check(Secret("wrong"), stored, 4)
    assert [step.call_count for step in steps.values()] == [1, 1]


def test_workers_of_a_host_hash_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never more at a time than the host has places for; a place is free again when the hash is done."""
    place = threading.Lock()
    both = [PasswordHasher(Observer(), lambda: place) for _ in range(2)]
    running: list[bool] = []
    original = bcrypt.hashpw

    def note(password: bytes, salt: bytes) -> bytes:
        running.append(place.locked())
        return original(password, salt)

    stored = bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode()
    monkeypatch.setattr(bcrypt, "hashpw", note)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(both[number % 2].check, Secret("right"), stored, 4) for number in range(16)]
        assert all(answer.result(20) for answer in answers)
    assert all(running)
    assert place.acquire(timeout=5)


def test_what_fails_there_is_raised_here(hasher: PasswordHasher) -> None:
    """And the thread goes on."""
    with pytest.raises(ValueError, match="salt"):
        hasher.check(Secret("x"), "$2b$04$broken", 4)
    with pytest.raises(InvalidRequest, match="longer"):
        hasher.hash(Secret("x" * 5000))
    assert not hasher.check(Secret("x"), None, 4)


def test_what_takes_too_long_is_given_up(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits in vain is told so, and what is not begun is never done."""
    monkeypatch.setattr(limits, "PASSWORD_SECONDS_MAX", 0.01)
    with pytest.raises(Overloaded):
        hasher.check(Secret("x"), None, 12)


def test_no_more_than_so_many_wait() -> None:
    """One more is refused at once; a place that is left is free again."""
    waiting = Waiting()
    with ExitStack() as stack:
        for _ in range(limits.WAITING_MAX):
            stack.enter_context(waiting.enter(stranger=True))
        with pytest.raises(Overloaded):
            stack.enter_context(waiting.enter(stranger=True))
        stack.enter_context(waiting.enter(stranger=False))  # who has a token is not kept out by those who have none
    with waiting.enter(stranger=True):
        pass


def test_who_waits_is_stood_in_for() -> None:
    """As long as it waits, also where it fails."""
    inside: list[str] = []

    @contextmanager
    def stand_in() -> Iterator[None]:
        inside.append("in")
        try:
            yield
        finally:
            inside.append("out")

    waiting = Waiting()
    waiting.stand_in = stand_in
    with pytest.raises(KeyError), waiting.enter(stranger=False):
        raise KeyError
    assert inside == ["in", "out"]
