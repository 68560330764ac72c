"""The part of a long listing that a caller asks for: the same two arguments everywhere.

A class without slots, so that schemas which have slots of their own can take it in: `class ListArgs(Page, PathArgs)`. The fields
of the last base are parsed first.
"""

from dataclasses import dataclass

from vault.logical.args import INT, STRING, arg


@dataclass(frozen=True, kw_only=True)
class Page:
    """A part of a listing."""

    after: str = arg(STRING, "List what comes after this.", default="", query=True)
    limit: int = arg(INT, "List at most so many; 0 or less: all.", default=0, query=True)

    @property
    def size(self) -> int | None:
        """Return how many are listed; None: all."""
        return self.limit if self.limit > 0 else None
