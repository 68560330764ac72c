"""Rows that a value was made of: any change of any of them is seen, with a cache and without."""

from collections.abc import Callable

import pytest

from vault.clock import SystemClock
from vault.host import HostPage
from vault.storage.barrier import Barrier
from vault.storage.cache import Cache
from vault.storage.keyring import Keyring
from vault.storage.memory import Memory
from vault.storage.sources import Sources
from vault.storage.transaction import Store, Transaction

PATHS = ("a", "b", "absent")


@pytest.fixture(params=["cached", "uncached"])
def store(request: pytest.FixtureRequest) -> Store:
    """Return a store of two rows."""
    page, barrier = HostPage(), Barrier()
    barrier.open(Keyring.create())
    cache = Cache(page.generations, SystemClock())
    if request.param == "cached":
        cache.fresh_until = float("inf")
    store = Store(Memory(), barrier, cache, page.generations.bump)
    for path in PATHS[:2]:
        put(store, path)
    return store


def put(store: Store, path: str) -> None:
    """Write a row as it is at first."""
    store.run(lambda transaction: transaction.put(path, b"1"))


def read(store: Store) -> Sources:
    """Return the rows as they are."""
    transaction = store.read()
    return Sources(tuple((path, transaction.get(path)) for path in PATHS))


CHANGES: dict[str, Callable[[Transaction], None]] = {
    "first": lambda transaction: transaction.put("a", b"2"),
    "second": lambda transaction: transaction.put("b", b"2"),
    "deleted": lambda transaction: transaction.delete("b"),
    "created": lambda transaction: transaction.put("absent", b"1"),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_change_is_seen(store: Store, change: Callable[[Transaction], None]) -> None:
    """By the transaction that makes it, and by all that follow; what was read before it holds no longer."""
    sources = read(store)

    def look(transaction: Transaction) -> bool:
        change(transaction)
        return sources.is_current(transaction)

    assert not store.run(look)
    assert not sources.is_current(store.read())
    assert read(store).is_current(store.read())


def test_same_rows_are_current(store: Store) -> None:
    """Rows that others write beside them, or that are written as they were, change nothing; no rows never do."""
    sources = read(store)
    put(store, "c")
    put(store, "a")
    assert sources.is_current(store.read())
    assert Sources(()).is_current(store.read())
