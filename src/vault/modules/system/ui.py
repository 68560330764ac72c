"""`sys/internal/ui/*`: what user interfaces and command-line clients ask first: which mounts there are, and what the caller may do."""

from dataclasses import dataclass
from typing import Any

from vault.errors import PermissionDenied
from vault.logical.args import STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.mount import Mount
from vault.logical.response import Response
from vault.modules.policy.pattern import has_segment_wildcard
from vault.modules.system.mount_config import describe_mount
from vault.mounts import Mounts

_AUTH = "auth/"


@dataclass(frozen=True, slots=True, kw_only=True)
class UiMountArgs:
    """Some path below a mount."""

    path: str = arg(STRING, "A path below the mount.")


class UiPaths:
    """Handlers of what clients ask first."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts

    def paths(self) -> tuple[Path, ...]:
        """Return the table. Public rows look at the token themselves: without one there is still something to see, or a 403."""
        return (
            path(
                "internal/ui/mounts", help="List the mounts that the caller may see.", read=Endpoint(handler=self.list_mounts, public=True)
            ),
            path(
                "internal/ui/mounts/{path*}",
                help="Describe the mount of a path.",
                read=Endpoint(handler=self.read_mount, args=UiMountArgs, public=True),
            ),
            path(
                "internal/ui/namespaces", help="List namespaces; there are none.", read=Endpoint(handler=self.list_namespaces, public=True)
            ),
            path("internal/ui/resultant-acl", help="Tell what the policies of the caller come to.", read=Endpoint(handler=self.read_acl)),
        )

    def list_mounts(self, context: SystemContext, _: Any) -> Response:
        """List mounts: those open to everybody in short, those that the caller may touch in full."""
        _refuse_unknown(context)
        data: dict[str, dict[str, Any]] = {"auth": {}, "secret": {}}
        for mount in self._mounts.table(context.transaction).mounts:
            if not mount.tainted and _sees(context, mount):
                family = "auth" if mount.is_auth else "secret"
                data[family][mount.path.removeprefix(_AUTH)] = _shorten(mount) if context.token is None else describe_mount(mount)
        return Response(data=data)

    def read_mount(self, context: SystemContext, args: UiMountArgs) -> Response:
        """Describe the mount of a path; no such mount and no right to it are the same answer."""
        if context.token is None:
            raise PermissionDenied
        place = args.path.rstrip("/") + "/"
        mount = self._mounts.table(context.transaction).router.find(place)
        if mount is None or mount.tainted or not context.acl.grants_below(mount.path, context.now):
            raise PermissionDenied(
                f'preflight capability check returned 403, please ensure client\'s policies grant access to path "{place}"'
            )
        return Response(data=describe_mount(mount) | {"path": mount.path.removeprefix(_AUTH)})

    def list_namespaces(self, context: SystemContext, _: Any) -> Response:
        """Answer that there are none."""
        if context.token is None:
            raise PermissionDenied
        return Response(data={})

    def read_acl(self, context: SystemContext, _: Any) -> Response:
        """Answer patterns and capabilities. Patterns with `+` have no place in this old form."""
        if context.acl.is_root:
            return Response(data={"root": True})
        exact: dict[str, Any] = {}
        prefixes: dict[str, Any] = {}
        for pattern, capabilities in context.acl.list_patterns(context.now):
            if not has_segment_wildcard(pattern):
                found = prefixes if pattern.endswith("*") else exact
                found[pattern.removesuffix("*")] = {"capabilities": list(capabilities)}
        return Response(data={"root": False, "exact_paths": exact, "glob_paths": prefixes})


def _refuse_unknown(context: SystemContext) -> None:
    """Refuse a token that is no good; no token at all is fine."""
    if context.request.token and context.token is None:
        raise PermissionDenied


def _sees(context: SystemContext, mount: Mount) -> bool:
    if mount.config.listing_visibility == "unauth":
        return True
    return context.token is not None and context.acl.grants_below(mount.path, context.now)


def _shorten(mount: Mount) -> dict[str, Any]:
    return {"type": mount.kind, "description": mount.description, "options": dict(mount.options) if mount.options is not None else None}
