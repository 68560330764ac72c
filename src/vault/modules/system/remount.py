"""`sys/remount`: moving a mount to another path.

The data does not move, it lies under the mount's uuid: the move is one change of the mount table. What follows is the revocation of
the leases that bear the old path. The row of the migration tells every worker how far it is, and a process that finds one
half-done may finish it.
"""

import uuid
from dataclasses import dataclass, replace
from functools import partial

import msgspec

from vault.crypto import random
from vault.errors import InvalidRequest, NotFound
from vault.logical.args import STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.modules.system.mounts import AUTH
from vault.mounts import RESERVED, Mounts, parse_mount_path
from vault.revocation import Revoker, Runner
from vault.storage.transaction import Transaction

PREFIX = "sys/remount/"
IN_PROGRESS, SUCCESS = "in-progress", "success"
_TOKEN_MOUNT = "auth/token/"  # noqa: S105 - a path
_PAGE = 100
_QUEUED = "Mount move has been queued. Progress will be reported in Health Vault's server log, tagged with the returned migration_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Migration:
    """A move, as stored."""

    source_mount: str
    target_mount: str
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemountArgs:
    """From where to where."""

    source: str = arg(STRING, "The mount's present path.", default="", wire="from")
    to: str = arg(STRING, "Its new path.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationId:
    """The move that the path names."""

    migration_id: str = arg(STRING, "What sys/remount answered.")


def _decode(value: bytes) -> Migration:
    return msgspec.json.decode(value, type=Migration)


class RemountPaths:
    """Handlers of moves."""

    def __init__(self, mounts: Mounts, revoker: Revoker, store: Runner) -> None:
        self._mounts = mounts
        self._revoker = revoker
        self._store = store

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "remount",
                help="Move a mount to another path.",
                shape=Shape.DOUBLED,
                update=Endpoint(handler=self.remount, args=RemountArgs, sudo=True),
            ),
            path(
                "remount/status/{migration_id}", help="Tell how far a move is.", read=Endpoint(handler=self.read_status, args=MigrationId)
            ),
        )

    def remount(self, context: SystemContext, args: RemountArgs) -> Response:
        """Move a mount; its leases are revoked before the answer."""
        source, target = _read_move(args)
        table = self._mounts.table(context.transaction)
        conflict = table.router.find_conflict(target)
        if conflict is not None:
            raise InvalidRequest(f'path already in use at "{conflict.path}"')
        mount = self._mounts.require(context.transaction, source)
        if mount.tainted:
            raise InvalidRequest(f'no matching mount at "{source}"')
        prefix = AUTH if mount.is_auth else ""
        moved = replace(mount, path=parse_mount_path(target.removeprefix(prefix), prefix=prefix))
        self._mounts.change(context.transaction, source, moved)
        migration_id = str(uuid.UUID(bytes=random.random_bytes(16), version=4))
        _save(context.transaction, migration_id, Migration(source_mount=source, target_mount=target, status=IN_PROGRESS))
        context.after_commit.append(lambda: self._finish(migration_id, source, target))
        return Response(data={"migration_id": migration_id}, warnings=(_QUEUED,))

    def _finish(self, migration_id: str, source: str, target: str) -> None:
        self._revoker.revoke_prefix(source, force=True)
        done = Migration(source_mount=source, target_mount=target, status=SUCCESS)
        self._store.run(lambda transaction: _save(transaction, migration_id, done))

    def finish_all(self) -> None:
        """Finish the moves that somebody began and did not end."""
        after = ""
        while page := self._store.run(partial(_list_page, after)):
            for migration_id, found in page:
                if found is not None and found.status == IN_PROGRESS:
                    self._finish(migration_id, found.source_mount, found.target_mount)
            after = page[-1][0]

    def read_status(self, context: SystemContext, args: MigrationId) -> Response:
        """Tell how far a move is."""
        found = _find(context.transaction, args.migration_id)
        if found is None:
            raise NotFound
        info = {"source_mount": found.source_mount, "target_mount": found.target_mount, "status": found.status}
        return Response(data={"migration_id": args.migration_id, "migration_info": info})


def _find(transaction: Transaction, migration_id: str) -> Migration | None:
    entry = transaction.get(PREFIX + migration_id)
    return None if entry is None else entry.decode(_decode)


def _list_page(after: str, transaction: Transaction) -> tuple[tuple[str, Migration | None], ...]:
    return tuple((migration_id, _find(transaction, migration_id)) for migration_id in transaction.list_subtree(PREFIX, after, _PAGE))


def _save(transaction: Transaction, migration_id: str, migration: Migration) -> None:
    transaction.put(PREFIX + migration_id, msgspec.json.encode(migration))


def _read_move(args: RemountArgs) -> tuple[str, str]:
    """Return both paths; raises InvalidRequest where one of them may not be moved from or to."""
    if not args.source.strip("/") or not args.to.strip("/"):
        raise InvalidRequest("both 'from' and 'to' path must be specified as a string")
    source, target = f"{args.source.strip('/')}/", f"{args.to.strip('/')}/"
    if source.startswith(AUTH):
        if not target.startswith(AUTH):
            raise InvalidRequest(f'cannot remount auth mount to non-auth mount "{target}"')
        if source.startswith(_TOKEN_MOUNT):
            raise InvalidRequest(f'cannot remount "{source}"')
        if target == AUTH or target.startswith(_TOKEN_MOUNT):
            raise InvalidRequest(f"cannot remount to destination {target}")
        return source, target
    if source.startswith(RESERVED):
        raise InvalidRequest(f'cannot remount "{source}"')
    if target.startswith(RESERVED):
        raise InvalidRequest(f"cannot remount to destination {target}")
    return source, target
