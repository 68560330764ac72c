"""Optimistic transactions and the cache that all workers keep coherent."""

import threading

import pytest

from vault import limits
from vault.clock import SystemClock
from vault.errors import Conflict, IntegrityError, Sealed
from vault.host import HostPage
from vault.storage.barrier import Barrier
from vault.storage.cache import Cache
from vault.storage.keyring import Keyring
from vault.storage.memory import Memory
from vault.storage.physical import Row
from vault.storage.transaction import Store, Transaction


class Counting(Memory):
    """A storage that counts how often it is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self.listings = 0

    def get(self, path: str) -> Row | None:
        """Count a read."""
        self.reads += 1
        return super().get(path)

    def list_children(self, prefix: str, after: str, limit: int | None) -> tuple[str, ...]:
        """Count a listing."""
        self.listings += 1
        return super().list_children(prefix, after, limit)


@pytest.fixture
def page() -> HostPage:
    """Return a page that two workers share."""
    return HostPage()


def new_cache(page: HostPage) -> Cache:
    """Return the cache of a worker that hears of every other host."""
    cache = Cache(page.generations, SystemClock())
    cache.fresh_until = float("inf")
    return cache


def worker(page: HostPage, physical: Memory, keyring: Keyring) -> Store:
    """Return the store of one worker."""
    barrier = Barrier()
    barrier.open(keyring)
    return Store(physical, barrier, new_cache(page), page.generations.bump)


@pytest.fixture
def physical() -> Counting:
    """Return an empty storage."""
    return Counting()


@pytest.fixture
def workers(page: HostPage, physical: Counting) -> tuple[Store, Store]:
    """Return two workers over one storage."""
    keyring = Keyring.create()
    return worker(page, physical, keyring), worker(page, physical, keyring)


def put(store: Store, path: str, value: bytes) -> None:
    """Write one row."""
    store.run(lambda transaction: transaction.put(path, value))


def read(store: Store, path: str) -> bytes | None:
    """Read one row."""
    entry = store.read().get(path)
    return None if entry is None else entry.value


def test_closed_barrier_refuses(page: HostPage, physical: Counting) -> None:
    """Nothing is read or written while the barrier is closed."""
    store = Store(physical, Barrier(), new_cache(page), page.generations.bump)
    with pytest.raises(Sealed):
        put(store, "a", b"v")
    assert physical.get("a") is None


def test_swapped_rows_are_refused(workers: tuple[Store, Store], physical: Counting) -> None:
    """A row under another row's path does not decrypt."""
    put(workers[0], "a", b"secret a")
    put(workers[0], "b", b"secret b")
    physical._rows["a"], physical._rows["b"] = physical._rows["b"], physical._rows["a"]
    for path in ("a", "b"):
        with pytest.raises(IntegrityError):
            read(workers[1], path)


def test_plain_rows_are_few(workers: tuple[Store, Store]) -> None:
    """Only the listed rows may be stored without the barrier."""
    with pytest.raises(ValueError, match="secret/x"):
        workers[0].run(lambda transaction: transaction.put_plain("secret/x", b"v"))
    with pytest.raises(ValueError, match="secret/x"):
        workers[0].read().get_plain("secret/x")


def test_write_of_one_worker_is_read_by_the_other(workers: tuple[Store, Store]) -> None:
    """What one worker committed is what the other reads next, cached or not, absence included."""
    assert read(workers[1], "a") is None
    for number in range(50):
        put(workers[number % 2], "a", b"%d" % number)
        assert [read(store, "a") for store in workers] == [b"%d" % number] * 2
        workers[0].run(lambda transaction: transaction.delete("a"))
        assert [read(store, "a") for store in workers] == [None, None]


def test_listing_follows_rows_that_come_and_go(workers: tuple[Store, Store]) -> None:
    """A cached listing is renewed when a row below it is made or deleted, at any depth."""
    for path, shown in (("f/a", ("a",)), ("f/b/c", ("a", "b/")), ("f/b/d/e", ("a", "b/"))):
        put(workers[0], path, b"v")
        assert [store.list_children("f/", "", None) for store in workers] == [shown] * 2
    workers[1].run(lambda transaction: transaction.delete_prefix("f/b/"))
    assert [store.list_children("f/", "", None) for store in workers] == [("a",)] * 2
    assert read(workers[0], "f/b/c") is None


def test_cached_reads_cost_no_round_trip(workers: tuple[Store, Store], physical: Counting) -> None:
    """A second read, a read after an own write, and a second listing do not reach the database."""
    put(workers[0], "f/a", b"v")
    physical.reads = physical.listings = 0
    for _ in range(3):
        assert read(workers[0], "f/a") == b"v"
        workers[0].list_children("f/", "", None)
    assert (physical.reads, physical.listings) == (0, 1)


def test_entry_is_the_same_object_until_it_changes(workers: tuple[Store, Store]) -> None:
    """Decoded forms live as long as the entry, and no longer."""
    put(workers[0], "a", b"1")
    first = workers[0].read().get("a")
    assert first is not None
    calls: list[bytes] = []

    def decode(value: bytes) -> int:
        calls.append(value)
        return int(value)

    again = workers[0].read().get("a")
    assert again is not None
    assert (first.decode(decode), again.decode(decode), calls) == (1, 1, [b"1"])
    assert workers[0].read().get("a") is first
    put(workers[1], "a", b"2")
    second = workers[0].read().get("a")
    assert second is not None
    assert second is not first
    assert second.value == b"2"


def test_update_of_a_stale_read_runs_again(workers: tuple[Store, Store]) -> None:
    """A row that changed between read and write makes the work start over on what is there now."""
    put(workers[0], "a", b"0")
    seen: list[bytes] = []

    def work(transaction: Transaction) -> None:
        entry = transaction.get("a")
        assert entry is not None
        seen.append(entry.value)
        if len(seen) == 1:
            put(workers[1], "a", b"other")
        transaction.put("a", b"mine")

    workers[0].run(work)
    assert seen == [b"0", b"other"]
    assert read(workers[1], "a") == b"mine"


def test_guarded_row_must_not_change(workers: tuple[Store, Store]) -> None:
    """A guarded row that changed makes the work start over, though it is not written."""
    put(workers[0], "parent", b"alive")
    runs: list[bool] = []

    def work(transaction: Transaction) -> None:
        runs.append(transaction.get("parent") is not None)
        transaction.guard("parent")
        if len(runs) == 1:
            workers[1].run(lambda other: other.delete("parent"))
        if runs[-1]:
            transaction.put("child", b"v")

    workers[0].run(work)
    assert runs == [True, False]
    assert read(workers[0], "child") is None


def test_endless_conflict_is_refused(workers: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """A writer that is always too late gives up with Conflict."""
    monkeypatch.setattr(limits, "TRANSACTION_ATTEMPTS_MAX", 3)

    def work(transaction: Transaction) -> None:
        transaction.get("a")
        put(workers[1], "a", b"other")
        transaction.put("a", b"mine")

    with pytest.raises(Conflict):
        workers[0].run(work)
    assert read(workers[0], "a") == b"other"


def test_refusal_before_the_commit_leaves_nothing(workers: tuple[Store, Store]) -> None:
    """If the step before the commit fails, nothing of the transaction is visible to anyone."""
    put(workers[0], "a", b"old")

    def refuse(_: object) -> None:
        raise RuntimeError("refused")

    def work(transaction: Transaction) -> None:
        transaction.put("a", b"new")
        transaction.put("b", b"new")
        transaction.delete_prefix("c/")

    with pytest.raises(RuntimeError, match="refused"):
        workers[0].run(work, before_commit=refuse)
    assert [read(store, "a") for store in workers] == [b"old"] * 2
    assert [read(store, "b") for store in workers] == [None] * 2


def test_concurrent_counters_lose_nothing(workers: tuple[Store, Store]) -> None:
    """Many threads of two workers count one row up, each count is kept."""
    put(workers[0], "n", b"0")

    def count(store: Store) -> None:
        def work(transaction: Transaction) -> None:
            entry = transaction.get("n")
            assert entry is not None
            transaction.put("n", b"%d" % (int(entry.value) + 1))

        for _ in range(10):
            store.run(work)

    threads = [threading.Thread(target=count, args=(workers[number % 2],)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [read(store, "n") for store in workers] == [b"80"] * 2


def test_bumping_all_forgets_what_a_dead_writer_did_not_announce(workers: tuple[Store, Store], physical: Counting, page: HostPage) -> None:
    """A commit whose writer died before it moved the counters is seen once all counters were moved."""
    put(workers[0], "a", b"old")
    assert read(workers[1], "a") == b"old"
    silent = Store(physical, workers[0].barrier, new_cache(page), lambda slots: dict.fromkeys(slots, 0))
    put(silent, "a", b"new")
    assert read(workers[1], "a") == b"old", "the test must show the danger"
    page.generations.bump_all()
    assert [read(store, "a") for store in workers] == [b"new"] * 2


def test_cache_is_bounded(workers: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch) -> None:
    """The cache never holds more than its limit."""
    monkeypatch.setattr(limits, "CACHE_ENTRIES_MAX", 32)
    for number in range(200):
        read(workers[0], f"absent/{number}")
    assert len(workers[0].cache._items) <= 32


def test_worker_that_may_not_hear_of_others_bypasses_its_cache(workers: tuple[Store, Store], physical: Counting) -> None:
    """A worker whose listener gave no sign in time reads everything from the database, listings too."""
    put(workers[0], "f/a", b"v")
    workers[0].cache.fresh_until = 0.0
    physical.reads = physical.listings = 0
    for _ in range(3):
        assert read(workers[0], "f/a") == b"v"
        workers[0].list_children("f/", "", None)
    assert (physical.reads, physical.listings) == (3, 3)
