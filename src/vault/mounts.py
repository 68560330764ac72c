"""The persisted mount table: one row, so that two concurrent changes cannot both pass their conflict checks.

A mount is removed in steps: it is tainted (no request reaches it any more), emptied, then forgotten. Whoever finds a tainted
mount may go on with the work, so a process killed half-way loses nothing.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import msgspec

from vault.crypto import random
from vault.errors import InvalidRequest, UnsupportedPath
from vault.logical.backend import Backend
from vault.logical.mount import Lifetimes, Mount, MountConfig
from vault.router import Router
from vault.storage.transaction import Transaction

PATH = "core/mounts"
RESERVED = ("sys/", "auth/", "cubbyhole/", "identity/", "audit/")
# Where the built-in backends live; they can be neither removed nor moved.
BUILT_IN = ("sys/", "cubbyhole/", "identity/", "auth/token/")
GENERIC = "generic"  # kv by the name that it had before it had versions; it keeps that name, and begins without
KV_KINDS = frozenset({"kv", GENERIC})
_ALIASES: Mapping[str, tuple[str, Mapping[str, str]]] = {"kv-v1": ("kv", {"version": "1"}), "kv-v2": ("kv", {"version": "2"})}
_NAME_MAX = 512
_COLUMNS = tuple(field.name for field in fields(Mount) if field.name != "lifetimes")


@dataclass(frozen=True, slots=True)
class MountTable:
    """All mounts, as one immutable value with its router."""

    mounts: tuple[Mount, ...]
    router: Router

    def find(self, path: str) -> Mount | None:
        """Return the mount at exactly this path."""
        return self.router.mounts.get(path)


class Mounts:
    """Reads and changes the mount table within a transaction."""

    def __init__(self, registry: "Registry", lifetimes: Lifetimes = Lifetimes()) -> None:  # noqa: B008 - immutable
        self.registry = registry
        self.lifetimes = lifetimes
        self._decode = self._decode_table  # one object: an entry remembers what it was decoded by
        # What is kept by a mount's path elsewhere: told of its new path when it moves, and of none when it ends.
        self.on_move: list[Callable[[Transaction, str, str], None]] = []

    def _decode_table(self, value: bytes) -> MountTable:
        rows = msgspec.json.decode(value, type=tuple[Mount, ...])
        mounts = tuple(replace(mount, lifetimes=self.lifetimes) for mount in rows)
        return MountTable(mounts, Router.build(mounts))

    def table(self, transaction: Transaction) -> MountTable:
        """Return the current table; parsed once per change and worker."""
        entry = transaction.get(PATH)
        return MountTable((), Router({})) if entry is None else entry.decode(self._decode)

    def require(self, transaction: Transaction, path: str) -> Mount:
        """Return the mount at exactly this path; raises InvalidRequest with Vault's words."""
        mount = self.table(transaction).find(path)
        if mount is None:
            raise InvalidRequest(f'no matching mount at "{path}"')
        return mount

    def hold(self, transaction: Transaction, mount: Mount) -> None:
        """Let a transaction commit only while a mount is open where it was found; raises UnsupportedPath.

        A request may have waited since then. Tokens that it made for a mount that is gone would be missed by the revocation.
        """
        found = self.table(transaction).find(mount.path)
        if found is None or found.uuid != mount.uuid or found.tainted:
            raise UnsupportedPath
        transaction.guard(PATH)

    def add(self, transaction: Transaction, mount: Mount) -> None:
        """Add a mount whose path neither exists, shadows nor nests."""
        table = self.table(transaction)
        conflict = table.router.find_conflict(mount.path)
        if conflict is not None:
            raise InvalidRequest(f"path is already in use at {conflict.path}")
        self._save(transaction, (*table.mounts, mount))

    def change(self, transaction: Transaction, path: str, changed: Mount) -> None:
        """Replace the mount at `path`, which may also move it to another free place."""
        table = self.table(transaction)
        rest = tuple(mount for mount in table.mounts if mount.path != path)
        conflict = Router.build(rest).find_conflict(changed.path)
        if conflict is not None:
            raise InvalidRequest(f"path is already in use at {conflict.path}")
        self._save(transaction, tuple(changed if mount.path == path else mount for mount in table.mounts))
        if changed.path != path:
            self._tell_move(transaction, path, changed.path)

    def taint(self, transaction: Transaction, path: str) -> Mount:
        """Close a mount to requests, as the first step of removing it."""
        mount = self.require(transaction, path)
        if path in BUILT_IN:
            raise InvalidRequest(f'cannot unmount "{path}"')
        tainted = replace(mount, tainted=True)
        self.change(transaction, path, tainted)
        return tainted

    def forget(self, transaction: Transaction, mount: Mount) -> None:
        """Remove an emptied mount, as the last step."""
        table = self.table(transaction)
        self._save(transaction, tuple(other for other in table.mounts if other.uuid != mount.uuid))
        self._tell_move(transaction, mount.path, "")

    def _tell_move(self, transaction: Transaction, source: str, target: str) -> None:
        for follow in self.on_move:
            follow(transaction, source, target)

    def _save(self, transaction: Transaction, mounts: tuple[Mount, ...]) -> None:
        rows = [{name: getattr(mount, name) for name in _COLUMNS} for mount in mounts]
        transaction.put(PATH, msgspec.json.encode(rows))

    def new(self, path: str, kind: str, **settings: Any) -> Mount:
        """Return a fresh mount of a known kind at a checked path; not stored yet."""
        kind, options = _ALIASES.get(kind, (kind, None))
        if options is not None:
            settings["options"] = {**(settings.get("options") or {}), **options}
        family = "auth" if path.startswith("auth/") else "secret"
        if not self.registry.knows(family, kind):
            word = "auth" if family == "auth" else "secret"
            raise InvalidRequest(f'plugin not found in the catalog: no {word} backend of type "{kind}"')
        accessor = f"{'auth_' if family == 'auth' else ''}{kind}_{random.random_hex(4)}"
        unique = str(uuid.UUID(bytes=random.random_bytes(16), version=4))
        return Mount(path=path, kind=kind, uuid=unique, accessor=accessor, lifetimes=self.lifetimes, **settings)


@dataclass(frozen=True, slots=True)
class Registry:
    """The backends that exist: a literal table made in bootstrap. Keys are (family, kind), then the version option."""

    backends: Mapping[tuple[str, str], Mapping[str, Backend]]

    def knows(self, family: str, kind: str) -> bool:
        """Return whether a backend of that kind can be mounted."""
        return (family, kind) in self.backends

    def find(self, mount: Mount) -> Backend:
        """Return the backend that serves a mount."""
        versions = self.backends["auth" if mount.is_auth else "secret", mount.kind]
        version = (mount.options or {}).get("version", "")
        return versions.get(version) or versions[""]


def parse_mount_path(name: str, *, prefix: str = "") -> str:
    """Return the canonical mount path of a name: no reserved first segment, one slash at its end."""
    path = name.strip("/") + "/"
    if path == "/" or len(path) > _NAME_MAX or any(part in {"", ".", ".."} for part in path[:-1].split("/")):
        raise InvalidRequest("invalid mount path")
    if any(character in path for character in "*+{}%\\") or not path.isprintable():
        raise InvalidRequest("mount path contains a character that is not allowed")
    if not prefix and path.startswith(RESERVED):
        raise InvalidRequest(f'cannot mount in "{path}": the path is reserved')
    return prefix + path


def default_mounts(mounts: Mounts) -> tuple[Mount, ...]:
    """Return what a fresh server has."""
    return (
        mounts.new("sys/", "system", description="system endpoints used for control, policy and debugging", seal_wrap=True),
        mounts.new("identity/", "identity", description="identity store", config=MountConfig()),
        mounts.new("cubbyhole/", "cubbyhole", description="per-token private secret storage", local=True),
        mounts.new("auth/token/", "token", description="token based credentials"),
    )
