"""Lockout over all workers: what parallel guesses cost, what a killed server remembers, whom it leaves alone."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import bcrypt
import pytest

from tests.integration.server.fleet import Answer, Fleet, running_fleet

GUESSES = 50
THRESHOLD = 5
RIGHT = "right"
REFUSED = ["invalid username or password"]


@pytest.fixture(scope="module")
def fleet(password_hash: str) -> Iterator[Fleet]:
    """Return a server with four workers, and users whose passwords are cheap to check."""
    with running_fleet(workers=4) as running:
        assert running.once("POST", "sys/auth/userpass", {"type": "userpass"}, running.root).status == 204
        for name in ("ann", "bob", "cid", "dan"):
            made = running.once("POST", f"auth/userpass/users/{name}", {"password_hash": password_hash}, running.root)
            assert made.status == 204, made
        yield running


@pytest.fixture(scope="module")
def password_hash() -> str:
    """Return a hash of the right password as it may be imported, the cheapest one."""
    return bcrypt.hashpw(RIGHT.encode(), bcrypt.gensalt(10)).decode()


def log_in(fleet: Fleet, name: str, password: str = RIGHT) -> Answer:
    """Try a password over a connection of its own."""
    return fleet.once("POST", f"auth/userpass/login/{name}", {"password": password})


def log_in_together(fleet: Fleet, attempts: list[tuple[str, str]]) -> list[Answer]:
    """Try passwords, all at the same time, over connections to all workers."""
    each = -(-len(attempts) // fleet.workers)
    with fleet.connected(each) as groups, ThreadPoolExecutor(len(attempts)) as pool:
        connections = [connection for row in zip(*groups, strict=False) for connection in row]
        calls = [
            pool.submit(connection.call, "POST", f"auth/userpass/login/{name}", {"password": password})
            for connection, (name, password) in zip(connections, attempts, strict=False)
        ]
        return [call.result() for call in calls]


def count(fleet: Fleet, name: str) -> int:
    """Return a number that all workers count."""
    counters = fleet.once("GET", "sys/metrics", None, fleet.root).body["Counters"]
    return int(next(counter["Count"] for counter in counters if counter["Name"] == name))


def list_locked(fleet: Fleet) -> list[str]:
    """Return the locked names."""
    mounts = fleet.once("GET", "sys/locked-users", None, fleet.root).data["by_namespace"][0]["mount_accessors"]
    return [name for mount in mounts for name in mount["alias_identifiers"]]


def unlock(fleet: Fleet, name: str) -> None:
    """End a lock."""
    accessor = fleet.once("GET", "sys/auth", None, fleet.root).data["userpass/"]["accessor"]
    assert fleet.once("POST", f"sys/locked-users/{accessor}/unlock/{name}", {}, fleet.root).status == 204


def kill_all(fleet: Fleet) -> None:
    """Kill every process of the server but the database, start it anew and unseal it."""
    for pid in (fleet.arbiter_pid, *fleet.worker_pids()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    assert fleet.process is not None
    fleet.process.wait()
    fleet.start()
    fleet.unseal()


def test_parallel_guesses_cost_as_many_checks_as_there_are_failures_left(fleet: Fleet) -> None:
    """Fifty guesses at once over four workers look at the stored password five times, and the lock outlives all processes."""
    checks, locked = count(fleet, "vault.password.checks"), count(fleet, "vault.login.locked")
    answers = log_in_together(fleet, [("ann", f"wrong{number}") for number in range(GUESSES)])
    assert {(answer.status, *answer.body["errors"]) for answer in answers} == {(400, *REFUSED)}
    # Every password takes a check, those under a locked name one against nothing.
    assert count(fleet, "vault.password.checks") - checks == GUESSES
    assert GUESSES - (count(fleet, "vault.login.locked") - locked) == THRESHOLD
    assert log_in(fleet, "ann").body["errors"] == REFUSED
    kill_all(fleet)
    assert list_locked(fleet) == ["ann"]
    refused = log_in(fleet, "ann")
    assert (refused.status, refused.body["errors"]) == (400, REFUSED)
    unlock(fleet, "Ann")
    assert log_in(fleet, "ann").status == 200


def test_all_spellings_of_a_name_share_one_counter(fleet: Fleet) -> None:
    """Case, blanks and other widths make no other user; five failures of any of them lock all, and they have one entity."""
    spellings = ("bob", "Bob", "%20bob", "bob%20", "%EF%BD%82ob")
    entities = {log_in(fleet, name).body["auth"]["entity_id"] for name in spellings}
    assert len(entities) == 1
    for name in spellings:
        assert log_in(fleet, name, "wrong").status == 400
    assert [log_in(fleet, name).status for name in spellings] == [400] * len(spellings)
    assert list_locked(fleet) == ["bob"]
    unlock(fleet, "BOB")


def test_parallel_logins_of_one_user_all_succeed(fleet: Fleet) -> None:
    """More right passwords at once than there are failures left wait for each other, and lock nobody."""
    answers = log_in_together(fleet, [("cid", RIGHT)] * 40)
    assert [answer.status for answer in answers] == [200] * 40
    assert len({answer.body["auth"]["entity_id"] for answer in answers}) == 1
    assert list_locked(fleet) == []


def test_a_right_password_among_wrong_ones_is_not_more_guesses(fleet: Fleet) -> None:
    """A success forgets the failures before it; what failed beside it counts on, and nothing is answered but yes or no."""
    answers = log_in_together(fleet, [("dan", RIGHT), *[("dan", "wrong")] * 3, ("dan", RIGHT)])
    assert [answer.status for answer in answers] == [200, 400, 400, 400, 200]
    assert log_in(fleet, "dan").status == 200
    assert list_locked(fleet) == []
