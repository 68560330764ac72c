"""Rows as storage keeps them: a path, ciphertext, a version. Few methods; one contract suite runs against every implementation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

ABSENT = 0  # the version of a row that is not there


def split_path(path: str) -> tuple[str, str]:
    """Return the folder of a path, with its slash, and the name in it."""
    index = path.rfind("/") + 1
    return path[:index], path[index:]


@dataclass(frozen=True, slots=True)
class Row:
    """A stored row. Its version changes with every write and is never used twice."""

    value: bytes
    version: int


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One write, or a guard (`value` and `delete` unset) that only checks the version."""

    path: str
    value: bytes | None = None
    delete: bool = False
    expected: int | None = None  # None: whatever is there
    expires_at: float | None = None  # unix seconds

    @property
    def is_write(self) -> bool:
        """Return whether the row will be another one, or gone."""
        return self.value is not None or self.delete


class Prepared(Protocol):
    """Changes that are checked and applied, but not yet visible to anyone."""

    created: frozenset[str]  # paths that were not there before
    removed: frozenset[str]  # paths that are gone, those below deleted prefixes included

    def commit(self) -> None:
        """Make the changes visible; raises StorageUnavailable if they are not, OutcomeUnknown if that cannot be known."""

    def rollback(self) -> None:
        """Drop the changes."""


class Physical(Protocol):
    """Where rows live."""

    def get(self, path: str) -> Row | None:
        """Return the row at exactly this path."""

    def list_children(self, prefix: str, after: str, limit: int | None) -> tuple[str, ...]:
        """Return names directly below a prefix, folders with a slash, in byte order, after `after`."""

    def list_subtree(self, prefix: str, after: str, limit: int) -> tuple[str, ...]:
        """Return paths below a prefix, relative to it, in byte order, after `after`."""

    def list_expired(self, before: float, limit: int, prefix: str = "") -> tuple[str, ...]:
        """Return paths below a prefix whose expiry lies before a time, oldest first."""

    def prepare(self, version: int, changes: Sequence[Change], prefixes: Sequence[str], notice: str = "") -> Prepared:
        """Check and apply changes, delete what else lies below `prefixes`; raises WriteConflict when a version differs.

        Changes come in path order: all commits lock rows in one order, so that no two wait for each other. `version` was never used
        before. `notice` is what other hosts are told once the changes are visible.
        """


class WriteConflict(Exception):
    """Somebody else wrote a row since it was read."""
