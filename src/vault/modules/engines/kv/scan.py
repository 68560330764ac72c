"""Recursive listing: a folder's own names first, then its folders from last to first, as clients are used to."""

from collections.abc import Iterator

from vault import limits
from vault.storage.view import View


def scan_names(storage: View, prefix: str) -> tuple[str, ...]:
    """Return the paths of all rows below a prefix, relative to it."""
    return tuple(sorted(_list_pages(storage, prefix), key=_rank))


def _list_pages(storage: View, prefix: str) -> Iterator[str]:
    after = ""
    while page := storage.list_subtree(prefix, after, limits.KV_SCAN_PAGE):
        yield from page
        after = page[-1]


def _rank(path: str) -> tuple[tuple[int, ...], ...]:
    *folders, name = path.split("/")
    # The closing 1 sorts a folder behind those whose names only begin with its own.
    descending = ((1, *(-ord(character) for character in folder), 1) for folder in folders)
    return (*descending, (0, *map(ord, name)))
