"""Decrypted entries of one worker, each valid only while its generation counter has not moved.

The reader notes the counter before it reads the database; the writer commits, moves the counter, and only then answers. So what
one worker acknowledged is seen by the next request of every other. An `Entry` carries the decoded forms of its value: a parsed
policy or mount table is valid exactly as long as the entry it came from.
"""

import threading
import zlib
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, TypeVar

from vault import limits
from vault.clock import Clock
from vault.host import Generations
from vault.storage.physical import split_path

T = TypeVar("T")

_ENTRY_BYTES = 600  # key, tuple, entry and memo of a small row
_NAME_BYTES = 60  # of one name in a listing


class Entry:
    """A decrypted value; the same object as long as it is unchanged."""

    __slots__ = ("_memo", "value", "version")

    def __init__(self, value: bytes, version: int) -> None:
        self.value = value
        self.version = version
        self._memo: dict[Callable[[bytes], Any], Any] = {}

    def decode(self, decoder: Callable[[bytes], T]) -> T:
        """Return the decoded value; decoded once per entry. The result is shared: treat it as frozen."""
        try:
            return self._memo[decoder]  # type: ignore[no-any-return]  # the memo is keyed by what made the value
        except KeyError:
            decoded = self._memo[decoder] = decoder(self.value)
            return decoded


def listing_slots(path: str) -> frozenset[int]:
    """Return the counters of the listings that show a row: of its folder and of all folders above."""
    folder, _ = split_path(path)
    is_usual = folder.count("/") <= limits.KNOWN_FOLDER_DEPTH_MAX
    return _known_folder_slots(folder) if is_usual else _find_folder_slots(folder)


def _find_folder_slots(folder: str) -> frozenset[int]:
    above = ("", *(folder[: index + 1] for index, character in enumerate(folder) if character == "/"))
    return frozenset(slot_of(list_key(one)) for one in above)


_known_folder_slots = lru_cache(maxsize=limits.KNOWN_FOLDERS_MAX)(_find_folder_slots)


def slot_of(path: str) -> int:
    """Return the counter of a path; the same on every host."""
    return zlib.crc32(path.encode()) % limits.GENERATION_SLOTS


def list_key(folder: str) -> str:
    """Return the cache key of a folder's listing. No path of a row starts with NUL."""
    return "\0" + folder


class Cache:
    """A bounded map from path (or listing) to what was read."""

    def __init__(self, generations: Generations, clock: Clock) -> None:
        self._generations = generations
        self._monotonic = clock.monotonic
        self._lock = threading.Lock()  # of those who change what follows; readers need none
        self._items: dict[Any, tuple[int, int, Any]] = {}
        self._bytes = 0
        # Apart from the others: anybody may ask for any number of names that do not exist, and must not drive out what does.
        self._absent: dict[Any, tuple[int, int, Any]] = {}
        self.hits = self.misses = 0  # about: threads count without a lock
        # Until when this worker is sure to hear of other hosts' writes. It is pushed on by the listener; past it, the cache is
        # bypassed.
        self.fresh_until = 0.0
        # Hears what other hosts have written so far; None while there are none.
        self.ask: Callable[[], None] | None = None

    def find(self, key: Any) -> tuple[bool, Any]:
        """Return whether the key is cached and valid, and what was cached (None: known to be absent)."""
        item = self._items.get(key) or self._absent.get(key)
        if item is not None and self._monotonic() <= self.fresh_until:
            slot, generation, value = item
            if self._generations.read(slot) == generation:
                self.hits += 1
                return True, value
        self.misses += 1
        return False, None

    def catch_up(self) -> None:
        """Hear of everything that was acknowledged before now, on whichever host; call before a request reads."""
        if self.ask is not None:
            self.ask()

    def note(self, path: str) -> tuple[int, int]:
        """Return slot and present generation; call before reading the database."""
        slot = slot_of(path)
        return slot, self._generations.read(slot)

    def note_all(self, paths: Iterable[str]) -> dict[str, tuple[int, int]]:
        """Return slot and present generation of each path."""
        return {path: self.note(path) for path in paths}

    def keep(self, key: Any, noted: tuple[int, int], value: Any) -> None:
        """Cache what was read after `noted`, unless a commit that nobody announces may be on its way."""
        size = _size_of(value)
        if self._generations.doubt or size > limits.CACHED_BYTES_MAX:
            return
        with self._lock:
            self._forget(key)
            if value is None:
                self._absent[key] = (*noted, None)
                if len(self._absent) > limits.CACHED_ABSENT_MAX:
                    del self._absent[next(iter(self._absent))]
                return
            self._items[key] = (*noted, value)
            self._bytes += size
            while len(self._items) > limits.CACHE_ENTRIES_MAX or self._bytes > limits.CACHE_BYTES_MAX:
                self._forget(next(iter(self._items)))  # the oldest

    def _forget(self, key: Any) -> None:
        self._absent.pop(key, None)
        item = self._items.pop(key, None)
        if item is not None:
            self._bytes -= _size_of(item[2])

    def clear(self) -> None:
        """Forget everything: no plain text outlives the seal."""
        with self._lock:
            self._items, self._absent, self._bytes = {}, {}, 0

    def queue(self, path: str, seconds: float) -> AbstractContextManager[bool]:
        """Line up with the other writers of the host for a row that many write."""
        return self._generations.queue(slot_of(path), seconds)

    def distrust(self) -> None:
        """Forget everything on all workers of the host: a commit may become visible later, and then nobody announces it."""
        self._generations.bump_all()


def _size_of(value: Any) -> int:
    """Return about how many bytes a cached value takes."""
    if isinstance(value, Entry):
        return len(value.value) + _ENTRY_BYTES
    return sum(map(len, value)) + _NAME_BYTES * len(value) if value else 0
