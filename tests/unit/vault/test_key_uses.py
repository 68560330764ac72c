"""Uses of the data keys: every encryption counts, and what is not on record yet is kept."""

from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from tests.unit.vault.test_mounts import in_parallel
from tests.unit.vault.test_rotation import kv, status
from vault import limits
from vault.errors import StorageUnavailable
from vault.rotation import USES

__all__ = ["kv"]


def test_every_encryption_counts(kv: World) -> None:
    """Seen at once by the worker that did it."""
    kv.write("kv/first", v="x")
    before = status(kv)["encryptions"]
    for number in range(10):
        kv.write(f"kv/{number}", v="x")
    assert status(kv)["encryptions"] == before + 10


def test_uses_are_noted_when_there_are_many_or_it_is_time(kv: World) -> None:
    """An idle server writes nothing; a busy one every minute, a very busy one at once."""
    worker = kv.worker()
    assert worker.seal.is_open()
    few, many = limits.KEY_USES_WORTH_NOTING - 1, limits.KEY_USES_WORTH_NOTING
    steps = (
        (many, 59, False),
        (many, 1, True),
        (few, 61, False),
        (few, limits.KEY_USES_SECONDS_MAX, True),
        (limits.KEY_USES_PENDING_MAX, 0, True),
        (0, 1_000_000, False),
    )
    worker.store.barrier.count({1: 1})
    kv.write("kv/a", v="x", worker=worker)
    worker.rotation.note_uses()
    for pending, seconds, expected in steps:
        worker.store.barrier.take_counts()
        worker.store.barrier.count({1: pending} if pending else {})
        kv.clock.advance(seconds)
        before = kv.rows.rows[USES]
        worker.rotation.note_uses_if_due()
        assert (kv.rows.rows[USES] != before) is expected, (pending, seconds)


def test_uses_that_could_not_be_noted_are_kept(kv: World) -> None:
    """Without storage, and while sealed."""
    worker = kv.worker()
    assert worker.seal.is_open()
    worker.store.barrier.take_counts()
    worker.store.barrier.count({1: 7})
    physical, worker.store.physical = worker.store.physical, FailingPhysical(worker.store.physical)  # type: ignore[assignment]
    with pytest.raises(StorageUnavailable):
        worker.rotation.note_uses()
    worker.store.physical = physical
    assert worker.store.barrier.counts[1] >= 7
    worker.seal.seal()
    worker.rotation.note_uses()
    assert worker.store.barrier.counts[1] >= 7


class FailingPhysical:
    """A storage that reads and does not write."""

    def __init__(self, physical: Any) -> None:
        self._physical = physical
        self.get = physical.get

    def prepare(self, *_: object) -> Any:
        raise StorageUnavailable


def test_uses_of_many_workers_add_up(kv: World) -> None:
    """Noted at the same time, none is lost."""
    workers = [kv.worker() for _ in range(6)]
    for worker in workers:
        assert worker.seal.is_open()
        worker.store.barrier.take_counts()
        worker.store.barrier.count({1: 1000})
    in_parallel([worker.rotation.note_uses for worker in workers])
    assert 6000 <= status(kv)["encryptions"] < 6200
