"""Lockout, as the users of a method meet it."""

import threading
from typing import Any

import pytest

from tests.unit.vault.modules.auth.methods.userpass.method import FakeHasher, fail, log_in
from tests.unit.vault.modules.system.world import World
from vault import limits
from vault.errors import InvalidRequest, Overloaded
from vault.expiry import Fenced
from vault.lockout import PREFIX


def locked_names(world: World) -> tuple[str, ...]:
    """Return who is locked."""
    lockout = world.first.core.lockout
    store = world.first.store
    mount = world.first.mounts.require(store.read(), "auth/userpass/")
    return lockout.list_locked(store.read(), mount)


def test_five_failures_lock_for_fifteen_minutes(world: World, hasher: FakeHasher) -> None:
    """The right password is refused meanwhile, without a look at its hash; later it is taken."""
    fail(world, times=5)
    hasher.checks.clear()
    fail(world, password="right")
    assert hasher.checks == [(False, 12)]
    assert locked_names(world) == ("ann",)
    world.clock.advance(limits.LOCKOUT_SECONDS - 1)
    fail(world, password="right")
    world.clock.advance(1)
    assert log_in(world).client_token
    assert locked_names(world) == ()


def test_the_row_of_a_locked_name_is_written_like_any_other(world: World) -> None:
    """With another end each time: the database has less to do where an indexed column stays, and time would tell who is locked."""
    for _ in range(9):
        fail(world)
        end = world.clock.now() + limits.LOCKOUT_SECONDS
        assert not world.rows.list_expired(end - 0.1, 1, PREFIX)
        assert world.rows.list_expired(end + 0.1, 1, PREFIX)
        world.clock.advance(1)


def test_a_success_forgets_the_failures(world: World) -> None:
    """Four wrong, one right, four wrong: nobody is locked."""
    for _ in range(3):
        fail(world, times=4)
        assert log_in(world).client_token


def test_failures_of_long_ago_do_not_count(world: World) -> None:
    """Fifteen minutes after the last one."""
    fail(world, times=4)
    world.clock.advance(limits.LOCKOUT_SECONDS)
    fail(world, times=4)
    assert log_in(world).client_token


def test_a_mount_has_its_own_rule(world: World) -> None:
    """Threshold, duration, reset and whether at all."""
    world.write("sys/auth/userpass/tune", user_lockout_config={"lockout_threshold": 2, "lockout_duration": "1m"})
    fail(world, times=2)
    fail(world, password="right")
    world.clock.advance(60)
    assert log_in(world).client_token
    world.write("sys/auth/userpass/tune", user_lockout_config={"lockout_disable": True})
    fail(world, times=9)
    assert log_in(world).client_token
    shown = world.read("sys/auth/userpass/tune")
    assert (shown["user_lockout_threshold"], shown["user_lockout_duration"], shown["user_lockout_disable"]) == (2, 60, True)


@pytest.mark.parametrize(
    "config",
    [
        {"lockout_threshold": -1},
        {"lockout_threshold": "x"},
        {"lockout_threshold": 1.5},
        {"lockout_threshold": True},
        {"lockout_threshold": 2**40},
        {"lockout_duration": "x"},
        {"lockout_duration": -5},
        {"lockout_counter_reset": "99999999h"},
        {"lockout_disable": "maybe"},
    ],
)
def test_a_rule_that_is_none_is_refused(world: World, config: dict[str, Any]) -> None:
    """When a mount is made and when it is tuned; nothing is stored."""
    with pytest.raises(InvalidRequest):
        world.write("sys/auth/userpass/tune", user_lockout_config=config)
    assert "user_lockout_threshold" not in world.read("sys/auth/userpass/tune")
    with pytest.raises(InvalidRequest):
        world.write("sys/auth/other", type="userpass", config={"user_lockout_config": config})


def test_an_error_that_is_no_answer_is_no_failure(world: World, hasher: FakeHasher) -> None:
    """Who was told nothing has guessed nothing, and keeps all guesses."""
    hasher.fault = Overloaded()
    for _ in range(9):
        with pytest.raises(Overloaded):
            log_in(world)
    hasher.fault = None
    fail(world, times=4)
    assert log_in(world).client_token


def test_attempts_of_a_killed_process_become_failures(world: World, hasher: FakeHasher) -> None:
    """They hold their places until it is certain that nobody will tell how they ended, and lock the name then."""
    lockout, store = world.first.core.lockout, world.first.store
    mount = world.first.mounts.require(store.read(), "auth/userpass/")
    for _ in range(5):
        lockout.reserve(lockout.begin(mount, "ann", lockout.find_rule(mount)))
    assert locked_names(world) == ()
    world.clock.advance(limits.ATTEMPT_SECONDS_MAX + 1)
    assert locked_names(world) == ("ann",)
    fail(world, password="right")
    assert hasher.checks == [(False, 12)]


def test_side_by_side_no_more_attempts_run_than_may_fail(world: World, hasher: FakeHasher) -> None:
    """A sixth waits for one of five to end."""
    running, most, lock, go = [0], [0], threading.Lock(), threading.Event()

    def check(has_hash: bool) -> None:
        if not has_hash:
            return
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        go.wait(5)
        with lock:
            running[0] -= 1

    hasher.meanwhile = check
    threads = [threading.Thread(target=fail, args=(world,)) for _ in range(9)]
    for thread in threads:
        thread.start()
    go.wait(0.2)
    go.set()
    for thread in threads:
        thread.join(20)
    assert most[0] == 5
    assert locked_names(world) == ("ann",)


def test_rows_of_failures_are_bounded_and_end(world: World) -> None:
    """The names that were tried are in no path, and nothing stays once it does not matter."""
    for number in range(40):
        fail(world, f"guess{number}")
    rows = [path for path in world.rows.rows if path.startswith(PREFIX)]
    assert 30 < len(rows) <= 40
    assert not any("guess" in path for path in rows)
    world.clock.advance(2 * limits.LOCKOUT_SECONDS)
    worker = world.worker()
    worker.seal.require_open()
    assert worker.leadership.acquire()
    worker.core.lockout.tidy(Fenced(worker.store, worker.leadership))
    assert not [path for path in world.rows.rows if path.startswith(PREFIX)]


def test_a_login_leaves_no_count_behind(world: World) -> None:
    """A success without failures before it leaves nothing of its attempt."""
    log_in(world)
    assert not [path for path in world.rows.rows if path.startswith(PREFIX)]
