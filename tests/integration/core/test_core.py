"""What must be exact under concurrency, over a real PostgreSQL and several workers of a host."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.integration.core.conftest import DatabaseWorld
from tests.unit.vault.fault import DyingRunner, Killed
from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.modules.system.world import ROOT
from tests.unit.vault.test_mounts import in_parallel
from vault.errors import DeniedByPolicy, InvalidRequest, PermissionDenied
from vault.leases import PREFIX
from vault.logical.operation import Operation
from vault.revocation import Revoker

CALLERS = 24


def spread(world: DatabaseWorld, call: Callable[[int, Worker], Any], callers: int = CALLERS) -> list[Any]:
    """Call from many threads over three workers; return what each returned or raised."""
    workers = [world.first, world.worker(), world.worker()]
    for worker in workers:
        worker.seal.require_open()

    def bind(index: int) -> Callable[[], Any]:
        return lambda: call(index, workers[index % 3])

    return in_parallel([bind(index) for index in range(callers)])


def rows_below(world: DatabaseWorld, prefix: str) -> tuple[str, ...]:
    """Return what is stored below a prefix."""
    return world.database.list_subtree(prefix, "", 100_000)


def live_tokens(world: DatabaseWorld) -> set[str]:
    """Return the keys of the stored tokens beside root's."""
    return set(rows_below(world, "sys/token/id/")) - {world.first.tokens.hash_id(ROOT)}


@pytest.mark.parametrize("uses", [1, 2, 5])
def test_uses_are_counted_exactly(world: DatabaseWorld, uses: int) -> None:
    """As many requests are let in as there are uses, allowed and denied ones together; then nothing is left of the token."""
    token = world.issue("default", uses_left=uses)
    paths = ("auth/token/lookup-self", "sys/mounts")
    results = spread(world, lambda index, worker: world.read(paths[index % 2], token=token, worker=worker))
    accepted = [result for result in results if not isinstance(result, Exception) or isinstance(result, DeniedByPolicy)]
    assert len(accepted) == uses
    assert all(type(result) is PermissionDenied for result in results if not any(result is other for other in accepted))
    assert live_tokens(world) == set()
    assert rows_below(world, PREFIX) == ()


def test_wrapped_answer_is_opened_once(world: DatabaseWorld) -> None:
    """By name and as the caller's own token."""
    for _ in range(3):
        answer = world.send(Operation.UPDATE, "sys/wrapping/wrap", {"a": 1}, wrap=60)
        assert answer is not None
        assert answer.wrap_info is not None
        token = answer.wrap_info.token.reveal()

        def unwrap(index: int, worker: Worker, token: str = token) -> Any:
            fields = {"token": token} if index % 2 else {}
            return world.send(Operation.UPDATE, "sys/wrapping/unwrap", fields, token=ROOT if index % 2 else token, worker=worker)

        results = spread(world, unwrap)
        assert sum(not isinstance(result, Exception) for result in results) == 1
    assert live_tokens(world) == set()
    assert rows_below(world, world.first.wrapping.cubbyhole_prefix(world.first.store.read())) == ()


def test_mounts_never_nest(world: DatabaseWorld) -> None:
    """Of many mounts in each other's way one is made."""
    names = ("a", "a/b", "a/b/c")
    results = spread(world, lambda index, worker: world.write(f"sys/mounts/{names[index % 3]}", worker=worker, type="kv"))
    assert sum(result is None for result in results) == 1
    assert all(isinstance(result, InvalidRequest) for result in results if result is not None)


def test_no_child_survives_its_parent(world: DatabaseWorld) -> None:
    """Children are being made on all workers while their parent is revoked: when that is done, none is alive."""
    world.write("sys/policies/acl/maker", policy='path "auth/token/create" { capabilities = ["update"] }')
    for _ in range(10):
        parent = world.issue("maker")

        def act(index: int, worker: Worker, parent: str = parent) -> Any:
            if index == CALLERS // 2:
                return world.send(Operation.UPDATE, "auth/token/revoke", {"token": parent}, worker=worker)
            return world.send(Operation.UPDATE, "auth/token/create", {}, token=parent, worker=worker)

        results = spread(world, act)
        assert results[CALLERS // 2] is None
        assert all(isinstance(result, PermissionDenied) for result in results if isinstance(result, Exception))
        assert live_tokens(world) == set()
    assert rows_below(world, "sys/token/parent/") == ()
    assert rows_below(world, PREFIX) == ()


@pytest.mark.parametrize("after", [False, True])
def test_revocation_dies_at_every_step(world: DatabaseWorld, after: bool) -> None:
    """Wherever the process is killed, the background work of another one ends what was begun."""
    worker = world.first
    for step in range(1, 60):
        parent = world.issue("default")
        key = worker.tokens.hash_id(parent)
        for _ in range(2):
            child = world.issue("default", parent=key)
            world.issue("default", parent=worker.tokens.hash_id(child))
        revoker = Revoker(
            DyingRunner(worker.store, step, after=after), tokens=worker.tokens, leases=worker.leases, mounts=worker.mounts,
            clock=world.clock, cubbyhole_prefix=worker.wrapping.cubbyhole_prefix,
        )  # fmt: skip
        try:
            revoker.revoke_tree(key)
            ended = True
        except Killed:
            ended = False
        if step == 1 and not after:
            worker.revoker.revoke_tree(key)
        world.clock.advance(0.001)
        world.work()
        assert live_tokens(world) == set()
        if ended:
            return
    pytest.fail("the revocation never ended")


def test_a_thousand_leases_expire(world: DatabaseWorld) -> None:
    """All of them, with all their rows."""
    for _ in range(1000):
        world.issue("default", ttl=5)
    world.clock.advance(6)
    world.work()
    assert live_tokens(world) == set()
    assert rows_below(world, PREFIX) == ()
    assert len(rows_below(world, "sys/token/accessor/")) == 1
