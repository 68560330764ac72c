"""The mount table under concurrent changes, and the end of a mount."""

import threading
from collections.abc import Callable

import pytest

from tests.unit.vault.fault import DyingRunner, Killed
from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, UnsupportedPath
from vault.logical.mount import Lifetimes
from vault.logical.operation import Operation
from vault.mounts import BUILT_IN, PATH, RESERVED, parse_mount_path
from vault.revocation import Revoker
from vault.secret import Secret


def in_parallel(works: list[Callable[[], object]]) -> list[object]:
    """Run all at once; return what each returned or raised."""
    results: list[object] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(index: int) -> None:
        start.wait()
        try:
            results[index] = works[index]()
        except Exception as error:  # noqa: BLE001 - the outcome is what is looked at
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize(
    "name",
    ["", "/", "//", "a//b", "a/../b", ".", "..", "a/.", "a*", "a+b", "a{b", "a}b", "a%2f", "a\\b", "a\x00", "a\n", "a\u2028", "x" * 600],
)
def test_mount_names_are_refused(name: str) -> None:
    """What could be another spelling of a path, or a pattern, is no name."""
    with pytest.raises(InvalidRequest):
        parse_mount_path(name)


@pytest.mark.parametrize("place", RESERVED)
@pytest.mark.parametrize("rest", ["", "x", "x/y/"])
def test_reserved_names_are_refused(place: str, rest: str) -> None:
    """Nothing is mounted in or below what the service itself uses."""
    with pytest.raises(InvalidRequest, match="reserved"):
        parse_mount_path(place + rest)
    assert parse_mount_path("x/" + place + rest).startswith("x/")
    assert parse_mount_path("/kv/") == "kv/"
    assert parse_mount_path("kv", prefix="auth/") == "auth/kv/"


class Brief(World):
    """A server whose configuration grants less than Vault does."""

    lifetimes = Lifetimes(default_seconds=100, max_seconds=200)


def test_lease_times_of_the_configuration_hold() -> None:
    """They are what a token gets and what a mount shows where nobody says; they follow the configuration and not the row."""
    world = Brief()
    tune = world.read("sys/auth/token/tune")
    assert (tune["default_lease_ttl"], tune["max_lease_ttl"]) == (100, 200)
    made = world.send(Operation.UPDATE, "auth/token/create", {"policies": ["default"]})
    assert made is not None
    assert made.auth is not None
    assert made.auth.lease_duration_seconds == 100
    long = world.send(Operation.UPDATE, "auth/token/create", {"policies": ["default"], "ttl": "1h"})
    assert long is not None
    assert long.auth is not None
    assert long.auth.lease_duration_seconds == 200
    with pytest.raises(InvalidRequest, match="system max lease TTL of 200"):
        world.write("sys/mounts/new", type="kv", config={"default_lease_ttl": "300s"})
    row = world.first.store.read().get(PATH)
    assert row is not None
    assert b"lifetimes" not in row.value


def test_concurrent_mounts_never_nest(world: World) -> None:
    """Of 50 mounts that are in each other's way exactly one is made, and of as many free ones all."""
    workers = [world.first, world.worker(), world.worker()]
    names = [("a", "a/b", "a/b/c")[index % 3] for index in range(50)] + [f"free-{index}" for index in range(20)]
    results = in_parallel([
        (lambda name=name, worker=workers[index % 3]: world.write(f"sys/mounts/{name}", worker=worker, type="kv"))  # type: ignore[misc]
        for index, name in enumerate(names)
    ])  # fmt: skip
    assert sum(result is None for result in results[:50]) == 1
    assert all(isinstance(result, InvalidRequest) for result in results[:50] if result is not None)
    assert results[50:] == [None] * 20
    places = [mount.path for mount in world.first.mounts.table(world.first.store.read()).mounts]
    assert len(places) == len(set(places)) == 4 + 1 + 20
    assert not [(above, below) for above in places for below in places if above != below and below.startswith(above)]


@pytest.mark.parametrize("place", BUILT_IN)
def test_built_in_mounts_stay(world: World, place: str) -> None:
    """What the service needs can be neither removed nor covered."""
    with pytest.raises(InvalidRequest):
        world.first.store.run(lambda transaction: world.first.mounts.taint(transaction, place))
    mount = world.first.mounts.new(place + "x/", "token" if place.startswith("auth/") else "kv")
    with pytest.raises(InvalidRequest, match="already in use"):
        world.first.store.run(lambda transaction: world.first.mounts.add(transaction, mount))


def test_unknown_kinds_are_refused(world: World) -> None:
    """A kind of the other family is unknown too."""
    for path, kind in (("x/", "nosuch"), ("x/", "token"), ("auth/x/", "kv")):
        with pytest.raises(InvalidRequest, match="not found in the catalog"):
            world.first.mounts.new(path, kind)


def test_new_mount_sees_nothing_of_an_old_one(world: World) -> None:
    """After a mount was removed and made anew at the same path, old data and its rows are gone."""
    world.write("sys/mounts/kv", type="kv")
    world.write("kv/a", x="1")
    old = world.first.mounts.require(world.first.store.read(), "kv/")
    world.delete("sys/mounts/kv")
    assert not [path for path in world.rows.rows if path.startswith(old.storage_prefix)]
    world.write("sys/mounts/kv", type="kv")
    for worker in (world.first, world.worker()):
        assert world.send(Operation.READ, "kv/a", {}, worker=worker) is None
        assert world.list("kv/") == ()
    new = world.first.mounts.require(world.first.store.read(), "kv/")
    assert (new.uuid, new.accessor) != (old.uuid, old.accessor)


@pytest.mark.parametrize("after", [False, True])
def test_half_removed_mount_is_closed_and_finished_by_others(world: World, after: bool) -> None:
    """Wherever a removal dies: the mount answers nothing, its place stays taken, and the background work ends it."""
    for step in range(1, 60):
        world.write("sys/mounts/kv", type="kv")
        world.write("kv/a", x="1")
        mount = world.first.store.run(lambda transaction: world.first.mounts.taint(transaction, "kv/"))
        token = world.issue("default", path="kv/made/here")
        ended = _remove_dying(world, DyingRunner(world.first.store, step, after=after))
        if not ended:
            with pytest.raises(UnsupportedPath):
                world.read("kv/a")
            world.work()
        assert not [path for path in world.rows.rows if path.startswith((mount.storage_prefix, "sys/lease/kv/"))]
        assert world.first.tokens.find(world.first.store.read(), Secret(token)) is None
        assert world.first.mounts.table(world.first.store.read()).find("kv/") is None
        if ended:
            assert step > 5
            return
    pytest.fail("the removal never ended")


def _remove_dying(world: World, runner: DyingRunner) -> bool:
    worker = world.first
    revoker = Revoker(
        runner, tokens=worker.tokens, leases=worker.leases, mounts=worker.mounts, clock=world.clock,
        cubbyhole_prefix=worker.wrapping.cubbyhole_prefix,
    )  # fmt: skip
    mount = worker.mounts.require(worker.store.read(), "kv/")
    try:
        revoker.remove_mount(mount)
    except Killed:
        return False
    return True
