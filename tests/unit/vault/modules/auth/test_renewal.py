"""Renewals: never beyond what a token was made for, never without an end."""

from typing import Any

import pytest

from tests.unit.vault.modules.system.world import ROOT, World
from vault import limits
from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.operation import Operation
from vault.logical.token import Token

HUGE = 2**63


def make(world: World, **fields: Any) -> str:
    """Make a token through the API; return its id."""
    answer = world.answer(Operation.UPDATE, "auth/token/create", {"policies": ["default"], "ttl": 60, **fields})
    assert answer.auth is not None
    return answer.auth.client_token.reveal()


def renew(world: World, token: str, **fields: Any) -> Any:
    """Renew a token by its id; return the new auth."""
    return world.answer(Operation.UPDATE, "auth/token/renew", {"token": token, **fields}).auth


def stored(world: World, token: str) -> Token:
    """Return a token as it is stored."""
    found = world.first.tokens.find_row(world.first.store.read(), world.first.tokens.hash_id(token))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "increment", [-1, "-1s", HUGE, -HUGE, 1e308, 10**400, "1e308", True, 0.5, [1], {}, "x", "9999999999h", "999999999999999999d"]
)
@pytest.mark.parametrize("path", ["renew", "renew-self", "renew-accessor"])
def test_bad_increments_change_nothing(world: World, increment: Any, path: str) -> None:
    """Refused, and the token ends when it would have ended."""
    token = make(world)
    before = dict(world.rows.rows)
    names = {"token": token} if path == "renew" else {"accessor": world.accessor(token)} if path == "renew-accessor" else {}
    with pytest.raises(InvalidRequest, match="increment"):
        world.send(Operation.UPDATE, f"auth/token/{path}", {**names, "increment": increment}, token=ROOT if names else token)
    assert dict(world.rows.rows) == before


@pytest.mark.parametrize("increment", ["99999h", limits.MAX_LEASE_SECONDS + 1, "106751d"])
def test_renewal_keeps_to_the_system_maximum(world: World, increment: Any) -> None:
    """Over its whole life."""
    token = make(world, ttl="100h")
    start = world.clock.now()
    for _ in range(5):
        world.clock.advance(limits.MAX_LEASE_SECONDS / 8)
        renew(world, token, increment=increment)
        expires_at = stored(world, token).expires_at
        assert expires_at is not None
        assert expires_at <= start + limits.MAX_LEASE_SECONDS


def test_renewal_keeps_to_the_explicit_maximum_exactly(world: World) -> None:
    """Not a fraction of a second beyond it, whatever fractions the moments of making and renewing have."""
    world.clock.advance(0.1)
    token = make(world, explicit_max_ttl=100)
    start = world.clock.now()
    for _ in range(7):
        world.clock.advance(14.2123)
        renew(world, token, increment="1h")
        expires_at = stored(world, token).expires_at
        assert expires_at is not None
        assert expires_at <= start + 100
    world.clock.advance(0.6)
    with pytest.raises(PermissionDenied):
        world.read("auth/token/lookup-self", token=token)


@pytest.mark.parametrize("mount_max", [30, 90])
def test_renewal_keeps_to_the_maximum_of_the_mount(world: World, mount_max: int) -> None:
    """As it is by then: a maximum that was lowered meanwhile holds."""
    token = make(world, ttl=20)
    world.write("sys/auth/token/tune", max_lease_ttl=mount_max)
    auth = renew(world, token, increment=1000)
    assert auth.lease_duration_seconds == mount_max


@pytest.mark.parametrize("left", [1.0, 0.1, 0.001, 1e-6])
def test_renewal_at_the_last_moment_keeps_an_end(world: World, left: float) -> None:
    """However short before the end, and however often."""
    token = make(world, ttl=60)
    for _ in range(50):
        row = stored(world, token)
        assert row.expires_at is not None
        world.clock.advance(row.expires_at - world.clock.now() - left)
        if world.clock.now() >= row.expires_at:
            break
        renew(world, token, increment=60)
        after = stored(world, token)
        assert after.expires_at is not None
        assert world.clock.now() < after.expires_at <= world.clock.now() + 60


def test_renewal_at_the_end_is_too_late(world: World) -> None:
    """At the very moment and after it the token is unknown, by every name."""
    token = make(world, ttl=60)
    accessor = world.accessor(token)
    for late in (60.0, 0.001):
        world.clock.advance(late)
        for path, fields, caller in (
            ("renew", {"token": token}, ROOT),
            ("renew-accessor", {"accessor": accessor}, ROOT),
            ("renew-self", {}, token),
        ):
            with pytest.raises((InvalidRequest, PermissionDenied)):
                world.send(Operation.UPDATE, f"auth/token/{path}", fields, token=caller)
        expires_at = stored(world, token).expires_at
        assert expires_at is not None
        assert expires_at <= world.clock.now()


@pytest.mark.parametrize("increment", [0, 1, 59, 61, "99999h"])
def test_periodic_token_keeps_exactly_its_period(world: World, increment: Any) -> None:
    """Whatever increment is asked for, and longer than any maximum."""
    token = make(world, period=60)
    for _ in range(20):
        world.clock.advance(59.5)
        assert renew(world, token, increment=increment).lease_duration_seconds == 60
        expires_at = stored(world, token).expires_at
        assert expires_at is not None
        assert expires_at - world.clock.now() == pytest.approx(60, abs=1e-6)


def test_periodic_token_ends_at_its_explicit_maximum(world: World) -> None:
    """The period does not carry it over."""
    token = make(world, period=60, explicit_max_ttl=100)
    for _ in range(3):
        world.clock.advance(30)
        renew(world, token)
    world.clock.advance(10)
    with pytest.raises(PermissionDenied):
        world.read("auth/token/lookup-self", token=token)


def test_tokens_that_cannot_be_renewed(world: World) -> None:
    """Root, not renewable, batch, unknown."""
    for token, text in (
        (ROOT, "lease is not renewable"),
        (make(world, renewable=False), "lease is not renewable"),
        (make(world, type="batch"), "batch tokens cannot be renewed"),
        ("nosuch", "token not found"),
    ):
        with pytest.raises(InvalidRequest, match=text):
            renew(world, token)


def test_last_use_cannot_be_renewed(world: World) -> None:
    """A token whose last use asks for its renewal ends all the same."""
    token = world.issue("default", uses_left=1)
    with pytest.raises(InvalidRequest, match="token not found"):
        world.write("auth/token/renew-self", token=token)
    assert world.first.tokens.find_row(world.first.store.read(), world.first.tokens.hash_id(token)) is None


def test_renewal_moves_lease_and_token_together(world: World) -> None:
    """Both tell the same end, and the renewal is told."""
    token = make(world, ttl=60)
    world.clock.advance(30)
    renew(world, token, increment=90)
    row = stored(world, token)
    record = world.first.leases.find(world.first.store.read(), f"auth/token/create/h{row.key}")
    assert record is not None
    assert record.expires_at == row.expires_at == world.clock.now() + 90
    assert row.last_renewal == record.renewed_at == int(world.clock.now())
    assert world.read("auth/token/lookup-self", token=token)["last_renewal_time"] == row.last_renewal
