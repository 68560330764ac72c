"""`sys/mounts` and `sys/auth`: the table of mounts, a mount's beginning and its end.

The end takes several transactions. The first one closes the mount for everybody; the rest empties it, and is gone on with by the
background work should this process die.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vault.errors import InvalidRequest, UnsupportedPath
from vault.logical.args import BOOL, MAP, PAIRS, STRING, Kind, arg, parse_map
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import Context, SystemContext
from vault.logical.mount import Mount
from vault.logical.response import Response, Shape
from vault.modules.system.mount_config import describe_mount, parse_config
from vault.mounts import GENERIC, RESERVED, Mounts, parse_mount_path
from vault.revocation import Revoker
from vault.storage.view import View

AUTH = "auth/"
_UNMOUNTABLE = frozenset({"system", "token", "ns_token", "cubbyhole", "identity"})


def _parse_config_map(value: Any) -> Mapping[str, Any]:
    return {} if value == [] else parse_map(value)


CONFIG: Kind[Mapping[str, Any]] = Kind(MAP.name, MAP.schema, _parse_config_map)


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPath:
    """The mount that the path names."""

    path: str = arg(STRING, "Where it is mounted.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableArgs(MountPath):
    """A new mount."""

    type: str = arg(STRING, "The kind of backend, such as kv.", default="")
    description: str = arg(STRING, "What it is for, in words for people.", default="")
    config: Mapping[str, Any] = arg(CONFIG, "Settings: default_lease_ttl, max_lease_ttl, listing_visibility and others.", default=None)
    options: Mapping[str, str] = arg(PAIRS, "Options of the backend, such as the version of kv.", default=None)
    local: bool = arg(BOOL, "Do not replicate.", default=False)
    seal_wrap: bool = arg(BOOL, "Wrap with the seal as well.", default=False)
    external_entropy_access: bool = arg(BOOL, "May use entropy from outside.", default=False)
    plugin_name: str = arg(STRING, "The kind of backend, where type is `plugin`.", default="")
    plugin_version: str = arg(STRING, "Not supported: every backend is built in.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Family:
    """What tells secrets engines from auth methods."""

    prefix: str
    is_auth: bool
    missing: str

    def require_name(self, name: str) -> str:
        """Return the mount path that a name in the URL stands for."""
        if not name.strip("/"):
            raise UnsupportedPath
        return f"{self.prefix}{name.strip('/')}/"

    def shorten(self, mount: Mount) -> str:
        """Return the path of a mount as this family lists it."""
        return mount.path.removeprefix(self.prefix)


_SECRETS = _Family(prefix="", is_auth=False, missing="No secret engine mount at {}/")
_AUTH = _Family(prefix=AUTH, is_auth=True, missing="No auth engine at {}/")


class MountPaths:
    """Handlers of both families."""

    def __init__(self, mounts: Mounts, revoker: Revoker) -> None:
        self._mounts = mounts
        self._revoker = revoker

    def paths(self) -> tuple[Path, ...]:
        """Return the table; the rows of `tune` stand before it."""
        return (
            path("mounts", help="List the secrets engines.", shape=Shape.DOUBLED, read=Endpoint(handler=self.list_engines)),
            path(
                "mounts/{path*}",
                help="Mount, describe and unmount a secrets engine.",
                shape=Shape.DOUBLED,
                read=Endpoint(handler=self.read_engine, summary="Describe the secrets engine.", args=MountPath),
                update=Endpoint(handler=self.mount, summary="Mount a secrets engine.", args=EnableArgs),
                delete=Endpoint(handler=self.unmount, summary="Unmount the secrets engine and destroy its data.", args=MountPath),
            ),
            path("auth", help="List the auth methods.", shape=Shape.DOUBLED, read=Endpoint(handler=self.list_methods)),
            path(
                "auth/{path*}",
                help="Enable, describe and disable an auth method.",
                shape=Shape.DOUBLED,
                read=Endpoint(handler=self.read_method, summary="Describe the auth method.", sudo=True, args=MountPath),
                update=Endpoint(handler=self.enable, summary="Enable an auth method.", sudo=True, args=EnableArgs),
                delete=Endpoint(handler=self.disable, summary="Disable the auth method and revoke its tokens.", sudo=True, args=MountPath),
            ),
        )

    # -- reading ------------------------------------------------------------------------------------------------------

    def _list(self, context: SystemContext, family: _Family) -> Response:
        found = (mount for mount in self._mounts.table(context.transaction).mounts if mount.is_auth == family.is_auth and not mount.tainted)
        return Response(data={family.shorten(mount): describe_mount(mount) for mount in found})

    def _read(self, context: SystemContext, name: str, family: _Family) -> Response:
        mount = self._mounts.table(context.transaction).find(family.require_name(name))
        if mount is None or mount.tainted:
            raise InvalidRequest(family.missing.format(name.strip("/")))
        return Response(data=describe_mount(mount))

    def list_engines(self, context: SystemContext, _: Any) -> Response:
        """List the secrets engines."""
        return self._list(context, _SECRETS)

    def read_engine(self, context: SystemContext, args: MountPath) -> Response:
        """Describe one secrets engine."""
        return self._read(context, args.path, _SECRETS)

    def list_methods(self, context: SystemContext, _: Any) -> Response:
        """List the auth methods."""
        return self._list(context, _AUTH)

    def read_method(self, context: SystemContext, args: MountPath) -> Response:
        """Describe one auth method."""
        return self._read(context, args.path, _AUTH)

    # -- mounting -----------------------------------------------------------------------------------------------------

    def mount(self, context: SystemContext, args: EnableArgs) -> None:
        """Mount a secrets engine."""
        place, kind = _SECRETS.require_name(args.path), _read_kind(args)
        if place.startswith(RESERVED):
            raise InvalidRequest(f'cannot mount "{place}"')
        if kind in _UNMOUNTABLE:
            raise InvalidRequest(f'mount type of "{kind}" is not mountable')
        if kind == GENERIC and (args.options or {}).get("version"):
            raise InvalidRequest('secrets engine "generic" does not allow setting a version')
        self._add(context, args, parse_mount_path(place), kind)

    def enable(self, context: SystemContext, args: EnableArgs) -> None:
        """Enable an auth method."""
        kind = _read_kind(args)
        if kind in {"token", "ns_token"}:
            raise InvalidRequest("token credential backend cannot be instantiated")
        self._add(context, args, parse_mount_path(args.path, prefix=AUTH), kind)

    def _add(self, context: SystemContext, args: EnableArgs, place: str, kind: str) -> None:
        fields = {
            "options": dict(args.options or {}),
            "description": args.description,
            "local": args.local,
            "seal_wrap": args.seal_wrap,
            "external_entropy_access": args.external_entropy_access,
        }
        try:
            mount = self._mounts.new(place, kind, **fields)
        except InvalidRequest:
            raise InvalidRequest(f"plugin not found in the catalog: {kind}") from None
        plugin = {"plugin_version": args.plugin_version} if args.plugin_version else {}
        config = parse_config({**(args.config or {}), **plugin}, is_auth=mount.is_auth, kind=kind, lifetimes=self._mounts.lifetimes)
        mount = replace(mount, config=config)
        self._mounts.add(context.transaction, mount)
        self._check_version(mount)
        notify(self._mounts, context, mount)

    def _check_version(self, mount: Mount) -> None:
        versions = self._mounts.registry.backends["auth" if mount.is_auth else "secret", mount.kind]
        version = (mount.options or {}).get("version", "")
        if len(versions) > 1 and version not in versions:
            raise InvalidRequest(f"invalid version provided: {version}")

    # -- unmounting ---------------------------------------------------------------------------------------------------

    def unmount(self, context: SystemContext, args: MountPath) -> None:
        """Unmount a secrets engine and destroy its data."""
        place = _SECRETS.require_name(args.path)
        if place.startswith(RESERVED):
            raise InvalidRequest(f'cannot unmount "{place}"')
        self._remove(context, place)

    def disable(self, context: SystemContext, args: MountPath) -> None:
        """Disable an auth method and revoke its tokens."""
        place = _AUTH.require_name(args.path)
        if place == "auth/token/":
            raise InvalidRequest("token credential backend cannot be disabled")
        self._remove(context, place)

    def _remove(self, context: SystemContext, place: str) -> None:
        if self._mounts.table(context.transaction).find(place) is None:
            return
        closed = self._mounts.taint(context.transaction, place)
        context.after_commit.append(lambda: self._revoker.remove_mount(closed))


def _read_kind(args: EnableArgs) -> str:
    kind = args.plugin_name if args.type == "plugin" else args.type
    if not kind:
        raise InvalidRequest("backend type must be specified as a string")
    return kind


def notify(mounts: Mounts, context: SystemContext, mount: Mount) -> None:
    """Tell a backend that its mount was made, or that its options have changed."""
    backend = mounts.registry.find(mount)
    if backend.on_mount is not None:
        storage = View(context.transaction, mount.storage_prefix)
        backend.on_mount(
            Context(
                request=context.request, mount=mount, path="", storage=storage, token=context.token, now=context.now, now_ns=context.now_ns
            )
        )
