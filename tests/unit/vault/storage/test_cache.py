"""What a cache holds, and what it must not hold."""

import threading
from typing import Any

import pytest

from vault import limits
from vault.clock import SystemClock
from vault.errors import Sealed
from vault.host import HostPage
from vault.storage.barrier import Barrier
from vault.storage.cache import Cache, Entry, _known_folder_slots, list_key, listing_slots, slot_of
from vault.storage.keyring import Keyring
from vault.storage.memory import Memory
from vault.storage.transaction import Store


@pytest.fixture
def page() -> HostPage:
    """Return a fresh page."""
    return HostPage()


@pytest.fixture
def cache(page: HostPage) -> Cache:
    """Return a cache that is in use."""
    cache = Cache(page.generations, SystemClock())
    cache.fresh_until = float("inf")
    return cache


def keep(cache: Cache, key: str, value: Any) -> None:
    """Cache a value as if it had just been read."""
    cache.keep(key, cache.note(key), value)


def test_doubt_keeps_everything_out(page: HostPage, cache: Cache) -> None:
    """While a commit may be on its way that nobody announces, nothing is cached; what was cached before is gone."""
    keep(cache, "before", Entry(b"v", 1))
    page.generations.bump_all()
    keep(cache, "during", Entry(b"v", 1))
    assert cache.find("before") == cache.find("during") == (False, None)
    page.generations.settle(page.generations.doubt)
    keep(cache, "after", Entry(b"v", 1))
    assert cache.find("during") == (False, None)
    assert cache.find("after")[0]


def test_doubt_raised_while_another_is_settled_stays(page: HostPage, cache: Cache) -> None:
    """Who settles a doubt has waited for the transactions of that time, not for those of a later doubt."""
    page.generations.bump_all()
    first = page.generations.doubt
    page.generations.bump_all()
    page.generations.settle(first)
    keep(cache, "a", Entry(b"v", 1))
    assert cache.find("a") == (False, None)


def test_what_was_read_before_a_doubt_is_not_cached_after_it(page: HostPage, cache: Cache) -> None:
    """A reader that noted its counter before the doubt and is done after it was settled has read too early."""
    noted = cache.note("a")
    page.generations.bump_all()
    page.generations.settle(page.generations.doubt)
    cache.keep("a", noted, Entry(b"old", 1))
    assert cache.find("a") == (False, None)


def test_large_values_are_bounded_by_bytes(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few large values fill the cache as many small ones do, and the oldest makes room."""
    monkeypatch.setattr(limits, "CACHE_BYTES_MAX", 100_000)
    for number in range(30):
        keep(cache, str(number), Entry(bytes(10_000), 1))
    held = [number for number in range(30) if cache.find(str(number))[0]]
    assert held == list(range(30 - len(held), 30))
    assert 5 <= len(held) <= 10


def test_listings_count_by_their_names(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages of a listing, of which there may be any number, are bounded too."""
    monkeypatch.setattr(limits, "CACHE_BYTES_MAX", 100_000)
    for number in range(50):
        keep(cache, f"after{number}", tuple(f"name{number}{index}" for index in range(100)))
    assert sum(cache.find(f"after{number}")[0] for number in range(50)) <= 20


def test_value_that_is_too_large_is_not_cached(cache: Cache) -> None:
    """One huge value does not drive out everything."""
    keep(cache, "small", Entry(b"v", 1))
    keep(cache, "huge", Entry(bytes(limits.CACHED_BYTES_MAX), 1))
    assert cache.find("huge") == (False, None)
    assert cache.find("small")[0]


def test_names_that_do_not_exist_drive_out_nothing(cache: Cache) -> None:
    """Any number of lookups of what does not exist costs bounded memory, and no cached row."""
    keep(cache, "row", Entry(b"v", 1))
    for number in range(limits.CACHED_ABSENT_MAX + 100):
        keep(cache, f"token{number}", None)
    assert cache.find("row")[0]
    assert len(cache._absent) == limits.CACHED_ABSENT_MAX
    assert cache.find(f"token{limits.CACHED_ABSENT_MAX + 99}") == (True, None)


def test_row_that_came_or_went_is_cached_once(cache: Cache) -> None:
    """A row that is made after it was looked for is found, and the other way round."""
    keep(cache, "a", None)
    keep(cache, "a", Entry(b"v", 1))
    assert cache.find("a")[1].value == b"v"
    keep(cache, "a", None)
    assert cache.find("a") == (True, None)


def test_threads_may_keep_and_clear_at_once(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eviction under many threads neither fails nor loses count of what is held."""
    monkeypatch.setattr(limits, "CACHE_ENTRIES_MAX", 50)
    failures: list[BaseException] = []

    def work(thread: int) -> None:
        try:
            for number in range(3000):
                keep(cache, f"{thread}/{number % 70}", Entry(b"v", 1))
                if number % 500 == 0:
                    cache.clear()
        except BaseException as error:  # noqa: BLE001 - the test reports it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(cache._items) <= 50
    keep(cache, "x", Entry(b"v", 1))
    cache._forget("x")
    for key in list(cache._items):
        cache._forget(key)
    assert cache._bytes == 0


def test_plain_text_read_while_the_seal_closes_does_not_stay(cache: Cache, page: HostPage) -> None:
    """A reader that decrypts while another thread seals and clears leaves nothing in the cache."""
    barrier = Barrier()
    barrier.open(Keyring.create())
    store = Store(Memory(), barrier, cache, page.generations.bump)
    store.run(lambda transaction: transaction.put("a", b"plain"))
    cache.clear()
    decrypt = barrier.decrypt

    def decrypt_late(path: str, sealed: bytes) -> bytes:
        plain = decrypt(path, sealed)
        barrier.close()
        cache.clear()
        return plain

    barrier.decrypt = decrypt_late  # type: ignore[method-assign]  # the moment cannot be met otherwise
    assert store.load("a") is not None
    assert cache._items == {}


def test_sealed_store_answers_nothing_that_it_cached(cache: Cache, page: HostPage) -> None:
    """After the barrier was closed and the cache cleared, a row that was cached is refused."""
    barrier = Barrier()
    barrier.open(Keyring.create())
    store = Store(Memory(), barrier, cache, page.generations.bump)
    store.run(lambda transaction: transaction.put("a", b"plain"))
    barrier.close()
    cache.clear()
    with pytest.raises(Sealed):
        store.load("a")


@pytest.mark.parametrize("depth", [0, 1, 3, limits.KNOWN_FOLDER_DEPTH_MAX, limits.KNOWN_FOLDER_DEPTH_MAX + 1, 900])
def test_listings_above_a_row_are_those_of_all_its_folders(depth: int) -> None:
    """However deep it lies, and nothing of unusual depth is remembered."""
    before = _known_folder_slots.cache_info().currsize
    folder = "".join(f"{depth}-{number}/" for number in range(depth))
    parts = folder.split("/")[:-1]
    expected = {slot_of(list_key("".join(f"{part}/" for part in parts[:count]))) for count in range(depth + 1)}
    assert listing_slots(f"{folder}row") == expected
    assert _known_folder_slots.cache_info().currsize - before <= (depth <= limits.KNOWN_FOLDER_DEPTH_MAX)
