"""Quotas of leases: how many tokens there may be, exactly, whoever makes them, and what counts."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.unit.vault.modules.identity.mfa.door import Clinic
from vault.errors import LeaseLimited
from vault.lease_quota import SHARDS
from vault.logical.operation import Operation
from vault.logical.response import Auth
from vault.modules.auth.tokens import ROWS as TOKENS

MOUNT = "auth/main/door"
ROWS = "core/lease-quota/"


@pytest.fixture
def clinic() -> Clinic:
    """Return a host where nobody is logged in."""
    world = Clinic()
    world.clock.advance(601)
    world.work()
    return world


def limit(clinic: Clinic, name: str = "q", **fields: Any) -> None:
    """Make a quota."""
    clinic.write(f"sys/quotas/lease-count/{name}", **{"path": MOUNT, **fields})


def enter(clinic: Clinic, name: str = "ann", **more: Any) -> Auth:
    """Log in."""
    auth = clinic.login(name, **more).auth
    assert auth is not None
    return auth


def count(clinic: Clinic, name: str = "q") -> int:
    """Return how many leases a quota counts."""
    return int(clinic.read(f"sys/quotas/lease-count/{name}")["counter"])


def revoke(clinic: Clinic, auth: Auth) -> None:
    """Let a token revoke itself."""
    clinic.write("auth/token/revoke-self", token=auth.client_token.reveal())


def test_the_last_place_is_the_last(clinic: Clinic) -> None:
    """Then the answer is 429's, nothing is stored, and a token that goes makes room for one."""
    limit(clinic, max_leases=3)
    held = [enter(clinic) for _ in range(3)]
    rows = clinic.rows_below(TOKENS)
    for _ in range(2):
        with pytest.raises(LeaseLimited, match='request path "auth/main/door/login/ann": lease count quota exceeded'):
            enter(clinic)
    assert clinic.rows_below(TOKENS) == rows
    revoke(clinic, held[0])
    assert count(clinic) == 2
    enter(clinic)
    with pytest.raises(LeaseLimited):
        enter(clinic)


def test_expiry_makes_room(clinic: Clinic) -> None:
    """Once the background work has seen it, and after a revoked prefix."""
    limit(clinic, max_leases=2)
    for _ in range(2):
        for _ in range(2):
            enter(clinic)
        with pytest.raises(LeaseLimited):
            enter(clinic)
        clinic.clock.advance(601)
        clinic.work()
        assert count(clinic) == 0
    enter(clinic)
    clinic.write(f"sys/leases/revoke-prefix/{MOUNT}", sync=True)
    assert count(clinic) == 0


@pytest.mark.parametrize("places", [1, 10, 37])
def test_many_at_once_get_exactly_the_places(clinic: Clinic, places: int) -> None:
    """Two workers, many threads, some tokens revoked between."""
    limit(clinic, max_leases=places)
    workers = (clinic.first, clinic.worker())

    def attempt(number: int) -> Auth | None:
        try:
            return enter(clinic, f"u{number % 3}", worker=workers[number % 2])
        except LeaseLimited:
            return None

    with ThreadPoolExecutor(8) as pool:
        held = [auth for auth in pool.map(attempt, range(places + 20)) if auth]
        assert len(held) == places == count(clinic)
        gone = held[: places // 2]
        list(pool.map(lambda auth: revoke(clinic, auth), gone))
        assert count(clinic) == places - len(gone)
        again = [auth for auth in pool.map(attempt, range(places + 20)) if auth]
        assert len(again) == len(gone)


def test_what_was_there_before_counts(clinic: Clinic) -> None:
    """More than there may be is no place until enough have gone, whichever go."""
    held = [enter(clinic) for _ in range(40)]
    limit(clinic, max_leases=20)
    assert count(clinic) == 40
    for auth in held[:20]:
        with pytest.raises(LeaseLimited):
            enter(clinic)
        revoke(clinic, auth)
    with pytest.raises(LeaseLimited):
        enter(clinic)
    revoke(clinic, held[20])
    enter(clinic)
    with pytest.raises(LeaseLimited):
        enter(clinic)
    assert count(clinic) == 20


@pytest.mark.parametrize("lowered", [1, 16, 31])
def test_a_quota_is_changed(clinic: Clinic, lowered: int) -> None:
    """Raised, it has room at once; lowered, there is none until so many are left."""
    limit(clinic, max_leases=32)
    held = [enter(clinic) for _ in range(32)]
    limit(clinic, max_leases=34)
    held += [enter(clinic) for _ in range(2)]
    limit(clinic, max_leases=lowered)
    while len(held) >= lowered:
        assert count(clinic) == len(held)
        with pytest.raises(LeaseLimited):
            enter(clinic)
        revoke(clinic, held.pop(0))
    enter(clinic)
    with pytest.raises(LeaseLimited):
        enter(clinic)


def test_the_most_specific_quota_counts_alone(clinic: Clinic) -> None:
    """Role before path, mount, everything; when one goes, its leases count for the next."""
    clinic.write("sys/quotas/lease-count/all", max_leases=100)
    limit(clinic, "mount", max_leases=10)
    limit(clinic, "role", role="ann", max_leases=2)
    enter(clinic, "ben")
    enter(clinic)
    enter(clinic)
    with pytest.raises(LeaseLimited):
        enter(clinic)
    clinic.write("auth/token/create", ttl=60)
    assert [count(clinic, name) for name in ("all", "mount", "role")] == [1, 1, 2]
    for gone, counts in (("role", {"all": 1, "mount": 3}), ("mount", {"all": 4})):
        clinic.delete(f"sys/quotas/lease-count/{gone}")
        assert {name: count(clinic, name) for name in counts} == counts
    clinic.delete("sys/quotas/lease-count/all")
    assert clinic.rows_below(ROWS) == ()
    enter(clinic)


def test_leases_without_a_holder_do_not_count(clinic: Clinic) -> None:
    """Batch tokens have none, root tokens have none, and what wraps an answer stands for another."""
    clinic.write("sys/quotas/lease-count/all", max_leases=1)
    clinic.write("auth/token/create", type="batch", ttl=60, policies="default")
    clinic.write("auth/token/create")
    clinic.send(Operation.UPDATE, "sys/wrapping/wrap", {"a": "b"}, wrap=60)
    assert count(clinic, "all") == 0
    assert clinic.login(wrap=60).wrap_info is not None
    assert count(clinic, "all") == 1


def test_a_lease_that_was_counted_late_is_counted_once(clinic: Clinic) -> None:
    """The background work goes on where a request left it, any number of times."""
    held = [enter(clinic) for _ in range(5)]
    limit(clinic, max_leases=10)
    for _ in range(2):
        clinic.work()
        assert count(clinic) == 5
    for auth in held:
        revoke(clinic, auth)
    assert count(clinic) == 0


def test_quotas_end_with_their_mount(clinic: Clinic) -> None:
    """Their counters as well; a mount that moves takes them along."""
    limit(clinic, max_leases=2)
    clinic.send(Operation.UPDATE, "sys/remount", {"from": "auth/main/door", "to": "auth/side"})
    clinic.work()
    assert clinic.read("sys/quotas/lease-count/q")["path"] == "auth/side/"
    assert len(clinic.rows_below(ROWS)) == SHARDS
    clinic.delete("sys/auth/side")
    clinic.work()
    assert clinic.send(Operation.READ, "sys/quotas/lease-count/q", {}) is None
    assert clinic.rows_below(ROWS) == ()


def test_where_there_is_no_quota_nothing_is_written(clinic: Clinic) -> None:
    """Nor is a token any larger."""
    enter(clinic)
    assert clinic.rows_below(ROWS) == ()
    token = clinic.first.tokens.find(clinic.first.store.read(), enter(clinic).client_token)
    assert token is not None
    assert token.charge == ""
