"""Who guesses passwords is locked out: failed logins are counted in rows that all workers and hosts share.

A slow check is reserved before it runs. Whoever counted only after the check would let as many guesses through as run side by side.
So of one name no more attempts are under way than it has failures left, and the rest wait for those to end. A check that
costs nothing is counted afterwards, and only if it failed.

Every name counts, whether somebody has it or not, and every attempt costs the same reads and writes: none of them tells which it was.
"""

import hashlib
import hmac
import random
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

import msgspec
from msgspec import structs

from vault import limits
from vault.clock import Clock
from vault.crypto.random import random_hex
from vault.errors import LoginFailed, Overloaded, VaultError
from vault.failures import ALL, KINDS, NOBODY, Group, Record, Rule, fold_name
from vault.logical.mount import Mount
from vault.revocation import Runner
from vault.storage.transaction import Store, Transaction

PREFIX = "sys/lockout/"
_GROUPS = 4096  # of a mount: its rows are never more, whatever names are tried
_TURN_SECONDS = 0.5
_LOOK_SECONDS_MIN, _LOOK_SECONDS_MAX = 0.005, 0.05  # between two looks whether there is room
_TIDY_BATCH = 500


class Keys(Protocol):
    """What is needed of the open barrier."""

    def token_key(self) -> bytes:
        """Return a key that nobody outside knows; raises Sealed."""


class Attempt(msgspec.Struct, kw_only=True):
    """One login: what became of it is told to the counter."""

    mount: Mount
    name: str
    rule: Rule
    place: str  # where the name is counted
    key: str = ""  # of a reserved attempt
    locked: bool = False


class Lockout:
    """The counter."""

    def __init__(self, store: Store, keys: Keys, clock: Clock, defaults: Mapping[str, Rule] | None = None) -> None:
        """`defaults` are rules by kind of auth method, `all` for the rest."""
        self._store = store
        self._keys = keys
        self._clock = clock
        self._defaults = defaults or {}

    def find_rule(self, mount: Mount) -> Rule:
        """Return when names of a mount are locked: what it says itself, its kind, all kinds, in this order."""
        if mount.kind not in KINDS:
            return Rule(disabled=True)
        of_kind = self._defaults.get(mount.kind) or self._defaults.get(ALL) or Rule()
        own = mount.config.user_lockout_config
        return Rule(
            threshold=own.get("threshold") or of_kind.threshold,
            duration_seconds=own.get("duration") or of_kind.duration_seconds,
            reset_seconds=own.get("counter_reset") or of_kind.reset_seconds,
            disabled=own.get("disable", of_kind.disabled),
        )

    # -- one login ----------------------------------------------------------------------------------------------------

    @contextmanager
    def counted(self, mount: Mount, name: str) -> Iterator["Attempt | None"]:
        """Count a login by how it ends: LoginFailed is a failure, any other error is none. None: nobody counts here.

        A success is told by `succeed`, within the transaction of the login.
        """
        rule = self.find_rule(mount)
        if rule.disabled:
            yield None
            return
        attempt = self.begin(mount, name, rule)
        try:
            yield attempt
        except LoginFailed:
            self._change(attempt, lambda record, now: self._fail(attempt, record, now))
            raise
        except BaseException:
            if attempt.key:
                self._change(attempt, lambda record, _: record.end(attempt.key))
            raise

    def peek(self, transaction: Transaction, attempt: Attempt) -> None:
        """Find out whether a name is locked, for a check that costs nothing."""
        now = self._clock.now()
        attempt.locked = self._read(transaction, attempt, now)[1].is_locked(attempt.rule, now)

    def succeed(self, transaction: Transaction, attempt: Attempt) -> None:
        """Forget the failures of a name with the login that succeeded."""
        now = self._clock.now()
        group, record = self._read(transaction, attempt, now)
        if attempt.key in record.attempts or (record.failures and record in group.records):
            self._write(transaction, attempt, group, record.end(attempt.key).forgive())

    def reserve(self, attempt: Attempt) -> None:
        """Note an attempt at a slow check, once its name has one left; raises Overloaded where others keep it too long."""
        key = random_hex(8)
        deadline = self._clock.monotonic() + limits.LOCKOUT_WAIT_SECONDS
        while not self._store.run(lambda transaction: self._try_reserve(transaction, attempt, key), fresh=True):
            pause = _LOOK_SECONDS_MIN
            while not self._has_room(attempt):
                if self._clock.monotonic() > deadline:
                    raise Overloaded
                time.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads those who wait, no secret
                pause = min(2 * pause, _LOOK_SECONDS_MAX)
            with self._store.cache.queue(attempt.place, _TURN_SECONDS):
                pass  # one after the other, so that they do not all run into each other

    def _try_reserve(self, transaction: Transaction, attempt: Attempt, key: str) -> bool:
        now = self._clock.now()
        group, record = self._read(transaction, attempt, now)
        attempt.locked = record.is_locked(attempt.rule, now)
        if not attempt.locked and record.weight >= attempt.rule.threshold:
            return False
        attempt.key = "" if attempt.locked else key
        # The row is written in any case: a locked name takes as long as others.
        self._write(transaction, attempt, group, record if attempt.locked else record.begin(key, now))
        return True

    def _has_room(self, attempt: Attempt) -> bool:
        """Return whether it is worth trying again; from the cache, while nothing has changed."""
        self._store.cache.catch_up()
        record = self._find(attempt)
        return record.weight < attempt.rule.threshold or record.is_locked(attempt.rule, self._clock.now())

    def _find(self, attempt: Attempt) -> Record:
        return self._read(self._store.read(), attempt, self._clock.now())[1]

    def _fail(self, attempt: Attempt, record: Record, now: float) -> Record:
        if attempt.locked or (attempt.key and attempt.key not in record.attempts):
            return record  # it took so long that it was counted already
        return record.end(attempt.key).fail(now)

    def _change(self, attempt: Attempt, change: Callable[[Record, float], Record]) -> None:
        """Write what became of an attempt. What cannot be written now stays an attempt, and so becomes a failure.

        A fast check has reserved none: a failure that cannot be counted raises its own VaultError, and does not pass for one that was.
        """

        def work(transaction: Transaction) -> None:
            now = self._clock.now()
            group, record = self._read(transaction, attempt, now)
            self._write(transaction, attempt, group, change(record, now))

        try:
            self._store.run(work, fresh=True)
        except VaultError:
            if not attempt.key and not attempt.locked:
                raise

    # -- rows ---------------------------------------------------------------------------------------------------------

    def begin(self, mount: Mount, name: str, rule: Rule) -> Attempt:
        """Return an attempt of which nothing is counted yet. Its place does not tell the name: people type passwords where names belong."""
        folded = fold_name(name)
        subject = f"lockout\0{mount.uuid}\0{folded}".encode("utf-8", "surrogatepass")
        number = int.from_bytes(hmac.digest(self._keys.token_key(), subject, hashlib.sha256)[:8], "big") % _GROUPS
        return Attempt(mount=mount, name=folded, rule=rule, place=f"{PREFIX}{mount.uuid}/{number:03x}")

    def _read(self, transaction: Transaction, attempt: Attempt, now: float) -> tuple[Group, Record]:
        entry = transaction.get(attempt.place)
        group = NOBODY if entry is None else entry.decode(Group.decode).settle(attempt.rule, now)
        return group, group.find(attempt.name)

    def _write(self, transaction: Transaction, attempt: Attempt, group: Group, record: Record) -> None:
        changed = group.put(record)
        if not changed.records:
            transaction.delete(attempt.place)
            return
        # Later with every write, also of what is as it was: the database has less to do where an indexed column stays.
        ends_at = max(changed.find_end(attempt.rule), self._clock.now() + attempt.rule.longest_seconds)
        changed = structs.replace(changed, ends_at=ends_at)
        transaction.put(attempt.place, msgspec.json.encode(changed), changed.ends_at)

    # -- for people and the background --------------------------------------------------------------------------------

    def list_locked(self, transaction: Transaction, mount: Mount) -> tuple[str, ...]:
        """Return the locked names of a mount, in order."""
        rule, now = self.find_rule(mount), self._clock.now()
        if rule.disabled:
            return ()
        folder, found = f"{PREFIX}{mount.uuid}/", []
        for name in transaction.list_children(folder):
            entry = transaction.get(folder + name)
            group = NOBODY if entry is None else entry.decode(Group.decode).settle(rule, now)
            found += [record.name for record in group.records if record.is_locked(rule, now)]
        return tuple(sorted(found))

    def unlock(self, transaction: Transaction, mount: Mount, name: str) -> None:
        """Forget the failures of a name; a name without any is no error."""
        attempt = self.begin(mount, name, self.find_rule(mount))
        group, record = self._read(transaction, attempt, self._clock.now())
        if record in group.records and record.failures:
            self._write(transaction, attempt, group, record.forgive())

    def tidy(self, runner: Runner) -> None:
        """Remove the rows of failures that are long ago."""
        while True:
            due = list(self._store.list_expired(self._clock.now(), _TIDY_BATCH, PREFIX))
            for start in range(0, len(due), 50):
                chunk = due[start : start + 50]
                runner.run(lambda transaction, chunk=chunk: self._remove(transaction, chunk))  # type: ignore[misc]  # a default binds it
            if len(due) < _TIDY_BATCH:
                return

    def _remove(self, transaction: Transaction, paths: list[str]) -> None:
        now = self._clock.now()
        for path in paths:
            entry = transaction.get(path)
            if entry is not None and entry.decode(Group.decode).ends_at <= now:
                transaction.delete(path)
