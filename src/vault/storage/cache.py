"""Decrypted entries of one worker, each valid only while its generation counter has not moved.

The reader notes the counter before it reads the database; the writer commits, moves the counter, and only then answers. So what
one worker acknowledged is seen by the next request of every other. An `Entry` carries the decoded forms of its value: a parsed
policy or mount table is valid exactly as long as the entry it came from.
"""

import zlib
from collections.abc import Callable
from typing import Any, TypeVar

from vault import limits
from vault.clock import Clock
from vault.host import Generations

T = TypeVar("T")


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
        self._items: dict[Any, tuple[int, int, Any]] = {}
        # Until when this worker is sure to hear of other hosts' writes. It is pushed on by the listener; past it, the cache is
        # bypassed.
        self.fresh_until = 0.0

    def find(self, key: Any) -> tuple[bool, Any]:
        """Return whether the key is cached and valid, and what was cached (None: known to be absent)."""
        item = self._items.get(key)
        if item is None or self._monotonic() > self.fresh_until:
            return False, None
        slot, generation, value = item
        if self._generations.read(slot) != generation:
            return False, None
        return True, value

    def note(self, path: str) -> tuple[int, int]:
        """Return slot and present generation; call before reading the database."""
        slot = slot_of(path)
        return slot, self._generations.read(slot)

    def keep(self, key: Any, noted: tuple[int, int], value: Any) -> None:
        """Cache what was read after `noted`."""
        if len(self._items) >= limits.CACHE_ENTRIES_MAX:
            self._evict()
        self._items[key] = (*noted, value)

    def _evict(self) -> None:
        # Oldest first; other threads may be inserting, so a vanished or moved key is no error.
        for key in list(self._items)[: limits.CACHE_ENTRIES_MAX // 16]:
            self._items.pop(key, None)

    def clear(self) -> None:
        """Forget everything: no plain text outlives the seal."""
        self._items = {}
