"""The end of a log file: its last record, what a killed writer left behind it, and whether it is what this host wrote."""

import os
from pathlib import Path

from vault.audit.chain import BEGINNING, follows, parse_head
from vault.audit.sink import NOTING, Head, Position

_TAIL_BYTES = 64 * 1024
_LINE_BYTES_MAX = 512 * 1024 * 1024  # beyond any record


def read_position(found: os.stat_result) -> Position:
    """Return where a file stands."""
    return Position(found.st_size, found.st_dev, found.st_ino)


def recover(file: int, known: Head | None, prefix: bytes = b"") -> tuple[Head | None, int]:
    """Return the last record of a file (None: it has none) and how many torn bytes after it were cut off.

    Raises OSError for a file that lost records which this host knows to have written, ValueError for what is no log.
    """
    position = read_position(os.fstat(file))
    end, line = _last_line(file, position.size)
    head = parse_head(line, position._replace(size=end)) if end else None
    if known is not None:
        _refuse_other_content(file, known, head, position)
    cut = position.size - end
    if cut:
        beginning = prefix + BEGINNING
        torn = os.pread(file, len(beginning), end)
        if torn.strip(b"\0") and torn != beginning[:cut]:  # zeros: power was lost before the bytes were on the disk
            raise ValueError("what follows the last record is not ours to cut off")
        os.ftruncate(file, end)
    return head, cut


def find_log(path: Path) -> str:
    """Return which log a file holds the end of; empty if it is not there, or no log."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(file)
            return parse_head(_last_line(file, found.st_size)[1], read_position(found)).log
        finally:
            os.close(file)
    except (OSError, ValueError):
        return ""


def _refuse_other_content(file: int, known: Head, head: Head | None, position: Position) -> None:
    """Refuse a file that lost records which this host knows to have written, or that holds others than came after them."""
    is_same_file = known.position[1:] == position[1:]
    if is_same_file and (position.size < known.position.size or (head is None and known.position.size)):
        raise OSError("the audit log was emptied or cut in place: move it away to go on")
    if head is None:
        return
    if known.state == NOTING:
        is_ours = head.log == known.log  # the rest of what is known may be half noted
    elif is_same_file:
        is_ours = _is_continued(file, known, known.position.size, head)
    else:  # a new file, begun by a writer that was killed; or a copy of the one before
        is_ours = _is_continued(file, known, 0, head)
    if not is_ours:
        raise OSError("the audit log was replaced: move it away to go on")


def _is_continued(file: int, known: Head, start: int, head: Head) -> bool:
    """Return whether all records from a place to the last one continue what is known."""
    with os.fdopen(os.dup(file), "rb") as source:
        source.seek(start)
        while known.number < head.number:
            line = source.readline(_LINE_BYTES_MAX).rstrip(b"\n")
            if not follows(line, known):
                return False
            known = parse_head(line, known.position)
    return known[:3] == head[:3]


def _last_line(file: int, size: int) -> tuple[int, bytes]:
    """Return where the last whole line ends (0: there is none), and the line."""
    span = _TAIL_BYTES
    while True:
        start = max(0, size - span)
        tail = os.pread(file, size - start, start)
        end = tail.rfind(b"\n")
        begin = tail.rfind(b"\n", 0, end) if end > 0 else -1
        if start == 0 or begin >= 0:
            return start + end + 1, tail[begin + 1 : end]
        span *= 8
