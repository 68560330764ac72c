"""The lock on the root key: what opens it, what is written to lock it, and how one kind of lock takes the place of another."""

from dataclasses import replace
from functools import partial

import msgspec
import structlog

from vault.crypto import aead
from vault.errors import IntegrityError, InvalidRequest
from vault.settings import StaticSeal
from vault.shares import (
    ATTEMPTS,
    CONFIG,
    FORMER,
    KEYRING,
    ROOT_KEY,
    SHAMIR,
    STATIC,
    Former,
    Opened,
    SealConfig,
    find_sealed,
    open_root_key,
    try_locks,
)
from vault.static_lock import RECOVERY_KEY, StaticLock
from vault.storage.transaction import Transaction

_log = structlog.get_logger(__name__)


class MigrationRefused(InvalidRequest):
    """The stored seal and the configured one do not allow this."""


class Locks:
    """The locks that this server's configuration can open."""

    def __init__(self, static: StaticSeal | None) -> None:
        self._static = StaticLock(static) if static else None
        self.kind = STATIC if static and not static.disabled else SHAMIR  # of the configured lock

    def find_config(self, transaction: Transaction) -> SealConfig | None:
        """Return which lock is stored; None before init."""
        value = transaction.get_plain(CONFIG)
        return None if value is None else msgspec.json.decode(value, type=SealConfig)

    def put(self, transaction: Transaction, config: SealConfig, split_key: bytes, root_key: bytes) -> None:
        """Store a root key behind the lock that `config` names; `split_key` is what its shares combine to."""
        transaction.put_plain(CONFIG, msgspec.json.encode(config))
        if config.kind == SHAMIR:
            transaction.put_plain(ROOT_KEY, aead.seal(split_key, root_key, ROOT_KEY.encode()))
            return
        lock = self._require_static()
        lock.put_root_key(transaction, root_key)
        if config.shares:
            transaction.put_plain(RECOVERY_KEY, lock.seal_recovery_key(config, split_key))

    def open(self, transaction: Transaction, shares: tuple[bytes, ...], purpose: str) -> Opened | None:
        """Return what a set of shares opens, None if there must be more of them. Raises WrongShares for a whole set.

        The shares of a static seal are recovery shares: they prove something, and the key opens.
        """
        config = self.find_config(transaction)
        if config is None:
            raise InvalidRequest("Vault is not initialized")
        if config.kind == SHAMIR:
            return open_root_key(transaction, shares, purpose)
        if config.kind != STATIC:
            raise IntegrityError
        what = "invalid key: failed to verify recovery key" if purpose == "unseal" else "recovery key verification failed"
        refusal = f"{what}: recovery key does not match submitted values"
        return try_locks(transaction, RECOVERY_KEY, shares, partial(self._prove, transaction), refusal)

    def _prove(self, transaction: Transaction, config: SealConfig, sealed: bytes, shares: tuple[bytes, ...]) -> Opened | None:
        lock = self._require_static()
        if not sealed:
            raise InvalidRequest("no recovery key found")
        recovery_key = lock.prove(sealed, shares, config)
        if recovery_key is None:
            return None
        root_key = lock.open_root_key(transaction)
        keyring = find_sealed(root_key, transaction.get_plain(KEYRING) or b"", KEYRING)
        if keyring is None:
            raise IntegrityError
        return Opened(keyring=keyring, root_key=root_key, unseal_key=recovery_key, config=config)

    def put_root_key(self, transaction: Transaction, root_key: bytes) -> None:
        """Seal another root key by a key that needs nobody; raises InvalidRequest where people hold the shares of it."""
        config = self.find_config(transaction)
        if config is None or config.kind != STATIC:
            raise InvalidRequest("the root key of a Shamir seal is replaced by its shareholders")
        self._require_static().put_root_key(transaction, root_key)

    def make_former(self, opened: Opened, root_key: bytes) -> Former:
        """Return what lets the shares that opened go on doing so with a new root key."""
        config = opened.config
        if config.kind == SHAMIR:
            return Former(config=config, sealed=aead.seal(opened.unseal_key, root_key, ROOT_KEY.encode()))
        return Former(config=config, sealed=self._require_static().seal_recovery_key(config, opened.unseal_key))

    def open_alone(self, transaction: Transaction) -> bytes:
        """Return the root key, nothing before init or while a migration to this lock is due; leave it locked by the current key."""
        config = self.find_config(transaction)
        if config is None or config.kind != STATIC or self.kind != STATIC:
            return b""
        lock = self._require_static()
        root_key = lock.open_root_key(transaction)
        aead.open_sealed(root_key, transaction.get_plain(KEYRING) or b"", KEYRING.encode())
        lock.rewrap(transaction, config)
        return root_key

    def migrate(self, transaction: Transaction, opened: Opened) -> None:
        """Put the root key behind the configured lock. The shares stay: who unsealed proves from now on, and the other way round."""
        for attempt in ATTEMPTS:  # a rekey that goes on would put the other lock back
            transaction.delete(attempt)
        for path in (RECOVERY_KEY, FORMER):
            if transaction.get_plain(path) is not None:
                transaction.delete(path)
        self.put(transaction, replace(opened.config, kind=self.kind), opened.unseal_key, opened.root_key)
        _log.warning("the seal was migrated", after=self.kind)

    def check_start(self, transaction: Transaction) -> None:
        """Raise MigrationRefused if nothing in the configuration can ever open what is stored."""
        config = self.find_config(transaction)
        if config is not None and config.kind == STATIC:
            self._require_static()

    def check_migration(self, config: SealConfig, *, migrate: bool) -> None:
        """Refuse shares that are not given for what is due."""
        if config.kind != self.kind and not migrate:
            raise MigrationRefused("migrate option not provided and seal migration is pending")

    def _require_static(self) -> StaticLock:
        if self._static is None:
            raise MigrationRefused('cannot seal migrate from "static" to Shamir, no disabled seal in configuration')
        return self._static
