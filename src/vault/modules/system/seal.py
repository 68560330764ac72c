"""`sys/init`, `seal-status`, `unseal`, `seal`, `health`, `leader`: what answers before there is a token."""

from base64 import b64encode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from vault import limits
from vault.crypto.pgp import parse_key
from vault.errors import InvalidRequest, VaultError
from vault.logical.args import BOOL, INT, LIST, SECRET, STRING, Kind, NoArgs, arg, parse_int
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.modules.auth.tokens import Issued
from vault.rekey import describe_shares, encrypt_shares, parse_holders
from vault.seal import Seal, Status
from vault.secret import Secret
from vault.shares import ATTEMPTS, STATIC, parse_share
from vault.storage.transaction import Transaction
from vault.version import COMMIT_DATE, VERSION

_NONE = Secret("")


class Populate(Protocol):
    """Writes what a fresh server has, and makes its root token."""

    def __call__(self, transaction: Transaction) -> Issued:
        """Return the root token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InitArgs:
    """How to split the unseal key, or with a static seal the recovery key."""

    secret_shares: int = arg(INT, "Number of shares.", default=0)
    secret_threshold: int = arg(INT, "Number of shares that open the seal.", default=0)
    stored_shares: int = arg(INT, "Kept for clients that send it.", default=0)
    recovery_shares: int = arg(INT, "Number of recovery shares, with a static seal.", default=0)
    recovery_threshold: int = arg(INT, "Number of recovery shares that prove who holds them.", default=0)
    pgp_keys: tuple[str, ...] = arg(LIST, "OpenPGP keys, one for each share, which is encrypted to it.", default=())
    recovery_pgp_keys: tuple[str, ...] = arg(LIST, "The same for recovery shares, with a static seal.", default=())
    root_token_pgp_key: str = arg(STRING, "The OpenPGP key that the root token is encrypted to.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnsealArgs:
    """One share."""

    key: Secret = arg(SECRET, "A key share, in hex or base64.", default=_NONE)
    reset: bool = arg(BOOL, "Forget the shares given so far.", default=False)
    migrate: bool = arg(BOOL, "Move from the stored seal to the configured one.", default=False)


def _parse_code(value: Any) -> int:
    # A health check reads codes, not texts: what is none is refused without a word, by the handler.
    try:
        return parse_int(value or None)
    except ValueError:
        return -1


CODE: Kind[int] = Kind(INT.name, INT.schema, _parse_code)


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthArgs:
    """Which codes to answer with."""

    standbyok: bool = arg(BOOL, "A standby is as good as active.", default=False, query=True)
    perfstandbyok: bool = arg(BOOL, "Kept for clients that send it.", default=False, query=True)
    activecode: int = arg(CODE, "Code when active.", default=200, query=True)
    standbycode: int = arg(CODE, "Code when standby.", default=429, query=True)
    sealedcode: int = arg(CODE, "Code when sealed.", default=503, query=True)
    uninitcode: int = arg(CODE, "Code when not initialised.", default=501, query=True)
    drsecondarycode: int = arg(CODE, "Kept for clients that send it.", default=472, query=True)
    performancestandbycode: int = arg(CODE, "Kept for clients that send it.", default=473, query=True)


class SealPaths:
    """Handlers of the seal's life."""

    def __init__(self, seal: Seal, populate: Populate, storage_kind: str) -> None:
        self._seal = seal
        self._populate = populate
        self._storage_kind = storage_kind

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""

        def open_to_all(
            handler: Callable[..., Response | None], args: type = NoArgs, *, free: bool = False, vital: bool = False
        ) -> Endpoint:
            return Endpoint(handler=handler, args=args, public=True, sealed=True, free=free, vital=vital)

        return (
            path(
                "init",
                help="Initialise the server: make its keys and root token.",
                shape=Shape.BARE,
                read=open_to_all(self.read_init),
                update=open_to_all(self.init, InitArgs, free=True),
            ),
            path("seal-status", help="Tell whether the server is sealed.", shape=Shape.BARE, read=open_to_all(self.read_status)),
            path(
                "unseal",
                help="Give one key share.",
                shape=Shape.BARE,
                update=open_to_all(self.unseal, UnsealArgs, free=True, vital=True),
            ),
            path(
                "health",
                help="Tell whether the server can serve.",
                shape=Shape.BARE,
                read=open_to_all(self.read_health, HealthArgs, free=True),
            ),
            path(
                "leader",
                help="Tell which host is active: with this storage every host is.",
                shape=Shape.BARE,
                read=open_to_all(self.read_leader),
            ),
            path("seal", help="Seal the server.", update=Endpoint(handler=self.close, sudo=True, vital=True)),
            path(
                "step-down",
                help="Give up leadership: with this storage there is none to give up.",
                update=Endpoint(handler=self.step_down, sudo=True),
            ),
        )

    def read_init(self, context: SystemContext, _: Any) -> Response:
        """Tell whether the server is initialised."""
        return Response(data={"initialized": self._seal.find_config(context.transaction) is not None})

    def init(self, context: SystemContext, args: InitArgs) -> Response:
        """Initialise; the answer is the only copy of the shares and the root token."""
        is_static = self._seal.kind == STATIC
        recovery, secret = (args.recovery_shares, args.recovery_threshold), (args.secret_shares, args.secret_threshold)
        if any(secret if is_static else recovery):
            kind = "secret" if is_static else "recovery"
            raise InvalidRequest(f"parameters {kind}_shares,{kind}_threshold not applicable to seal type {self._seal.kind}")
        unused = "pgp_keys" if is_static else "recovery_pgp_keys"
        if getattr(args, unused):
            raise InvalidRequest(f"parameters {unused} not applicable to seal type {self._seal.kind}")
        keys, what = (args.recovery_pgp_keys, "recovery") if is_static else (args.pgp_keys, "seal")
        split = recovery if is_static else secret
        holders = parse_holders(keys, split[0], what) if keys else ()
        root_holder = parse_key(args.root_token_pgp_key) if args.root_token_pgp_key else None
        root: list[Issued] = []
        made = self._seal.initialize(
            context.transaction,
            *split,
            lambda transaction: root.append(self._populate(transaction)),
        )
        context.after_commit.append(self._open_alone)
        token = root[-1].id.reveal()
        shares: dict[str, list[str]] = describe_shares(encrypt_shares(made.shares, holders) if holders else made.shares)
        if is_static:
            found = {f"recovery_{name}": values for name, values in shares.items()} if made.shares else {}
            shares = {"keys": [], "keys_base64": [], **found}
        return Response(data={**shares, "root_token": b64encode(root_holder.encrypt(token.encode())).decode() if root_holder else token})

    def _open_alone(self) -> None:
        with suppress(VaultError):  # the answer has the only copy of the shares: it must arrive; the seal is opened a little later
            self._seal.open_alone()

    def read_status(self, context: SystemContext, _: Any) -> Response:
        """Tell the state of the seal."""
        return Response(data=self._describe(self._seal.status(context.transaction)))

    def unseal(self, context: SystemContext, args: UnsealArgs) -> Response:
        """Take one share, or forget all; tell the state of the seal."""
        if args.reset:
            self._seal.reset()
        elif not args.key:
            raise InvalidRequest("'key' must be specified in request body as JSON, or 'reset' set to true")
        else:
            return self._take_share(context, parse_share(args.key.reveal()), migrate=args.migrate)
        return self.read_status(context, args)

    def _take_share(self, context: SystemContext, share: bytes, *, migrate: bool) -> Response:
        opening = self._seal.unseal(context.transaction, share, migrate=migrate)
        context.if_refused.append(self._forget)  # a share that is not on record was not given
        if opening is not None:
            context.after_commit.append(partial(self._seal.open, opening))
        return Response(data=self._describe(self._seal.status(context.transaction, opening)))

    def _forget(self) -> None:
        with suppress(InvalidRequest):  # others have opened the host meanwhile
            self._seal.reset()

    def _describe(self, status: Status) -> dict[str, Any]:
        config = status.config
        data: dict[str, Any] = {
            "type": status.kind,
            "initialized": status.initialized,
            "sealed": status.sealed,
            "t": config.threshold if config else 0,
            "n": config.shares if config else 0,
            "progress": status.progress,
            "nonce": status.nonce,
            "version": VERSION,
            "commit_date": COMMIT_DATE,
            "migration": status.migration,
            "recovery_seal": status.kind == STATIC,
            "storage_type": self._storage_kind,
        }
        if status.kind == STATIC:
            data["recovery_seal_type"] = "shamir"
        if status.cluster:
            data |= {"cluster_name": status.cluster.name, "cluster_id": status.cluster.id}
        return data

    def read_health(self, context: SystemContext, args: HealthArgs) -> Response:
        """Tell the state as a code; every host of a cluster is active."""
        status = self._seal.status(context.transaction)
        code = args.uninitcode if not status.initialized else args.sealedcode if status.sealed else args.activecode
        codes = (args.activecode, args.standbycode, args.sealedcode, args.uninitcode)
        if min(codes) < 0 or not limits.STATUS_MIN <= code <= limits.STATUS_MAX:
            raise InvalidRequest("")
        mode = "unknown" if status.sealed else "disabled"
        data: dict[str, Any] = {
            "initialized": status.initialized,
            "sealed": status.sealed,
            "standby": status.sealed,
            "performance_standby": False,
            "replication_performance_mode": mode,
            "replication_dr_mode": mode,
            "server_time_utc": int(context.now),
            "version": VERSION,
        }
        if status.cluster:
            data |= {"cluster_name": status.cluster.name, "cluster_id": status.cluster.id}
        return Response(data=data, status=code)

    def read_leader(self, _context: SystemContext, _: Any) -> Response:
        """Tell that there is no leader."""
        return Response(
            data={
                "ha_enabled": False,
                "is_self": False,
                "active_time": "0001-01-01T00:00:00Z",
                "leader_address": "",
                "leader_cluster_address": "",
                "performance_standby": False,
                "performance_standby_last_remote_wal": 0,
            }
        )

    def close(self, context: SystemContext, _: Any) -> None:
        """Seal this host once the answer is on record. Shares that were given to change something are forgotten."""
        for attempt in ATTEMPTS:
            if context.transaction.get(attempt) is not None:
                context.transaction.delete(attempt)
        context.after_commit.append(self._seal.seal)

    def step_down(self, _context: SystemContext, _: Any) -> None:
        """Accept; there is nothing to give up."""
