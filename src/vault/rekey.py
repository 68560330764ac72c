"""Rekey: a quorum of shareholders makes a new unseal key and a new root key, split in another way if they wish.

What has been given so far is one encrypted row, changed in the transaction of each request, so it is the same for all workers of
all hosts. The swap is one transaction as well: the database holds the old lock or the new one, never half of each.
"""

import hmac
from base64 import b64encode
from dataclasses import dataclass, replace

import msgspec

from vault import handover
from vault.clock import Clock
from vault.crypto import aead, random
from vault.crypto.pgp import Recipient, load_key, parse_key
from vault.errors import InvalidRequest
from vault.seal import Seal
from vault.shares import (
    FORMER,
    KEY_BYTES,
    KEYRING,
    REKEY,
    REKEY_RECOVERY,
    SHAMIR,
    STATIC,
    Opened,
    SealConfig,
    WrongShares,
    check_share,
    combine,
    has_share,
    make_nonce,
    parse_config,
    split,
)
from vault.storage.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How one of the two names of a rekey speaks."""

    running: str = "rekey already in progress"
    unknown: str = "no rekey configuration found"
    idle: str = "no barrier rekey in progress"
    idle_verify: str = "no rekey in progress"
    no_verify: str = "no rekey verification in progress"
    nonce: str = "incorrect nonce supplied; nonce for this rekey operation is"
    repeated: str = "given key has already been provided during this generation operation"
    finished: str = "rekey operation already finished; verification must be performed; nonce for the verification operation is"
    unverified: str = "rekey verification failed; incorrect key shares supplied"
    what: str = "rekey"
    split: str = "rekey seal"


REKEY_WORDS = Words()
ROTATE_WORDS = Words(
    running="rotation already in progress",
    unknown="no rotation configuration found",
    idle="no rotation in progress",
    idle_verify="no rotation in progress",
    no_verify="no rotation verification in progress",
    nonce="incorrect nonce supplied; nonce for rotation is",
    repeated="given key has already been provided during this rotation",
    finished="rotation already finished; verification must be performed; nonce for the verification operation is",
    unverified="rotation verification failed; incorrect key shares supplied",
    what="rotate",
    split="rotate seal",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whose shares are replaced: each kind of seal has its own, and both show one rekey under two names."""

    kind: str
    row: str
    backup: str
    refusal: str


ROOT = Target(kind=SHAMIR, row=REKEY, backup="core/rekey-backup", refusal="only a Shamir seal can be rekeyed")
RECOVERY = Target(kind=STATIC, row=REKEY_RECOVERY, backup="core/rekey-recovery-backup", refusal="recovery rekeying not supported")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Attempt:
    """A rekey on its way."""

    nonce: str
    config: SealConfig
    pgp_keys: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    backup: bool = False
    verifies: bool = False
    given: tuple[bytes, ...] = ()  # shares of the present key
    verification_nonce: str = ""
    unseal_key: bytes = b""  # the new one, until enough of its shares have come back
    returned: tuple[bytes, ...] = ()  # shares of the new key


@dataclass(frozen=True, slots=True, kw_only=True)
class Backup:
    """The encrypted shares of the last rekey that asked for it: hex, by fingerprint."""

    nonce: str
    keys: dict[str, list[str]]


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Done:
    """The end of a rekey, or of its first half. The shares exist nowhere else."""

    attempt: Attempt
    shares: tuple[bytes, ...]
    root_key: bytes = b""  # the new one; empty while verification is to come
    former: bytes = b""  # what the former lock was stored as


class Rekey:
    """The steps of a rekey under one of its names."""

    def __init__(self, seal: Seal, clock: Clock, words: Words, target: Target = ROOT) -> None:
        self._seal = seal
        self._clock = clock
        self._target = target
        self.words = words if target is ROOT else replace(words, idle=words.idle.replace("barrier", "recovery"), split="recovery")

    def find(self, transaction: Transaction) -> Attempt | None:
        """Return the rekey on its way. Where there are no recovery shares, nothing is told of theirs."""
        if self._target is RECOVERY:
            self._require_kind(transaction)
        entry = transaction.get(self._target.row)
        return None if entry is None else msgspec.json.decode(entry.value, type=Attempt)

    def require(self, transaction: Transaction, refusal: str) -> Attempt:
        """Return the rekey on its way; raises InvalidRequest with these words if there is none."""
        self._require_kind(transaction)
        attempt = self.find(transaction)
        if attempt is None:
            raise InvalidRequest(refusal)
        return attempt

    def _require_kind(self, transaction: Transaction) -> None:
        present = self._seal.find_config(transaction)
        if present is None or present.kind != self._target.kind or not present.shares:  # the swap below puts a lock of that kind
            raise InvalidRequest(self._target.refusal)

    def _save(self, transaction: Transaction, attempt: Attempt) -> Attempt:
        transaction.put(self._target.row, msgspec.json.encode(attempt))
        return attempt

    # -- first half: the shares of the present key --------------------------------------------------------------------

    def start(
        self, transaction: Transaction, shares: int, threshold: int, pgp_keys: tuple[str, ...], *, backup: bool, verifies: bool
    ) -> Attempt:
        """Begin; raises InvalidRequest while another one is on its way."""
        self._require_kind(transaction)
        config = replace(parse_config(shares, threshold, self.words.split), kind=self._target.kind)
        holders = parse_holders(pgp_keys, shares, self.words.split) if pgp_keys else ()
        if self.find(transaction) is not None:
            raise InvalidRequest(self.words.running)
        attempt = Attempt(
            nonce=make_nonce(),
            config=config,
            pgp_keys=pgp_keys,
            fingerprints=tuple(holder.fingerprint for holder in holders),
            backup=backup,
            verifies=verifies,
        )
        return self._save(transaction, attempt)

    def cancel(self, transaction: Transaction) -> None:
        """Give up, with the shares given so far; keys that await verification are lost, and so is their backup."""
        attempt = self.find(transaction)
        if attempt is None:
            return
        transaction.delete(self._target.row)
        backup = self.find_backup(transaction)
        if backup is not None and backup.nonce == attempt.nonce:
            self.delete_backup(transaction)

    def update(self, transaction: Transaction, share: bytes, nonce: str) -> Done | None:
        """Take a share of the present key; with enough of them, make the new keys. Raises WrongShares for a wrong set."""
        check_share(share)
        attempt = self.require(transaction, self.words.idle)
        if attempt.unseal_key:
            raise InvalidRequest(f'{self.words.finished} "{attempt.verification_nonce}"')
        if nonce != attempt.nonce:
            raise InvalidRequest(f'{self.words.nonce} "{attempt.nonce}"')
        if has_share(attempt.given, share):
            raise InvalidRequest(self.words.repeated)
        given = (*attempt.given, share)
        opened = self._seal.prove(transaction, given, self.words.what)
        if opened is None:
            self._save(transaction, replace(attempt, given=given))
            return None
        return self._finish(transaction, replace(attempt, given=()), opened)

    def forget_given(self, transaction: Transaction, nonce: str) -> None:
        """Forget the shares given so far, after a wrong set of them."""
        attempt = self.find(transaction)
        if attempt is not None and attempt.nonce == nonce and attempt.given:
            self._save(transaction, replace(attempt, given=()))

    def _finish(self, transaction: Transaction, attempt: Attempt, opened: Opened) -> Done:
        unseal_key, config = random.random_bytes(KEY_BYTES), attempt.config
        shares = split(unseal_key, config)
        if attempt.pgp_keys:
            shares = encrypt_shares(shares, tuple(load_key(text) for text in attempt.pgp_keys))
            if attempt.backup:
                self._back_up(transaction, attempt, shares)
        if attempt.verifies:
            attempt = self._save(transaction, replace(attempt, unseal_key=unseal_key, verification_nonce=make_nonce()))
            return Done(attempt=attempt, shares=shares)
        root_key = self._swap(transaction, unseal_key, config)
        # If the answer is lost, and the new shares with it, the former ones must still open the seal.
        former = msgspec.json.encode(self._seal.locks.make_former(opened, root_key))
        transaction.put_plain(FORMER, former)
        return Done(attempt=attempt, shares=shares, root_key=root_key, former=former)

    def _swap(self, transaction: Transaction, unseal_key: bytes, config: SealConfig) -> bytes:
        """Put a new lock on a new root key, and that on the keyring."""
        root_key = self._renew_root_key(transaction)
        self._seal.locks.put(transaction, config, unseal_key, root_key)
        transaction.delete(self._target.row)
        return root_key

    def rotate_root_key(self, transaction: Transaction) -> bytes:
        """Replace the root key of a seal that needs nobody; return the new one. Raises InvalidRequest for another seal."""
        root_key = self._renew_root_key(transaction)
        self._seal.locks.put_root_key(transaction, root_key)
        return root_key

    def _renew_root_key(self, transaction: Transaction) -> bytes:
        former, keyring = self._seal.require_keyring(transaction)
        root_key = random.random_bytes(KEY_BYTES)
        transaction.put_plain(KEYRING, aead.seal(root_key, keyring.encode(), KEYRING.encode()))
        handover.extend(transaction, former, root_key, self._clock.now())
        return root_key

    # -- second half: the shares of the new key -----------------------------------------------------------------------

    def verify(self, transaction: Transaction, share: bytes, nonce: str) -> Done | None:
        """Take a share of the new key back; with enough of them, replace the keys. Raises WrongShares for a wrong set."""
        check_share(share)
        attempt = self.require(transaction, self.words.idle_verify)
        if not attempt.unseal_key:
            raise InvalidRequest(self.words.no_verify)
        if nonce != attempt.verification_nonce:
            raise InvalidRequest(f'incorrect nonce supplied; nonce for this verify operation is "{attempt.verification_nonce}"')
        if has_share(attempt.returned, share):
            raise InvalidRequest("given key has already been provided during this verify operation")
        returned = (*attempt.returned, share)
        if len(returned) < attempt.config.threshold:
            self._save(transaction, replace(attempt, returned=returned))
            return None
        if not hmac.compare_digest(combine(returned, attempt.config) or b"", attempt.unseal_key):
            raise WrongShares(self.words.unverified)
        if transaction.get_plain(FORMER) is not None:  # of a rekey before: its shares have been replaced twice
            transaction.delete(FORMER)
        root_key = self._swap(transaction, attempt.unseal_key, attempt.config)
        return Done(attempt=attempt, shares=(), root_key=root_key)

    def restart_verification(self, transaction: Transaction, nonce: str | None = None) -> Attempt | None:
        """Forget the new shares given back so far, under a new nonce; with `nonce` only if that is still the present one."""
        attempt = self.find(transaction)
        if attempt is None or (nonce is not None and attempt.verification_nonce != nonce):
            return attempt
        return self._save(transaction, replace(attempt, returned=(), verification_nonce=make_nonce()))

    # -- backup of encrypted shares -----------------------------------------------------------------------------------

    def find_backup(self, transaction: Transaction) -> Backup | None:
        """Return the encrypted shares of the last rekey that kept them."""
        entry = transaction.get(self._target.backup)
        return None if entry is None else msgspec.json.decode(entry.value, type=Backup)

    def delete_backup(self, transaction: Transaction) -> None:
        """Forget them; none is no error."""
        if transaction.get(self._target.backup) is not None:
            transaction.delete(self._target.backup)

    def _back_up(self, transaction: Transaction, attempt: Attempt, shares: tuple[bytes, ...]) -> None:
        keys: dict[str, list[str]] = {}
        for fingerprint, share in zip(attempt.fingerprints, shares, strict=True):
            keys.setdefault(fingerprint, []).append(share.hex())
        transaction.put(self._target.backup, msgspec.json.encode(Backup(nonce=attempt.nonce, keys=keys)))


def forget_former(transaction: Transaction, former: bytes) -> None:
    """Remove the former lock, unless it is another one by now: the new shares have left."""
    if transaction.get_plain(FORMER) == former:
        transaction.delete(FORMER)


def parse_holders(pgp_keys: tuple[str, ...], shares: int, what: str) -> tuple[Recipient, ...]:
    """Return who gets the shares, in order; raises InvalidRequest unless there is one good key for each."""
    if len(pgp_keys) != shares:
        raise InvalidRequest(f"invalid {what} configuration: count mismatch between number of provided PGP keys and number of shares")
    try:
        return tuple(parse_key(text) for text in pgp_keys)
    except InvalidRequest as refusal:
        raise InvalidRequest(f"invalid {what} configuration: {refusal}") from None


def encrypt_shares(shares: tuple[bytes, ...], holders: tuple[Recipient, ...]) -> tuple[bytes, ...]:
    """Return each share for its holder alone. What they decrypt is hex, ready to be given."""
    return tuple(holder.encrypt(share.hex().encode()) for share, holder in zip(shares, holders, strict=True))


def describe_shares(shares: tuple[bytes, ...]) -> dict[str, list[str]]:
    """Return shares as answers show them."""
    return {"keys": [share.hex() for share in shares], "keys_base64": [b64encode(share).decode() for share in shares]}
