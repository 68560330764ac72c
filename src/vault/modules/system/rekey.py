"""`sys/rekey/*`, and the same under the name that OpenBao gives it, `sys/rotate/root/*`. Both show one and the same rekey."""

from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

from vault.clock import Clock
from vault.errors import InvalidRequest, VaultError
from vault.logical.args import BOOL, INT, LIST, SECRET, STRING, NoArgs, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.rekey import RECOVERY, REKEY_WORDS, ROOT, ROTATE_WORDS, Attempt, Done, Rekey, describe_shares, forget_former
from vault.seal import Seal
from vault.secret import Secret
from vault.shares import WrongShares, parse_share
from vault.storage.transaction import Store

DOOR = "rekey"
_ROTATE = "rotate/root"
_NO_KEY = "'key' must be specified in request body as JSON"
_NO_BACKUP = "no backed-up keys found"
_IDLE = {"nonce": "", "progress": 0, "pgp_fingerprints": None, "backup": False, "verification_required": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class StartArgs:
    """How to split the new key."""

    secret_shares: int = arg(INT, "Number of shares.", default=0)
    secret_threshold: int = arg(INT, "Number of shares that open the seal.", default=0)
    stored_shares: int = arg(INT, "Not used with this seal.", default=0)
    pgp_keys: tuple[str, ...] = arg(LIST, "OpenPGP keys, one for each share, which is encrypted to it.", default=())
    backup: bool = arg(BOOL, "Keep the encrypted shares.", default=False)
    require_verification: bool = arg(BOOL, "Replace the keys only once enough new shares have been given back.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareArgs:
    """One share."""

    key: Secret = arg(SECRET, "A key share, in hex or base64.", default=Secret(""))
    nonce: str = arg(STRING, "The nonce of the attempt.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """Where a rekey is found."""

    prefix: str
    backup: str
    bare: bool  # an old name, whose answers have no envelope and which a listener may open to all


REKEY_NAME = Name(prefix="rekey", backup="rekey/backup", bare=True)
ROTATE_NAME = Name(prefix=_ROTATE, backup=f"{_ROTATE}/backup", bare=False)
REKEY_RECOVERY_NAME = Name(prefix="rekey-recovery-key", backup="rekey/recovery-key-backup", bare=True)
ROTATE_RECOVERY_NAME = Name(prefix="rotate/recovery", backup="rotate/recovery/backup", bare=False)


def rekey_paths(seal: Seal, store: Store, clock: Clock) -> tuple[Path, ...]:
    """Return the table of all rekeys: of a Shamir seal's root key and of a static seal's recovery shares, each under two names."""
    rekeys = (
        (REKEY_NAME, REKEY_WORDS, ROOT), (ROTATE_NAME, ROTATE_WORDS, ROOT),
        (REKEY_RECOVERY_NAME, REKEY_WORDS, RECOVERY), (ROTATE_RECOVERY_NAME, ROTATE_WORDS, RECOVERY),
    )  # fmt: skip
    rotate = Rekey(seal, clock, ROTATE_WORDS)
    return (
        *(row for name, words, target in rekeys for row in RekeyPaths(Rekey(seal, clock, words, target), seal, store, name).paths()),
        path(
            _ROTATE,
            help="Replace the root key of a seal that needs nobody.",
            update=Endpoint(handler=partial(_rotate_root, rotate, seal), sudo=True),
        ),
    )


def _rotate_root(rekey: Rekey, seal: Seal, context: SystemContext, _: Any) -> None:
    context.after_commit.append(partial(_adopt, seal, rekey.rotate_root_key(context.transaction)))


def _adopt(seal: Seal, root_key: bytes) -> None:
    """Bring a new root key to this host."""
    with suppress(VaultError):  # it is there all the same, and is followed later; the answer must arrive
        seal.root_key.adopt(root_key)


class RekeyPaths:
    """Handlers of a rekey under one of its names."""

    def __init__(self, rekey: Rekey, seal: Seal, store: Store, name: Name) -> None:
        self._rekey = rekey
        self._name = name
        self._bare = name.bare
        self._seal = seal
        self._store = store

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        prefix, (door, shape) = self._name.prefix, ((DOOR, Shape.BARE) if self._bare else ("", Shape.ENVELOPE))
        endpoint = partial(Endpoint, sudo=True, door=door, free=self._bare)
        return (
            path(
                f"{prefix}/init",
                help="Begin, follow or give up a rekey: new key shares in place of the present ones.",
                shape=shape,
                read=endpoint(handler=self.read),
                update=endpoint(handler=self.start, args=StartArgs),
                delete=endpoint(handler=self.cancel),
            ),
            path(
                f"{prefix}/update",
                help="Give a share of the present key.",
                shape=shape,
                update=endpoint(handler=self.update, args=ShareArgs),
            ),
            path(
                f"{prefix}/verify",
                help="Give back a share of the new key.",
                shape=shape,
                read=endpoint(handler=self.read_verification),
                update=endpoint(handler=self.verify, args=ShareArgs),
                delete=endpoint(handler=self.restart_verification),
            ),
            path(
                self._name.backup,
                help="Return or forget the encrypted shares of the last rekey that kept them.",
                shape=Shape.DOUBLED,
                read=Endpoint(handler=self.read_backup, sudo=True),
                delete=Endpoint(handler=self.delete_backup, sudo=True),
            ),
        )

    # -- first half ---------------------------------------------------------------------------------------------------

    def start(self, context: SystemContext, args: StartArgs) -> Response:
        """Begin a rekey."""
        if self._bare and args.backup and not args.pgp_keys:
            raise InvalidRequest("cannot request a backup of the new keys without providing PGP keys for encryption")
        if self._bare and args.pgp_keys and len(args.pgp_keys) != args.secret_shares:
            raise InvalidRequest("incorrect number of PGP keys for rekey")
        self._rekey.start(
            context.transaction,
            args.secret_shares,
            args.secret_threshold,
            args.pgp_keys,
            backup=args.backup,
            verifies=args.require_verification,
        )
        return self.read(context, NoArgs())

    def read(self, context: SystemContext, _: Any) -> Response:
        """Tell how far a rekey is."""
        config = self._seal.find_config(context.transaction)
        required = config.threshold if config else 0
        attempt = self._rekey.find(context.transaction)
        if attempt is None:
            data: dict[str, Any] = {"started": False, "t": 0, "n": 0, "required": required}
            return Response(data=_IDLE | data if self._bare else data)
        data = {
            "nonce": attempt.nonce,
            "started": True,
            "t": attempt.config.threshold,
            "n": attempt.config.shares,
            "progress": len(attempt.given),
            "required": required,
        }
        if self._bare or attempt.fingerprints:
            data |= {"pgp_fingerprints": list(attempt.fingerprints) or None, "backup": attempt.backup and bool(attempt.fingerprints)}
        return Response(data=data | self._describe_verification(attempt))

    def _describe_verification(self, attempt: Attempt) -> dict[str, Any]:
        told = {"verification_nonce": attempt.verification_nonce} if attempt.verification_nonce or not self._bare else {}
        return {"verification_required": attempt.verifies, **told}

    def cancel(self, context: SystemContext, _: Any) -> None:
        """Give up a rekey; none is no error."""
        self._rekey.cancel(context.transaction)

    def update(self, context: SystemContext, args: ShareArgs) -> Response:
        """Take a share of the present key; with enough of them, answer the new shares."""
        share = self._parse_share(args)
        try:
            done = self._rekey.update(context.transaction, share, args.nonce)
        except WrongShares:
            self._after_refusal(context, partial(self._rekey.forget_given, nonce=args.nonce))
            raise
        if done is None:
            return self.read(context, NoArgs())
        self._take_over(context, done)
        attempt = done.attempt
        data: dict[str, Any] = {"nonce": attempt.nonce, "complete": True, **describe_shares(done.shares)}
        data |= {"pgp_fingerprints": list(attempt.fingerprints) or None, "backup": attempt.backup}
        data |= self._describe_verification(attempt)
        return Response(data=data, sent=partial(self._forget_former, done.former) if done.former else None)

    def _parse_share(self, args: ShareArgs) -> bytes:
        if not args.key:
            raise InvalidRequest(_NO_KEY if self._bare else "missing required field 'key'")
        if not args.nonce and not self._bare:
            raise InvalidRequest("missing required field 'nonce'")
        return parse_share(args.key.reveal())

    def _after_refusal(self, context: SystemContext, work: Any) -> None:
        context.if_refused.append(partial(self._store.run, work))

    def _take_over(self, context: SystemContext, done: Done) -> None:
        if done.root_key:
            context.after_commit.append(partial(_adopt, self._seal, done.root_key))

    def _forget_former(self, former: bytes) -> None:
        with suppress(VaultError):  # then it goes when the new shares are used
            self._store.run(partial(forget_former, former=former))

    # -- second half --------------------------------------------------------------------------------------------------

    def read_verification(self, context: SystemContext, _: Any) -> Response:
        """Tell how many new shares have been given back."""
        return self._tell_verification(self._rekey.require(context.transaction, self._rekey.words.unknown))

    def _tell_verification(self, attempt: Attempt) -> Response:
        return Response(
            data={
                "nonce": attempt.verification_nonce,
                "started": bool(attempt.unseal_key),
                "t": attempt.config.threshold,
                "n": attempt.config.shares,
                "progress": len(attempt.returned),
            }
        )

    def verify(self, context: SystemContext, args: ShareArgs) -> Response:
        """Take back a share of the new key; with enough of them, the keys are replaced."""
        share = self._parse_share(args)
        try:
            done = self._rekey.verify(context.transaction, share, args.nonce)
        except WrongShares:
            self._after_refusal(context, partial(self._rekey.restart_verification, nonce=args.nonce))
            raise
        if done is None:
            return self.read_verification(context, NoArgs())
        self._take_over(context, done)
        return Response(data={"nonce": args.nonce, "complete": True})

    def restart_verification(self, context: SystemContext, _: Any) -> Response:
        """Forget the new shares given back so far."""
        attempt = self._rekey.restart_verification(context.transaction)
        if attempt is None:
            raise InvalidRequest(self._rekey.words.unknown)
        return self._tell_verification(attempt)

    # -- backup -------------------------------------------------------------------------------------------------------

    def read_backup(self, context: SystemContext, _: Any) -> Response:
        """Answer the encrypted shares."""
        backup = self._rekey.find_backup(context.transaction)
        if backup is None:
            raise InvalidRequest(_NO_BACKUP)
        in_base64 = {name: [b64encode(bytes.fromhex(share)).decode() for share in shares] for name, shares in backup.keys.items()}
        return Response(data={"nonce": backup.nonce, "keys": backup.keys, "keys_base64": in_base64})

    def delete_backup(self, context: SystemContext, _: Any) -> None:
        """Forget the encrypted shares."""
        self._rekey.delete_backup(context.transaction)
