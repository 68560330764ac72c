"""`sys/locked-users`: who is locked out, and letting them in again. Names count whether somebody has them or not, so both are here."""

from dataclasses import dataclass
from typing import Any, Protocol

from vault.logical.args import STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.mount import Mount
from vault.logical.realm import ROOT_REALM
from vault.logical.response import Response
from vault.mounts import Mounts
from vault.storage.transaction import Transaction


class Lockout(Protocol):
    """What is needed of the counter."""

    def list_locked(self, transaction: Transaction, mount: Mount) -> tuple[str, ...]:
        """Return the locked names of a mount."""

    def unlock(self, transaction: Transaction, mount: Mount, name: str) -> None:
        """Forget the failures of a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedArgs:
    """Of which mount."""

    mount_accessor: str = arg(STRING, "Accessor of the auth method; nothing for all of them.", default="", query=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class UnlockArgs:
    """Whose lock ends."""

    mount_accessor: str = arg(STRING, "Accessor of the auth method.")
    alias_identifier: str = arg(STRING, "The name that is locked.")


class LockedUsers:
    """Handlers."""

    def __init__(self, lockout: Lockout, mounts: Mounts) -> None:
        self._lockout = lockout
        self._mounts = mounts

    def list_locked(self, context: SystemContext, args: LockedArgs) -> Response:
        """Answer the locked names by mount."""
        found = {mount.accessor: self._lockout.list_locked(context.transaction, mount) for mount in self._find(context, args)}
        shown = [_describe(accessor, names) for accessor, names in found.items() if names]
        if args.mount_accessor and not shown:
            shown = [{"mount_accessor": args.mount_accessor, "counts": 0, "alias_identifiers": None}]
        total = sum(len(names) for names in found.values())
        root = {"namespace_id": ROOT_REALM.id, "namespace_path": ROOT_REALM.path, "counts": total, "mount_accessors": shown}
        return Response(data={"by_namespace": [root], "total": total})

    def _find(self, context: SystemContext, args: LockedArgs) -> tuple[Mount, ...]:
        mounts = self._mounts.table(context.transaction).mounts
        return tuple(mount for mount in mounts if mount.is_auth and args.mount_accessor in ("", mount.accessor))

    def unlock(self, context: SystemContext, args: UnlockArgs) -> None:
        """Let somebody try again; who is not locked is no error."""
        for mount in self._find(context, LockedArgs(mount_accessor=args.mount_accessor)):
            self._lockout.unlock(context.transaction, mount, args.alias_identifier)


def _describe(accessor: str, names: tuple[str, ...]) -> dict[str, Any]:
    return {"mount_accessor": accessor, "counts": len(names), "alias_identifiers": list(names)}


def locked_user_paths(lockout: Lockout, mounts: Mounts) -> tuple[Path, ...]:
    """Return the table."""
    users = LockedUsers(lockout, mounts)
    return (
        path(
            "locked-users",
            help="List the users that are locked out after too many failed logins.",
            read=Endpoint(handler=users.list_locked, args=LockedArgs),
        ),
        path(
            "locked-users/{mount_accessor}/unlock/{alias_identifier}",
            help="End the lock of a user.",
            update=Endpoint(handler=users.unlock, args=UnlockArgs),
        ),
    )
