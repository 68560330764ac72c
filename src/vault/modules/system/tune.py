"""`sys/mounts/<path>/tune` and `sys/auth/<path>/tune`: changing a mount that is in use.

Raising the version option of a key-value mount from 1 to 2 moves its secrets to the versioned layout. The change of the option
and the mark that the move has begun are one transaction; the move itself is many, and any process may go on with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from vault.clock import Clock
from vault.errors import InvalidRequest
from vault.failures import KINDS
from vault.logical.args import BOOL, LIST, MAP, PAIRS, STRING, Kind, Number, arg, parse_string
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.mount import Mount, MountConfig
from vault.logical.response import Response, Shape
from vault.modules.system.mount_config import (
    LISTS,
    check_token_type,
    check_visibility,
    describe_tuning,
    parse_lease_time,
    parse_lockout,
    with_lease_times,
)
from vault.modules.system.mounts import AUTH, MountPath, notify
from vault.mounts import BUILT_IN, KV_KINDS, Mounts
from vault.revocation import Runner
from vault.storage.transaction import Transaction
from vault.storage.view import View

_TOKEN_MOUNT = "auth/token/"  # noqa: S105 - a path
_UPGRADED = "2"
# The reference names the new version "0" here; clients show the sentence and do not read it.
_UPGRADING = (
    "Upgrading mount from version {} to version 0. This mount will be unavailable for a brief period and will resume service shortly."
)
# What may be changed of the built-in mounts.
_FREE = frozenset({"path", "force_no_cache", "audit_non_hmac_request_keys", "audit_non_hmac_response_keys"})


class Upgrade(Protocol):
    """How the key-value engine moves its secrets to the versioned layout."""

    def begin_upgrade(self, storage: View) -> None:
        """Mark the mount as moving."""

    def upgrade(self, storage: View, now_ns: int) -> bool:
        """Move some secrets; return whether there are more."""


def _parse_time(value: Any) -> str:
    if isinstance(value, bool | float | Number):
        raise ValueError("expected a duration like 90s or 1h30m")  # noqa: TRY004 - the caller turns every ValueError into one message
    return parse_string(value)


TIME: Kind[str] = Kind("duration (sec)", {"type": "string", "format": "seconds"}, _parse_time)


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneArgs(MountPath):
    """What is to change; absent fields stay as they are."""

    default_lease_ttl: str | None = arg(TIME, "Lease time where a request names none; `system`: the server's.", default=None)
    max_lease_ttl: str | None = arg(TIME, "Longest lease time; `system`: the server's.", default=None)
    description: str | None = arg(STRING, "What it is for, in words for people.", default=None)
    listing_visibility: str | None = arg(STRING, "Who sees the mount in listings: unauth or hidden.", default=None)
    force_no_cache: bool | None = arg(BOOL, "Do not cache.", default=None)
    token_type: str | None = arg(STRING, "Kind of token that an auth method issues.", default=None)
    options: Mapping[str, str] | None = arg(PAIRS, "Options of the backend; version 2 upgrades kv.", default=None)
    audit_non_hmac_request_keys: tuple[str, ...] | None = arg(LIST, "Fields of requests that are audited in the clear.", default=None)
    audit_non_hmac_response_keys: tuple[str, ...] | None = arg(LIST, "Fields of answers that are audited in the clear.", default=None)
    passthrough_request_headers: tuple[str, ...] | None = arg(LIST, "Headers that the backend gets to see.", default=None)
    allowed_response_headers: tuple[str, ...] | None = arg(LIST, "Headers that the backend may set.", default=None)
    plugin_version: str | None = arg(STRING, "Not supported: every backend is built in.", default=None)
    user_lockout_config: Mapping[str, Any] | None = arg(MAP, "When users are locked out.", default=None)


class TunePaths:
    """Handlers of settings."""

    def __init__(self, mounts: Mounts, store: Runner, clock: Clock, upgrade: Upgrade) -> None:
        self._mounts = mounts
        self._store = store
        self._clock = clock
        self._upgrade = upgrade

    def paths(self) -> tuple[Path, ...]:
        """Return the table; it stands before the rows of the mounts themselves."""
        return (
            path(
                "mounts/{path*}/tune",
                help="Read and change the settings of a mount.",
                shape=Shape.DOUBLED,
                read=Endpoint(handler=self.read_mount, args=MountPath),
                update=Endpoint(handler=self.tune_mount, args=TuneArgs),
            ),
            path(
                "auth/{path*}/tune",
                help="Read and change the settings of an auth method.",
                shape=Shape.DOUBLED,
                read=Endpoint(handler=self.read_method, args=MountPath, sudo=True),
                update=Endpoint(handler=self.tune_method, args=TuneArgs, sudo=True),
            ),
        )

    def read_mount(self, context: SystemContext, args: MountPath) -> Response:
        """Answer the settings as they take effect."""
        return self._read(context, f"{args.path.strip('/')}/")

    def read_method(self, context: SystemContext, args: MountPath) -> Response:
        """Answer the settings of an auth method as they take effect."""
        return self._read(context, f"{AUTH}{args.path.strip('/')}/")

    def _read(self, context: SystemContext, place: str) -> Response:
        mount = self._find(context, place)
        if mount is None:
            raise InvalidRequest(f'cannot fetch sysview for path "{place}"')
        return Response(data=describe_tuning(mount))

    def _find(self, context: SystemContext, place: str) -> Mount | None:
        mount = self._mounts.table(context.transaction).find(place)
        return None if mount is None or mount.tainted else mount

    def tune_mount(self, context: SystemContext, args: TuneArgs) -> Response | None:
        """Change settings."""
        return self._tune(context, f"{args.path.strip('/')}/", args)

    def tune_method(self, context: SystemContext, args: TuneArgs) -> Response | None:
        """Change settings of an auth method."""
        return self._tune(context, f"{AUTH}{args.path.strip('/')}/", args)

    def _tune(self, context: SystemContext, place: str, args: TuneArgs) -> Response | None:
        mount = self._find(context, place)
        if mount is None:
            raise InvalidRequest(f'tune of path "{place}" failed: no mount entry found')
        _check_allowed(mount, args)
        tuned = replace(mount, config=_change_config(mount, args))
        if args.description is not None:
            tuned = replace(tuned, description=args.description)
        if args.options:
            tuned = replace(tuned, options={**(mount.options or {}), **args.options})
        old_version, new_version = (_version(each) for each in (mount, tuned))
        _check_version(mount, args, old_version, new_version)
        self._mounts.change(context.transaction, place, tuned)
        if args.options:
            notify(self._mounts, context, tuned)
        return self._begin_upgrade(context, tuned, old_version) if old_version != new_version == _UPGRADED else None

    def _begin_upgrade(self, context: SystemContext, mount: Mount, old_version: str) -> Response:
        self._upgrade.begin_upgrade(View(context.transaction, mount.storage_prefix))
        context.after_commit.append(lambda: self.finish_upgrade(mount))
        return Response(warnings=(_UPGRADING.format(old_version),))

    def finish_upgrade(self, mount: Mount) -> None:
        """Move what is left in the unversioned layout. Any process may go on where another was killed."""
        while self._store.run(partial(self._move_some, mount)):
            pass

    def finish_all(self) -> None:
        """Finish the upgrades that somebody began and did not end."""
        for mount in self._store.run(self._mounts.table).mounts:
            if mount.kind in KV_KINDS and _version(mount) == "2":
                self.finish_upgrade(mount)

    def _move_some(self, mount: Mount, transaction: Transaction) -> bool:
        return self._upgrade.upgrade(View(transaction, mount.storage_prefix), self._clock.now_ns())


def _list_given(args: TuneArgs) -> tuple[str, ...]:
    return tuple(name for name in TuneArgs.__dataclass_fields__ if getattr(args, name) is not None)


def _check_allowed(mount: Mount, args: TuneArgs) -> None:
    """Refuse fields that this mount has no use for."""
    if mount.path in BUILT_IN and mount.path != _TOKEN_MOUNT:
        for name in _list_given(args):
            if name not in _FREE:
                raise InvalidRequest(f"cannot tune parameter {name} of {mount.path}")
    if args.token_type is not None and not mount.is_auth:
        raise InvalidRequest("'token_type' can only be modified on auth mounts")
    if args.token_type is not None and mount.path == _TOKEN_MOUNT:
        raise InvalidRequest("'token_type' cannot be set for 'token' or 'ns_token' auth mounts")
    if args.user_lockout_config is not None and (mount.kind not in KINDS or not mount.is_auth):
        raise InvalidRequest(f'tuning of user lockout configuration for auth type "{mount.kind}" not allowed')
    if args.plugin_version:
        raise InvalidRequest(f"cannot select non-builtin version of {'auth' if mount.is_auth else 'secrets'} plugin {mount.kind}")


def _read_time(value: str | None) -> int | None:
    return None if value is None or value == "" else parse_lease_time(value)


def _change_config(mount: Mount, args: TuneArgs) -> MountConfig:
    config = with_lease_times(mount.config, _read_time(args.default_lease_ttl), _read_time(args.max_lease_ttl))
    given: dict[str, Any] = {name: value for name in (*LISTS, "force_no_cache") if (value := getattr(args, name)) is not None}
    if args.listing_visibility is not None:
        given["listing_visibility"] = check_visibility(args.listing_visibility)
    if args.token_type is not None:
        given["token_type"] = check_token_type(args.token_type)
    if args.user_lockout_config:
        given["user_lockout_config"] = {**mount.config.user_lockout_config, **parse_lockout(args.user_lockout_config)}
    return replace(config, **given)


def _version(mount: Mount) -> str:
    return (mount.options or {}).get("version") or "0"


def _check_version(mount: Mount, args: TuneArgs, old: str, new: str) -> None:
    if mount.kind not in KV_KINDS or "version" not in (args.options or {}):
        return
    if new not in {"1", _UPGRADED}:
        raise InvalidRequest(f"invalid version provided: {new}")
    if old == _UPGRADED != new:
        raise InvalidRequest(f"cannot downgrade mount from version {old}")
