"""How many leases there may be: counters that hold exactly, over all workers and hosts, without one row that every login waits for.

A quota has sixteen counters, each a row with a count and a capacity; the capacities add up to what the quota allows. A new lease takes a
place at any counter that has one, a removed lease gives its place back, both in the transaction that makes or removes the lease. Only
a counter that was written is checked at the commit, so logins meet at one of sixteen rows, and no two of them take the same place.

Where no counter has a place, the places are shared out anew if there are any. Surprise: where more leases exist than a quota allows (it was
lowered, or came later than they), all capacities are zero until enough of them are gone.

A token remembers its counter. Those that existed before a quota are counted by `Recounter`, page by page; each is moved in one transaction.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Protocol, TypeVar

import msgspec
from msgspec import structs

from vault.crypto.random import random_bytes
from vault.errors import LeaseLimited, VaultError
from vault.logical.token import Token, TokenKind
from vault.quota import TABLE, LeaseRule, StoredQuotas, Table, follow, read_table, save_table
from vault.storage.transaction import Transaction

SHARDS = 16  # a host has fewer writers at work at once
_ROWS = "core/lease-quota/"
_WRAPPING = ("response-wrapping",)
_PAGE = 200
_PAGES_SOON = 5  # while somebody waits for the answer

Counter = tuple[int, int]  # count, capacity
T = TypeVar("T")


def charge(transaction: Transaction, token: Token) -> Token:
    """Return a new token with its lease counted where a quota asks for it; raises LeaseLimited."""
    table = read_table(transaction)
    if not table.stored.leases or not _has_lease(token):
        return token
    # What is read here decides: a quota that changes meanwhile makes this run again.
    transaction.guard(TABLE)
    rule = table.leases.find_for_role(token.path, token.login_role)
    if rule is None:
        return token
    shard = _find_room(transaction, rule)
    if shard is None:
        counters = _read_all(transaction, rule.revision)
        if sum(count for count, _ in counters) >= rule.max_leases:
            raise LeaseLimited(token.path)
        shard = _share_out(transaction, rule, counters)
    return _count(transaction, token, rule.revision, shard)


def release(transaction: Transaction, token: Token) -> None:
    """Give the place of a removed token back."""
    revision, _, shard = token.charge.partition("/")
    counter = _read(transaction, revision, int(shard)) if shard else None
    if counter is not None:  # else the quota is gone
        _write(transaction, revision, int(shard), (max(counter[0] - 1, 0), counter[1]))


def count_leases(transaction: Transaction, rule: LeaseRule) -> int:
    """Return how many leases a quota counts now."""
    return sum(count for count, _ in _read_all(transaction, rule.revision))


def save_rules(transaction: Transaction, stored: StoredQuotas) -> None:
    """Store quotas whose lease rules have changed: counters come, go, are fitted; what lies below those places is to be counted anew."""
    before = read_table(transaction).stored.leases
    old, new = ({rule.revision: rule for rule in rules.values()} for rules in (before, stored.leases))
    for revision in old.keys() - new.keys():
        for shard in range(SHARDS):
            transaction.delete(_place(revision, shard))
    for rule in new.values():
        if rule != old.get(rule.revision):
            counters = _read_all(transaction, rule.revision)
            if sum(count for count, _ in counters) < rule.max_leases:
                _share_out(transaction, rule, counters)
            else:
                _close(transaction, rule.revision, counters)
    others = (rule for revision, rule in (old | new).items() if revision not in old.keys() & new.keys())
    marks = {rule.path[: rule.path.rfind("/") + 1]: random_bytes(8).hex() for rule in others}
    save_table(transaction, replace(stored, uncounted={**stored.uncounted, **marks}))


def follow_mount(transaction: Transaction, source: str, target: str) -> None:
    """Take the quotas of a mount along to its new path, counters and all; without one they end with it."""
    stored = read_table(transaction).stored
    moved = replace(stored, rules=follow(stored.rules, source, target), leases=follow(stored.leases, source, target))
    if moved != stored:
        save_rules(transaction, moved)


def _has_lease(token: Token) -> bool:
    """Return whether a token takes a place: what wraps an answer lives for one request, and stands for what is counted itself."""
    return token.kind is TokenKind.SERVICE and token.expires_at is not None and token.policies != _WRAPPING


def _count(transaction: Transaction, token: Token, revision: str, shard: int) -> Token:
    count, capacity = _read(transaction, revision, shard) or (0, 0)
    _write(transaction, revision, shard, (count + 1, capacity))
    return structs.replace(token, charge=f"{revision}/{shard}")


def _find_room(transaction: Transaction, rule: LeaseRule) -> int | None:
    start = random_bytes(1)[0]
    for shard in ((start + offset) % SHARDS for offset in range(SHARDS)):
        counter = _read(transaction, rule.revision, shard)
        if counter is not None and counter[0] < counter[1]:
            return shard
    return None


def _share_out(transaction: Transaction, rule: LeaseRule, counters: tuple[Counter, ...]) -> int:
    """Give every counter its part of the places that are free; return one that has got some."""
    share, rest = divmod(rule.max_leases - sum(count for count, _ in counters), SHARDS)
    for shard, (count, _) in enumerate(counters):
        _write(transaction, rule.revision, shard, (count, count + share + (shard < rest)))
    return 0


def _close(transaction: Transaction, revision: str, counters: tuple[Counter, ...]) -> None:
    """Leave no place at any counter."""
    for shard, (count, capacity) in enumerate(counters):
        if capacity:
            _write(transaction, revision, shard, (count, 0))


def _place(revision: str, shard: int) -> str:
    return f"{_ROWS}{revision}/{shard}"


def _read(transaction: Transaction, revision: str, shard: int) -> Counter | None:
    entry = transaction.get(_place(revision, shard))
    return None if entry is None else entry.decode(_decode_counter)


def _decode_counter(value: bytes) -> Counter:
    count, capacity = msgspec.json.decode(value, type=tuple[int, int])
    return count, capacity


def _read_all(transaction: Transaction, revision: str) -> tuple[Counter, ...]:
    return tuple(_read(transaction, revision, shard) or (0, 0) for shard in range(SHARDS))


def _write(transaction: Transaction, revision: str, shard: int, counter: Counter) -> None:
    transaction.put(_place(revision, shard), msgspec.json.encode(counter))


# -- leases that are older than their quota ------------------------------------------------------------------------------------------


class Runner(Protocol):
    """Where transactions run: the store, or the store behind a fence."""

    def run(self, work: Callable[[Transaction], T]) -> T:
        """Run one transaction, again on conflict."""


class Tokens(Protocol):
    """What is asked about tokens."""

    def find_row(self, transaction: Transaction, key: str) -> Token | None:
        """Return a stored token, live or not."""

    def replace_row(self, transaction: Transaction, token: Token) -> None:
        """Store a token whose lease stays as it is."""


class Leases(Protocol):
    """What is asked about leases."""

    def list_keys(self, transaction: Transaction, folder: str, after: str, limit: int) -> tuple[tuple[str, str], ...]:
        """Return ids below a folder, relative to it, each with the key of its token, in byte order."""


class Recounter:
    """Moves tokens to the counters that they belong to since the quotas were changed."""

    def __init__(self, runner: Runner, tokens: Tokens, leases: Leases) -> None:
        self._runner = runner
        self._tokens = tokens
        self._leases = leases

    def recount(self, pages_max: int | None = None) -> None:
        """Count what is not counted yet; no more than some pages of it if so asked."""
        for folder, mark in self._runner.run(lambda transaction: dict(read_table(transaction).stored.uncounted)).items():
            after, pages = "", 0
            while (page := self._runner.run(self._move_page(folder, after))) is not None:
                after, pages = page, pages + 1
                if pages == pages_max:
                    return
            self._runner.run(self._finish(folder, mark))

    def begin(self) -> None:
        """Count what is soon done; what is left, or fails, is for the background work."""
        with suppress(VaultError):
            self.recount(_PAGES_SOON)

    def _move_page(self, folder: str, after: str) -> Callable[[Transaction], str | None]:
        def move(transaction: Transaction) -> str | None:
            table = read_table(transaction)
            transaction.guard(TABLE)
            page = self._leases.list_keys(transaction, folder, after, _PAGE)
            for _, key in page:
                token = self._tokens.find_row(transaction, key)
                if token is not None and not token.revoked and _has_lease(token):
                    self._move(transaction, table, token)
            return page[-1][0] if page else None

        return move

    def _move(self, transaction: Transaction, table: Table, token: Token) -> None:
        rule = table.leases.find_for_role(token.path, token.login_role)
        wanted = "" if rule is None else rule.revision
        if token.charge.partition("/")[0] == wanted:
            return
        release(transaction, token)
        moved = structs.replace(token, charge="")
        if rule is not None:
            shard = _find_room(transaction, rule)
            if shard is None:
                _close(transaction, rule.revision, _read_all(transaction, rule.revision))
            moved = _count(transaction, token, rule.revision, shard or 0)
        self._tokens.replace_row(transaction, moved)

    def _finish(self, folder: str, mark: str) -> Callable[[Transaction], None]:
        def finish(transaction: Transaction) -> None:
            stored = read_table(transaction).stored
            if stored.uncounted.get(folder) == mark:
                rest = {name: other for name, other in stored.uncounted.items() if name != folder}
                save_table(transaction, replace(stored, uncounted=rest))

        return finish
