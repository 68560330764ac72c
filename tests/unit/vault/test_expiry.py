"""Background work: who may do it, what is due, and what must not be in the way of it."""

import pytest

from tests.unit.vault.fault import Killed
from tests.unit.vault.modules.system.world import World
from vault import limits
from vault.errors import PermissionDenied
from vault.expiry import BATCH, TERM_SECONDS, Fenced, Leadership, LeadershipLost
from vault.leases import ATTEMPTS_MAX, PREFIX
from vault.storage.transaction import Transaction


def lease_rows(world: World) -> list[str]:
    """Return the lease rows that are stored."""
    return [path for path in world.rows.rows if path.startswith(PREFIX)]


def candidates(world: World) -> tuple[Leadership, Leadership]:
    """Return two that want to lead, on two workers."""
    other = world.worker()
    other.seal.require_open()
    return Leadership(world.first.store, world.clock), Leadership(other.store, world.clock)


def test_one_leads_and_the_other_follows_when_it_is_silent(world: World) -> None:
    """Leadership is kept by who asks in time, and passes on after a term of silence."""
    first, second = candidates(world)
    assert first.acquire()
    assert not second.acquire()
    for _ in range(10):
        world.clock.advance(TERM_SECONDS * 0.6)
        assert first.acquire()
        assert not second.acquire()
    world.clock.advance(TERM_SECONDS - 0.01)
    assert not second.acquire()
    world.clock.advance(0.02)
    assert second.acquire()
    assert not first.acquire()


def test_paused_leader_writes_nothing(world: World) -> None:
    """Work that began under a leadership that passed on meanwhile does not commit, nor does any after it."""
    first, second = candidates(world)
    assert first.acquire()
    fenced = Fenced(world.first.store, first)

    def paused(transaction: Transaction) -> None:
        transaction.put("x/written", b"1")
        world.clock.advance(60)
        assert second.acquire()

    with pytest.raises(LeadershipLost):
        fenced.run(paused)
    with pytest.raises(LeadershipLost):
        fenced.run(lambda transaction: transaction.put("x/written", b"2"))
    assert "x/written" not in world.rows.rows
    Fenced(world.first.store, second).run(lambda transaction: transaction.put("x/written", b"3"))
    assert "x/written" in world.rows.rows


def test_nothing_is_done_without_leadership(world: World) -> None:
    """A worker that does not lead, or leads no more, revokes nothing."""
    token = world.issue("default", ttl=1)
    world.clock.advance(2)
    other = world.worker()
    other.seal.require_open()
    with pytest.raises(LeadershipLost):
        other.expiry.work()
    assert len(lease_rows(world)) == 1
    world.work()
    assert lease_rows(world) == []
    assert not [path for path in world.rows.rows if world.first.tokens.hash_id(token) in path]


def test_many_leases_expire(world: World) -> None:
    """All that fell due goes, more than one batch holds; the others stay."""
    for _ in range(BATCH + 10):
        world.issue("default", ttl=5)
    stays = world.issue("default", ttl=7)
    world.clock.advance(6)
    world.work()
    assert len(lease_rows(world)) == 1
    assert world.read("auth/token/lookup-self", token=stays)["ttl"] == 1


def test_expired_token_takes_its_children_along(world: World) -> None:
    """A child outlives its parent by no more than the next round."""
    parent = world.issue("default", ttl=5)
    child = world.issue("default", ttl=500, parent=world.first.tokens.hash_id(parent))
    world.clock.advance(6)
    world.work()
    with pytest.raises(PermissionDenied):
        world.read("auth/token/lookup-self", token=child)
    assert lease_rows(world) == []


def test_token_that_expired_while_all_slept_is_refused(world: World) -> None:
    """Expiry needs no background work: the first request after the end is refused."""
    token = world.issue("default", ttl=60)
    world.clock.advance(59.9)
    assert world.read("auth/token/lookup-self", token=token)["ttl"] == 0
    world.clock.advance(0.1)
    for worker in (world.first, world.worker()):
        with pytest.raises(PermissionDenied):
            world.read("auth/token/lookup-self", token=token, worker=worker)


def test_damaged_leases_are_not_in_the_way(world: World) -> None:
    """More damaged rows than one batch holds: every other lease that is due goes in the same round, which ends."""

    def damage(transaction: Transaction) -> None:
        for number in range(510):
            transaction.put(f"{PREFIX}bad/{number}", b"{", expires_at=1.0)

    world.first.store.run(damage)
    for _ in range(20):
        world.issue("default", ttl=5)
    world.clock.advance(6)
    world.work()
    assert len(lease_rows(world)) == 510
    world.work()
    assert len(lease_rows(world)) == 510


def test_irrevocable_lease_is_tried_ever_less_often(world: World) -> None:
    """What fails again and again costs one try a minute, and is not lost."""
    token = world.issue("default", ttl=5)
    key = world.first.tokens.hash_id(token)
    world.clock.advance(6)
    world.first.store.run(lambda transaction: transaction.put(f"sys/token/id/{key}", b"damaged"))
    for _ in range(20):
        world.work()
    lease_id = f"auth/token/create/h{key}"
    record = world.first.leases.find(world.first.store.read(), lease_id)
    assert record is not None
    assert record.attempts == 1
    for _ in range(300):
        world.clock.advance(1)
        world.work()
    record = world.first.leases.find(world.first.store.read(), lease_id)
    assert record is not None
    assert ATTEMPTS_MAX <= record.attempts <= 12
    assert record.irrevocable
    world.write(f"sys/leases/revoke-force/{lease_id}")
    assert lease_rows(world) == []


def test_renewed_lease_is_left_alone(world: World) -> None:
    """An index that tells another time than the record is set right, and revokes nobody."""
    token = world.issue("default", ttl=60)
    row = lease_rows(world)[0]
    entry = world.first.store.read().get(row)
    assert entry is not None
    world.first.store.run(lambda transaction: transaction.put(row, entry.value, expires_at=1.0))
    world.work()
    assert world.read("auth/token/lookup-self", token=token)
    assert world.first.store.list_expired(world.clock.now(), 10) == ()


def test_spent_token_of_a_killed_worker_is_cleared_away(world: World) -> None:
    """The last use is taken, then the worker dies: the token is refused, and gone after the grace; not before."""
    token = world.issue("default", uses_left=1)
    world.write("cubbyhole/x", a="b")

    class Dying:
        def revoke_tree(self, key: str) -> None:
            raise Killed

    object.__setattr__(world.first.core, "revoker", Dying())
    with pytest.raises(Killed):
        world.read("auth/token/lookup-self", token=token)
    other = world.worker()
    with pytest.raises(PermissionDenied):
        world.read("auth/token/lookup-self", token=token, worker=other)
    world.clock.advance(limits.SPENT_GRACE_SECONDS - 0.1)
    world.work()
    assert len(lease_rows(world)) == 1
    world.clock.advance(0.2)
    world.work()
    assert not [path for path in world.rows.rows if world.first.tokens.hash_id(token) in path]


def test_work_stops_when_the_seal_closes(world: World) -> None:
    """A sealed worker does no background work, and notes no failures on leases."""
    world.issue("default", ttl=5)
    world.work()
    world.clock.advance(6)
    world.first.seal.seal()
    assert world.background is not None
    assert not world.background.seal.is_open()
    with pytest.raises(Exception, match="sealed"):
        world.background.expiry.work()
    world.unseal()
    world.work()
    assert lease_rows(world) == []
