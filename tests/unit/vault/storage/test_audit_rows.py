"""Partitions are made now and then, and not with every round of the background work."""

import pytest

from tests.unit.vault.modules.system.fakes import FakeClock
from vault.errors import StorageUnavailable
from vault.storage.audit_rows import PartitionChore


def test_chore_makes_partitions_every_few_hours() -> None:
    """Once at its start, then when some hours have passed; after a failure, at the next round."""
    calls: list[bool] = []
    failing = [True]

    def make() -> None:
        calls.append(True)
        if failing[0]:
            raise StorageUnavailable

    clock = FakeClock()
    chore = PartitionChore(make, clock)
    with pytest.raises(StorageUnavailable):
        chore.run()
    failing[0] = False
    for _ in range(3):
        chore.run()
    assert len(calls) == 2
    clock.advance(7 * 3600)
    chore.run()
    assert len(calls) == 3
