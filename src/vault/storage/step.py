"""How one change of a row is put to PostgreSQL: a statement, and what its result says."""

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from vault.storage.binary import pack_bigint, pack_double
from vault.storage.change_statement import CREATE, MARK, PUT, REMOVE, REMOVE_SEEN, REPLACE, SHARE
from vault.storage.connection import Question
from vault.storage.physical import ABSENT, Change, split_path


class Effect(Enum):
    """What has become of a row if the statement has touched it."""

    NONE = "it was there before and is there"
    CREATED = "it was not there before"
    TOLD = "the result tells whether it was there before"
    REMOVED = "it is gone"


class Step(NamedTuple):
    """One statement of a transaction."""

    question: Question
    path: str
    effect: Effect = Effect.NONE
    must_touch: bool = True  # a row that was not touched is not as it was read


def list_steps(changes: Sequence[Change], version: int) -> Iterator[Step]:
    """Return the statements of changes, in their order."""
    written = pack_bigint(version)
    for change in changes:
        parent, name = split_path(change.path)
        place = parent.encode(), name.encode()
        if change.value is not None:
            yield _put(change, place, change.value, written)
        elif change.delete and change.expected is None:
            yield Step((REMOVE.sql, place), change.path, Effect.REMOVED, must_touch=False)
        elif change.expected:
            seen = (*place, pack_bigint(change.expected))
            if change.delete:
                yield Step((REMOVE_SEEN.sql, seen), change.path, Effect.REMOVED)
            else:
                yield Step((SHARE.sql, seen), change.path)
        else:
            # What is not there cannot be locked. A row that comes and goes within this transaction keeps others from making it until
            # this transaction has ended.
            yield Step((MARK.sql, (*place, written)), change.path)
            yield Step((REMOVE_SEEN.sql, (*place, written)), change.path)


def _put(change: Change, place: tuple[bytes, bytes], value: bytes, version: bytes) -> Step:
    row = (*place, value, version, None if change.expires_at is None else pack_double(change.expires_at))
    if change.expected is None:
        return Step((PUT.sql, row), change.path, Effect.TOLD)
    if change.expected == ABSENT:
        return Step((CREATE.sql, row), change.path, Effect.CREATED)
    return Step((REPLACE.sql, (*row, pack_bigint(change.expected))), change.path)
