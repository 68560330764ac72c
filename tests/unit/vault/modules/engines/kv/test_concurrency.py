"""Many workers on one secret: optimistic transactions decide, no lock does."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from tests.unit.vault.modules.engines.world import World
from vault.errors import InvalidRequest
from vault.modules.engines.kv.backend import kv_v2

WORKERS = 4


def _run_together(world: World, calls: list[Callable[[World], Any]]) -> list[Any]:
    """Run all calls at the same time, spread over several workers; a refusal is a result."""
    workers = [world.worker() for _ in range(WORKERS)]
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = calls[index](workers[index % WORKERS])
        except InvalidRequest as refusal:
            results[index] = refusal

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def _patch(key: str, worker: World) -> Any:
    return worker.patch("data/a", {"data": {key: 1}})


def test_one_of_many_writers_with_the_same_cas_wins() -> None:
    """A version number is given once, to one writer; all others are told."""
    world = World(kv_v2())
    world.write("data/a", {"data": {}})
    body = {"data": {"x": 1}, "options": {"cas": 1}}
    results = _run_together(world, [lambda worker: worker.write("data/a", body)] * 40)
    assert sum(isinstance(result, InvalidRequest) for result in results) == 39
    assert world.data("metadata/a")["current_version"] == 2


def test_concurrent_writers_get_dense_numbers() -> None:
    """Every write is one version: none is lost, none is double."""
    world = World(kv_v2())
    world.write("config", {"max_versions": 100})
    results = _run_together(world, [lambda worker: worker.write("data/a", {"data": {}})] * 40)
    assert sorted(result.data["version"] for result in results) == list(range(1, 41))
    assert list(world.data("metadata/a")["versions"]) == [str(number) for number in range(1, 41)]


def test_concurrent_patches_lose_nothing() -> None:
    """Patches of distinct keys end up in one secret, all of them."""
    world = World(kv_v2())
    world.write("data/a", {"data": {}})
    _run_together(world, [partial(_patch, f"k{number}") for number in range(40)])
    assert len(world.data("data/a")["data"]) == 40


def test_delete_of_a_secret_and_a_write_do_not_mix() -> None:
    """A write comes before the delete, or begins a new secret: no version stays without a record."""
    world = World(kv_v2())
    for _ in range(20):
        world.write("data/a", {"data": {}})
        _run_together(world, [lambda worker: worker.write("data/a", {"data": {}}), lambda worker: worker.delete("metadata/a")] * 3)
        world.delete("metadata/a")
        assert not world.rows.rows
