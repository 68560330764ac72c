"""Revoking trees: whatever dies when, nothing that was to end stays alive."""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from tests.unit.vault.fault import DyingRunner, Killed
from tests.unit.vault.modules.system.world import ROOT, World
from vault.errors import IntegrityError, PermissionDenied, StorageUnavailable
from vault.leases import ATTEMPTS_MAX
from vault.logical.operation import Operation
from vault.logical.token import Token, TokenKind
from vault.modules.auth.tokens import Issued
from vault.revocation import BATCH, Revoker, Runner
from vault.storage.transaction import Transaction


def revoker_over(world: World, runner: Runner) -> Revoker:
    """Return a revoker of the first worker over another store."""
    worker = world.first
    return Revoker(
        runner, tokens=worker.tokens, leases=worker.leases, mounts=worker.mounts, clock=world.clock,
        cubbyhole_prefix=worker.wrapping.cubbyhole_prefix,
    )  # fmt: skip


def grow(world: World, depth: int, width: int, parent: str = "") -> list[str]:
    """Make a tree of tokens; return their ids, the root first."""
    key = world.first.tokens.hash_id(parent) if parent else ""
    token = world.issue("default", parent=key)
    world.write("cubbyhole/x", token=token, a="b")
    return [token, *(other for _ in range(width if depth > 1 else 0) for other in grow(world, depth - 1, width, token))]


def key_of(world: World, token: str) -> str:
    """Return the key of a token."""
    return world.first.tokens.hash_id(token)


def revoke(world: World, token: str) -> None:
    """Revoke a token by its id."""
    world.send(Operation.UPDATE, "auth/token/revoke", {"token": token})


def is_live(world: World, token: str) -> bool:
    """Return whether any worker accepts a token."""
    for worker in (world.first, world.worker()):
        try:
            world.read("auth/token/lookup-self", token=token, worker=worker)
        except PermissionDenied:
            continue
        return True
    return False


def left_over(world: World) -> list[str]:
    """Return the rows that belong to tokens other than root."""
    root = key_of(world, ROOT)
    accessor = world.accessor(ROOT)
    prefixes = (
        "sys/token/id/",
        "sys/token/accessor/",
        "sys/token/parent/",
        "sys/lease/",
        world.first.wrapping.cubbyhole_prefix(world.first.store.read()),
    )
    return [path for path in world.rows.rows if path.startswith(prefixes) and root not in path and accessor not in path]


def test_deep_and_wide_tree_goes_at_once(world: World) -> None:
    """A chain of ten generations with ten children each is dead on every worker when the revocation returns, with all its rows."""
    everyone = [parent := world.issue("default")]
    for _ in range(10):
        children = [world.issue("default", parent=key_of(world, parent)) for _ in range(10)]
        everyone += children
        parent = children[5]
    other = world.issue("default")
    revoke(world, everyone[0])
    assert not [token for token in everyone if is_live(world, token)]
    assert is_live(world, other)
    revoke(world, other)
    assert left_over(world) == []


@pytest.mark.parametrize("after", [False, True])
def test_interrupted_revocation_is_finished_by_others(world: World, after: bool) -> None:
    """Killed before or after any of its transactions: from its first commit on the token is dead, and background work ends the rest."""
    for step in range(1, 100):
        tokens = grow(world, 3, 2)
        try:
            revoker_over(world, DyingRunner(world.first.store, step, after=after)).revoke_tree(key_of(world, tokens[0]))
            ended = True
        except Killed:
            ended = False
        if step > 1 or after:
            assert not is_live(world, tokens[0])
            world.clock.advance(0.001)
            world.work()
        else:
            assert all(is_live(world, token) for token in tokens)
            world.first.revoker.revoke_tree(key_of(world, tokens[0]))
        assert left_over(world) == []
        if ended:
            assert step > 7
            return
    pytest.fail("the revocation never ended")


@pytest.mark.parametrize("after", [False, True])
def test_interrupted_orphaning_spares_the_children(world: World, after: bool) -> None:
    """Revoke-orphan that is killed anywhere, or overtaken by the expiry of the token's lease, never takes the children along."""
    for step in range(1, 60):
        parent, child, grandchild = grow(world, 3, 1)
        world.first.store.run(partial(world.first.tokens.mark_revoked, key=key_of(world, parent), spares_children=True))
        try:
            revoker_over(world, DyingRunner(world.first.store, step, after=after)).revoke_tree(key_of(world, parent))
            ended = True
        except Killed:
            ended = False
        world.clock.advance(0.001)
        world.work()
        assert not is_live(world, parent)
        assert is_live(world, child)
        assert is_live(world, grandchild)
        assert world.read("auth/token/lookup-self", token=child)["orphan"] is True
        revoke(world, child)
        assert left_over(world) == []
        if ended:
            assert step > 3
            return
    pytest.fail("the revocation never ended")


def test_revoked_parent_gets_no_more_children(world: World) -> None:
    """A child is refused from the mark on."""
    parent = world.issue("default")
    world.first.store.run(lambda transaction: world.first.tokens.mark_revoked(transaction, key_of(world, parent)))
    with pytest.raises(PermissionDenied):
        world.issue("default", parent=key_of(world, parent))


@pytest.mark.parametrize("stage", ["before mark", "after mark", "after revocation"])
def test_child_made_during_revocation_is_no_orphan(world: World, stage: str) -> None:
    """A child whose transaction began before its parent was revoked is not made, or goes with it; whichever commits first."""
    other = world.worker()
    other.seal.require_open()
    parent = world.issue("default")
    key = key_of(world, parent)
    other.tokens.list_children(other.store.read(), key, "", 10)  # whatever could be cached is
    done: list[bool] = []

    def interfere(_: object) -> None:
        if done:
            return
        done.append(True)
        if stage == "after mark":
            other.store.run(lambda transaction: other.tokens.mark_revoked(transaction, key))
        elif stage == "after revocation":
            other.revoker.revoke_tree(key)

    def make(transaction: Transaction) -> Issued:
        token = Token(
            key="", policies=("default",), path="auth/token/create", parent=key, creation_time=1, issued_ns=1,
            expires_at=world.clock.now() + 60,
        )  # fmt: skip
        issued = world.first.tokens.create(transaction, token)
        interfere(transaction)
        return issued

    try:
        made: Issued | None = world.first.store.run(make)
    except PermissionDenied:
        made = None
    assert (made is not None) is (stage == "before mark")
    other.revoker.revoke_tree(key)
    assert made is None or not is_live(world, made.id.reveal())
    assert left_over(world) == []


def test_whole_tree_gets_no_more_children(world: World) -> None:
    """Between any two steps of a revocation somebody tries to make a child of each token of the tree: none is left in the end."""
    tokens = grow(world, 3, 2)

    class Busy:
        """Lets others try before every transaction."""

        made = 0

        def run(self, work: Callable[[Transaction], Any]) -> Any:
            """Run one transaction."""
            for token in tokens:
                with suppress(PermissionDenied):
                    world.issue("default", parent=key_of(world, token))
                    self.made += 1
            return world.first.store.run(work)

    runner = Busy()
    revoker_over(world, runner).revoke_tree(key_of(world, tokens[0]))
    assert runner.made >= len(tokens)
    assert left_over(world) == []


def test_child_that_was_not_announced_yet_is_found(world: World) -> None:
    """A listing of children that another worker has cached does not hide a child whose commit is not announced yet."""
    parent = world.issue("default")
    key = key_of(world, parent)
    other = world.worker()
    other.seal.require_open()
    for limit in (None, BATCH):
        assert other.store.read().list_children(f"sys/token/parent/{key}/", "", limit) == ()
    world.first.store._bump = lambda slots: dict.fromkeys(slots, -1)
    child = world.issue("default", parent=key)
    other.revoker.revoke_tree(key)
    assert world.rows.get(f"sys/token/id/{key_of(world, child)}") is None


def test_batch_child_goes_with_its_parent(world: World) -> None:
    """A batch token is not stored: it is refused because its parent is gone."""
    parent = world.issue("default")
    child = world.issue("default", kind=TokenKind.BATCH, parent=key_of(world, parent))
    assert is_live(world, child)
    revoke(world, parent)
    assert not is_live(world, child)


def test_write_under_way_leaves_nothing_in_a_dead_cubbyhole(world: World) -> None:
    """A write into the cubbyhole that began before the token's revocation does not commit after it."""
    token = world.issue("default")
    other = world.worker()
    other.seal.require_open()
    inner = world.first.core.authority.bind

    def bind(transaction: Transaction, caller: Token) -> None:
        inner(transaction, caller)
        other.revoker.revoke_tree(key_of(world, token))

    world.first.core.authority.bind = bind  # type: ignore[assignment,method-assign]  # the moment of the race
    with pytest.raises(PermissionDenied):
        world.write("cubbyhole/x", token=token, a="b")
    assert left_over(world) == []


class FailingRunner:
    """A store that fails some transactions."""

    def __init__(self, store: Runner, failure: Exception, when: Callable[[int], bool]) -> None:
        self._store = store
        self._failure = failure
        self._when = when
        self._count = 0

    def run(self, work: Callable[[Transaction], Any]) -> Any:
        """Run one transaction or fail."""
        self._count += 1
        if self._when(self._count):
            raise self._failure
        return self._store.run(work)


def lease_id_of(world: World, token: str) -> str:
    """Return the lease id of a token."""
    return f"auth/token/create/h{key_of(world, token)}"


def test_failed_revocation_keeps_its_lease_and_counts(world: World) -> None:
    """Each failure is noted and puts the next try off, at last the lease is irrevocable; force drops it even so."""
    token = world.issue("default", ttl=1)
    lease_id, find = lease_id_of(world, token), world.first.leases.find
    for attempt in range(ATTEMPTS_MAX + 4):
        with pytest.raises(IntegrityError):
            revoker_over(world, FailingRunner(world.first.store, IntegrityError(), lambda count: count == 2)).revoke_lease(lease_id)
        record = find(world.first.store.read(), lease_id)
        assert record is not None
        assert (record.attempts, record.last_error, record.irrevocable) == (attempt + 1, "IntegrityError", attempt + 1 >= ATTEMPTS_MAX)
        assert world.clock.now() < record.expires_at <= world.clock.now() + 64
    revoker_over(world, FailingRunner(world.first.store, IntegrityError(), lambda count: count == 2)).revoke_lease(lease_id, force=True)
    assert find(world.first.store.read(), lease_id) is None


def test_lost_storage_is_no_fault_of_the_lease(world: World) -> None:
    """An outage does not make leases irrevocable."""
    token = world.issue("default", ttl=1)
    with pytest.raises(StorageUnavailable):
        revoker_over(world, FailingRunner(world.first.store, StorageUnavailable(), lambda count: count == 2)).revoke_lease(
            lease_id_of(world, token)
        )
    record = world.first.leases.find(world.first.store.read(), lease_id_of(world, token))
    assert record is not None
    assert record.attempts == 0


def test_force_waits_for_storage(world: World) -> None:
    """An outage does not make force drop the lease of a token that is still alive."""
    token = world.issue("default", ttl=60)
    with pytest.raises(StorageUnavailable):
        revoker_over(world, FailingRunner(world.first.store, StorageUnavailable(), lambda count: count == 3)).revoke_prefix(
            "auth/", force=True
        )
    assert is_live(world, token)
    assert world.first.leases.find(world.first.store.read(), lease_id_of(world, token)) is not None


def test_lease_of_a_new_token_with_the_same_id_stays(world: World) -> None:
    """A custom id that is given anew while the old token is being cleared away keeps its new lease."""
    world.write("auth/token/create", id="custom", ttl=60, policies=["default"])
    lease_id = lease_id_of(world, "custom")

    class Again:
        """Makes the token anew right before the last transaction."""

        count = 0

        def run(self, work: Callable[[Transaction], Any]) -> Any:
            """Run one transaction."""
            self.count += 1
            if self.count == 5:
                world.write("auth/token/create", id="custom", ttl=90, policies=["default"])
            return world.first.store.run(work)

    runner = Again()
    revoker_over(world, runner).revoke_lease(lease_id)
    assert runner.count == 5
    assert is_live(world, "custom")
    assert world.first.leases.find(world.first.store.read(), lease_id) is not None


def test_lease_that_was_renewed_meanwhile_is_not_due(world: World) -> None:
    """Only what the record says counts: a lease that was found due and then renewed stays."""
    token = world.issue("default", ttl=60)
    early = (lease_id_of(world, token), "nosuch")
    assert world.first.revoker.revoke_due(early) == early
    assert is_live(world, token)
    world.clock.advance(60)
    assert world.first.revoker.revoke_due(early) == ("nosuch",)
    assert left_over(world) == []


def test_full_cubbyhole_goes_whole(world: World) -> None:
    """However much lies in it."""
    token = world.issue("default")
    for number in range(150):
        world.write(f"cubbyhole/a/{number}", token=token, a="b")
    revoke(world, token)
    assert left_over(world) == []


def test_tidy_removes_accessors_without_token(world: World) -> None:
    """The others stay."""
    token = world.issue("default")
    world.first.store.run(lambda transaction: transaction.put("sys/token/accessor/stray", b"gone"))
    assert world.first.revoker.tidy_accessors(1) == 1
    assert world.accessor(token) in world.list("auth/token/accessors")
    assert "stray" not in world.list("auth/token/accessors")


@pytest.mark.parametrize("first", [2, 3])
def test_expired_token_gets_no_child_from_a_slow_clock(world: World, first: int) -> None:
    """A host whose clock is behind still takes an expired token for alive: from the mark on it makes no children either."""
    token = world.issue("default", ttl=60)
    world.clock.advance(60)

    class Slow:
        """Lets a slow host try before every transaction from one on."""

        count = 0

        def run(self, work: Callable[[Transaction], Any]) -> Any:
            """Run one transaction."""
            self.count += 1
            if self.count >= first:
                world.clock.advance(-10)
                with suppress(PermissionDenied):
                    world.issue("default", parent=key_of(world, token))
                world.clock.advance(10)
            return world.first.store.run(work)

    assert revoker_over(world, Slow()).revoke_due((lease_id_of(world, token),)) == ()
    assert left_over(world) == []
