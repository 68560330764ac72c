"""`sys/leases/*`: looking at leases, renewing and revoking them.

The leases of this release belong to tokens, which are renewed at `auth/token/renew*` and nowhere else, as in Vault. A revocation
is done before the answer, so `sync` makes no difference.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from vault.clock import format_rfc3339_nano
from vault.errors import InvalidRequest, NotFound
from vault.leases import LeaseRecord, LeaseStore
from vault.logical.args import BOOL, STRING, TTL, Kind, arg, parse_int
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.page import Page
from vault.logical.response import Response, list_response
from vault.modules.auth.tokens import TokenStore
from vault.mounts import Mounts
from vault.revocation import Revoker, Runner
from vault.storage.transaction import Transaction

TIDY_STARTED = "Tidy operation successfully started. Any information from the operation will be printed to Health Vault's server logs."
_IRREVOCABLE = "irrevocable"
_PAGE = 500
# The id is checked by the handlers: Vault has its own words for what is no text.
LEASE_ID: Kind[Any] = Kind(STRING.name, STRING.schema, lambda value: value)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseArgs:
    """A lease, named in the body or in the path."""

    lease_id: Any = arg(LEASE_ID, "Id of the lease.", default="")
    url_lease_id: str = arg(STRING, "Id of the lease, in the path.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewArgs(LeaseArgs):
    """A lease, to be renewed."""

    increment: int = arg(TTL, "Requested time from now on.", default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeArgs(LeaseArgs):
    """A lease, to be revoked."""

    sync: bool = arg(BOOL, "Wait for the revocation; it is always waited for.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixArgs:
    """All leases below a prefix."""

    prefix: str = arg(STRING, "What the ids of the leases start with, up to a slash.")
    sync: bool = arg(BOOL, "Wait for the revocation; it is always waited for.", default=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderArgs:
    """A folder of leases."""

    prefix: str = arg(STRING, "Folder of lease ids.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class ListArgs(Page, FolderArgs):
    """A page of leases."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CountArgs:
    """Which leases to count."""

    type: str = arg(STRING, "irrevocable.", default="", query=True)
    include_child_namespaces: bool = arg(BOOL, "Kept for clients that send it.", default=False, query=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class IrrevocableArgs(CountArgs):
    """Which leases to list."""

    limit: str = arg(STRING, "List at most so many; `none`: all.", default="", query=True)


class LeasePaths:
    """Handlers of leases."""

    def __init__(self, leases: LeaseStore, tokens: TokenStore, mounts: Mounts, revoker: Revoker, store: Runner) -> None:
        self._leases = leases
        self._tokens = tokens
        self._mounts = mounts
        self._revoker = revoker
        self._store = store

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path("leases", help="List irrevocable leases.", read=Endpoint(handler=self.list_irrevocable, args=IrrevocableArgs, sudo=True)),
            path("leases/count", help="Count irrevocable leases.", read=Endpoint(handler=self.count, args=CountArgs)),
            path(
                "leases/lookup",
                help="Describe a lease; list leases.",
                update=Endpoint(handler=self.lookup, args=LeaseArgs),
                list=Endpoint(handler=self.list_leases, args=ListArgs, sudo=True),
            ),
            path("leases/lookup/{prefix*}", help="List leases.", list=Endpoint(handler=self.list_leases, args=ListArgs, sudo=True)),
            path(
                "leases/renew", "leases/renew/{url_lease_id*}", help="Renew a lease.", update=Endpoint(handler=self.renew, args=RenewArgs)
            ),
            path(
                "leases/revoke",
                "leases/revoke/{url_lease_id*}",
                help="Revoke a lease.",
                update=Endpoint(handler=self.revoke, args=RevokeArgs),
            ),
            path(
                "leases/revoke-prefix/{prefix*}",
                help="Revoke all leases below a prefix.",
                update=Endpoint(handler=self.revoke_prefix, args=PrefixArgs, sudo=True),
            ),
            path(
                "leases/revoke-force/{prefix*}",
                help="Forget all leases below a prefix, even where revoking fails.",
                update=Endpoint(handler=self.revoke_force, args=PrefixArgs, sudo=True),
            ),
            path("leases/tidy", help="Remove leases of tokens that are gone.", update=Endpoint(handler=self.tidy)),
        )

    # -- one lease ----------------------------------------------------------------------------------------------------

    def lookup(self, context: SystemContext, args: LeaseArgs) -> Response:
        """Describe a lease."""
        lease_id = _require_id(args)
        record = self._leases.require(context.transaction, lease_id)
        return Response(
            data={
                "id": lease_id,
                "path": lease_id.rpartition("/")[0],
                "issue_time": format_rfc3339_nano(record.issued_at * 10**9),
                "expire_time": format_rfc3339_nano(int(record.expires_at * 1e9)),
                "last_renewal": None if record.renewed_at is None else format_rfc3339_nano(record.renewed_at * 10**9),
                "renewable": record.renewable,
                "ttl": max(0, int(record.expires_at - context.now)),
            }
        )

    def renew(self, context: SystemContext, args: RenewArgs) -> Response:
        """Renew a lease; those of tokens are renewed elsewhere."""
        record = self._leases.find(context.transaction, _require_id(args))
        if record is None:
            raise InvalidRequest("lease not found")
        if not record.renewable:
            raise InvalidRequest("lease is not renewable")
        raise InvalidRequest("tokens cannot be renewed through this endpoint")

    def revoke(self, context: SystemContext, args: RevokeArgs) -> None:
        """Revoke a lease; an unknown id is no error."""
        lease_id = _require_id(args)
        context.after_commit.append(lambda: self._revoker.revoke_lease(lease_id))

    # -- many leases --------------------------------------------------------------------------------------------------

    def revoke_prefix(self, context: SystemContext, args: PrefixArgs) -> None:
        """Revoke the lease of that name and all below it."""
        self._revoke_below(context, args.prefix, force=False)

    def revoke_force(self, context: SystemContext, args: PrefixArgs) -> None:
        """Forget the lease of that name and all below it."""
        self._revoke_below(context, args.prefix, force=True)

    def _revoke_below(self, context: SystemContext, prefix: str, *, force: bool) -> None:
        name = prefix.strip("/")
        if not name:
            raise InvalidRequest("prefix must be specified")
        context.after_commit.append(lambda: self._revoker.revoke_lease(name, force=force))
        context.after_commit.append(lambda: self._revoker.revoke_prefix(name + "/", force=force))

    def list_leases(self, context: SystemContext, args: ListArgs) -> Response | None:
        """List ids and folders."""
        folder = args.prefix.strip("/")
        return list_response(self._leases.list_children(context.transaction, f"{folder}/" if folder else "", args.after, args.size))

    def tidy(self, context: SystemContext, _: Any) -> Response:
        """Remove leases of tokens that are gone."""
        context.after_commit.append(self._tidy)
        return Response(warnings=(TIDY_STARTED,), status=202)

    def _tidy(self) -> None:
        after = ""
        while after := self._store.run(partial(self._tidy_page, after)):
            pass

    def _tidy_page(self, after: str, transaction: Transaction) -> str:
        """Tidy one page; return where the next begins, empty at the end."""
        page = self._leases.list_subtree(transaction, "", after, _PAGE)
        for lease_id in page:
            record = self._leases.find(transaction, lease_id)
            if record is not None and self._tokens.find_row(transaction, record.token_key) is None:
                self._leases.delete(transaction, lease_id)
        return page[-1] if page else ""

    # -- irrevocable leases -------------------------------------------------------------------------------------------

    def _iterate_irrevocable(self, transaction: Transaction) -> Iterator[tuple[str, LeaseRecord]]:
        after = ""
        while page := self._leases.list_subtree(transaction, "", after, _PAGE):
            for lease_id in page:
                record = self._leases.find(transaction, lease_id)
                if record is not None and record.irrevocable:
                    yield lease_id, record
            after = page[-1]

    def _find_accessor(self, transaction: Transaction, lease_id: str) -> str:
        mount = self._mounts.table(transaction).router.find(lease_id)
        return "" if mount is None else mount.accessor

    def count(self, context: SystemContext, args: CountArgs) -> Response:
        """Count irrevocable leases, in all and by mount."""
        if args.type != _IRREVOCABLE:
            raise NotFound
        found = self._iterate_irrevocable(context.transaction)
        counts = Counter(self._find_accessor(context.transaction, lease_id) for lease_id, _ in found)
        return Response(data={"lease_count": counts.total(), "counts": dict(counts)})

    def list_irrevocable(self, context: SystemContext, args: IrrevocableArgs) -> Response:
        """List irrevocable leases with what went wrong."""
        if args.type != _IRREVOCABLE:
            raise NotFound
        limit = _read_limit(args.limit)
        found: list[dict[str, Any]] = []
        for lease_id, record in self._iterate_irrevocable(context.transaction):
            if len(found) == limit:
                break
            mount_id = self._find_accessor(context.transaction, lease_id)
            expire_time = format_rfc3339_nano(int(record.expires_at * 1e9))
            found.append({"lease_id": lease_id, "mount_id": mount_id, "error": record.last_error, "expire_time": expire_time})
        return Response(data={"lease_count": len(found), "leases": found})


LIMIT_DEFAULT = 10_000  # what Vault lists where nobody names a limit


def _read_limit(text: str) -> int | None:
    if text == "none":
        return None
    try:
        limit = parse_int(text) if text else LIMIT_DEFAULT
    except ValueError:
        limit = 0
    if limit < 1:
        raise InvalidRequest("1 error occurred:\n\t* limit must be 'none' or a positive integer\n\n")
    return limit


def _require_id(args: LeaseArgs) -> str:
    lease_id = args.url_lease_id or args.lease_id
    if not isinstance(lease_id, str):
        raise InvalidRequest("invalid lease ID")
    if not lease_id:
        raise InvalidRequest("lease_id must be specified")
    return lease_id
