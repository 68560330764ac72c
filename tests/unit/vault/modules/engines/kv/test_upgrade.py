"""From the unversioned to the versioned layout."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.vault.modules.engines.world import World
from vault.errors import InvalidRequest
from vault.modules.engines.kv.backend import kv_v1, kv_v2
from vault.modules.engines.kv.layout import NOT_BEGUN, UNVERSIONED, UPGRADE, hold_unversioned
from vault.modules.engines.kv.upgrade import begin_upgrade, is_upgrading, upgrade
from vault.storage.transaction import Transaction
from vault.storage.view import View

UPGRADING = "Upgrading from non-versioned to versioned data"
NAMES = ("a", "a/1", "config", "metadata/x", "versions/a/1", "upgrade", "d/e")


@pytest.fixture
def old() -> World:
    """Return an unversioned mount with secrets whose names look like rows of the versioned one."""
    world = World(kv_v1())
    for name in NAMES:
        world.write(name, {"name": name, "ttl": "1h"})
    return world


def _finish(world: World, batch: int = 100) -> int:
    steps = 1
    while world.view(lambda view: upgrade(view, world.now_ns, batch)):
        steps += 1
    return steps


def test_every_secret_becomes_version_one(old: World) -> None:
    """After the upgrade everything is there as a first version, byte for byte, and nothing of the old layout is left."""
    old.view(begin_upgrade)
    new = old.worker(kv_v2())
    _finish(new)
    for name in NAMES:
        assert new.data(f"data/{name}")["data"] == {"name": name, "ttl": "1h"}
        known = new.data(f"metadata/{name}")
        assert (known["current_version"], known["oldest_version"], known["current_metadata_version"]) == (1, 1, 0)
    assert new.list("metadata/") == ("a", "a/", "config", "d/", "metadata/", "upgrade", "versions/")
    assert not [path for path in new.rows.rows if f"/{UNVERSIONED}" in path]
    assert not new.view(is_upgrading)


def test_requests_are_refused_until_a_secret_is_reached(old: World) -> None:
    """Nobody is told "not there" of a secret that the upgrade has yet to reach, and nobody creates it anew."""
    old.view(begin_upgrade)
    new = old.worker(kv_v2())
    calls: tuple[Callable[[], Any], ...] = (
        lambda: new.read("data/a"),
        lambda: new.write("data/a", {"data": {}}),
        lambda: new.write("data/unheard-of", {"data": {}}),
        lambda: new.delete("metadata/a"),
        lambda: new.write("metadata/a", {"max_versions": 1}),
        lambda: new.list("metadata/"),
        lambda: new.read("config"),
        lambda: new.write("config", {"max_versions": 1}),
    )
    for call in calls:
        with pytest.raises(InvalidRequest, match=UPGRADING):
            call()
    _finish(new)
    assert new.data("data/a")["data"]["name"] == "a"


def test_upgrade_goes_in_steps_and_goes_on_where_it_stopped(old: World) -> None:
    """A step is a transaction of bounded size; after a crash another process takes the next one."""
    old.view(begin_upgrade)
    assert old.view(lambda view: upgrade(view, old.now_ns, 2))
    assert sum(f"/{UNVERSIONED}" in path for path in old.rows.rows) == len(NAMES) - 2
    other = old.worker(kv_v2())
    assert _finish(other, 2) == 4
    assert [other.data(f"data/{name}")["data"]["name"] for name in NAMES] == list(NAMES)


def test_upgrade_twice_is_once(old: World) -> None:
    """A finished upgrade is begun and run again without effect; what was written since stays."""
    old.view(begin_upgrade)
    new = old.worker(kv_v2())
    _finish(new)
    new.write("data/a", {"data": {"new": 1}})
    before = dict(new.rows.rows)
    new.view(begin_upgrade)
    assert _finish(new) == 1
    assert new.rows.rows == before
    assert new.data("data/a")["metadata"]["version"] == 2


def test_upgrade_that_was_not_begun_does_nothing(old: World) -> None:
    """An unversioned mount is left alone."""
    before = dict(old.rows.rows)
    assert not old.view(lambda view: upgrade(view, old.now_ns))
    assert old.rows.rows == before


def test_upgrade_of_an_empty_mount_ends_at_once() -> None:
    """Nothing to move is nothing to wait for."""
    world = World(kv_v2())
    world.view(begin_upgrade)
    assert _finish(world) == 1
    world.write("data/a", {"data": {}})


def test_unversioned_requests_end_with_the_upgrade(old: World) -> None:
    """A request that was routed before the upgrade and works after it is refused, not lost and not told "not there"."""
    old.view(begin_upgrade)
    _finish(old.worker(kv_v2()))
    for call in (lambda: old.write("a", {"x": 1}), lambda: old.delete("a"), lambda: old.read("a"), lambda: old.list("")):
        with pytest.raises(InvalidRequest, match=UPGRADING):
            call()


def test_no_unversioned_write_is_lost_to_a_concurrent_upgrade() -> None:
    """Each write under way is either refused or found again as a first version."""
    world = World(kv_v1())
    writers = [world.worker() for _ in range(4)]
    accepted: list[str] = []

    def write(worker: World, name: str) -> None:
        for number in range(25):
            try:
                worker.write(f"{name}{number}", {"n": number})
            except InvalidRequest:
                return
            accepted.append(f"{name}{number}")

    threads = [threading.Thread(target=write, args=(worker, name)) for worker, name in zip(writers, "abcd", strict=True)]
    for thread in threads:
        thread.start()
    new = world.worker(kv_v2())
    new.view(begin_upgrade)
    _finish(new)
    for thread in threads:
        thread.join()
    assert sorted(accepted) == sorted(new.list("metadata/"))


def test_write_that_overlaps_the_beginning_is_checked_at_its_commit(old: World) -> None:
    """A writer that saw no upgrade and commits after one began is run again, and refused."""
    transaction_began = threading.Event()

    def write(transaction: Transaction) -> None:
        view = View(transaction, old.mount.storage_prefix)
        hold_unversioned(view)
        if not transaction_began.is_set():
            transaction_began.set()
            old.view(begin_upgrade)
        view.put(f"{UNVERSIONED}late", b"{}")

    with pytest.raises(InvalidRequest, match=UPGRADING):
        old.store.run(write)
    assert not [path for path in old.rows.rows if path.endswith("late")]
    assert old.view(lambda view: view.get(UPGRADE)) is not None


def test_first_write_makes_the_row_that_later_ones_hold(old: World) -> None:
    """Only a row that exists can be locked against change, so it is there before the first secret is."""
    mark = old.view(lambda view: view.get(UPGRADE))
    assert mark is not None
    assert mark.value == NOT_BEGUN
    before = old.rows.rows[f"{old.mount.storage_prefix}{UPGRADE}"]
    old.write("another", {"x": 1})
    assert old.rows.rows[f"{old.mount.storage_prefix}{UPGRADE}"] is before
