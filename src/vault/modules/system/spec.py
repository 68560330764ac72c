"""`sys/internal/specs/openapi`: the description of everything that the caller can see, made from the path tables."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from vault.errors import PermissionDenied
from vault.logical import json
from vault.logical.args import BOOL, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.mount import Mount
from vault.logical.response import Response, Shape
from vault.mounts import BUILT_IN, Mounts
from vault.openapi import Section, build_document

_TAGS = {"system": "system", "identity": "identity"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpecArgs:
    """How to write the document."""

    generic_mount_paths: bool = arg(BOOL, "Write mount paths as variables.", default=False, query=True)
    context: str = arg(STRING, "Kept for clients that send it.", default="", query=True)


class SpecPaths:
    """The handler of the document."""

    def __init__(self, mounts: Mounts) -> None:
        self._mounts = mounts

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "internal/specs/openapi",
                help="Describe this server as an OpenAPI 3.0.2 document.",
                shape=Shape.BARE,
                read=Endpoint(handler=self.read, args=SpecArgs, public=True),
                update=Endpoint(handler=self.read, args=SpecArgs, public=True),
            ),
        )

    def read(self, context: SystemContext, args: SpecArgs) -> Response:
        """Answer the document of the mounts that the caller may touch; without a token: of none."""
        if context.request.token and context.token is None:
            raise PermissionDenied
        sections = self._list_sections(context, generic=args.generic_mount_paths)
        return Response(body=json.encode(build_document(sections)))

    def _list_sections(self, context: SystemContext, *, generic: bool) -> Iterator[Section]:
        if context.token is None:
            return
        for mount in self._mounts.table(context.transaction).mounts:
            unauth = mount.config.listing_visibility == "unauth"
            if not mount.tainted and (unauth or context.acl.grants_below(mount.path, context.now)):
                yield self._describe(mount, generic=generic and mount.path not in BUILT_IN)

    def _describe(self, mount: Mount, *, generic: bool) -> Section:
        rows = self._mounts.registry.find(mount).paths
        tag = _TAGS.get(mount.kind, "auth" if mount.is_auth else "secrets")
        if not generic:
            return Section(prefix=mount.path, tag=tag, rows=rows, variables={})
        place = mount.path.removeprefix("auth/").rstrip("/")
        variable = re.sub(r"\W", "_", place, flags=re.ASCII) + "_mount_path"
        return Section(prefix=f"{'auth/' if mount.is_auth else ''}{{{variable}}}/", tag=tag, rows=rows, variables={variable: place})
