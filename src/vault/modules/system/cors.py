"""`sys/config/cors`: which web pages may use the API.

Stricter than the reference in what a row may say: no `*` together with credentials, no `null`, and nothing that is not an origin.
"""

import re
from dataclasses import dataclass
from typing import Any

from vault.cors import ANY, Cors, StoredCors
from vault.errors import InvalidRequest
from vault.logical.args import BOOL, LIST, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_ENTRIES_MAX = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class CorsArgs:
    """What is to hold."""

    allowed_origins: tuple[str, ...] = arg(LIST, "Origins of the pages, like https://app.example; * for all.", default=())
    allowed_headers: tuple[str, ...] = arg(LIST, "Headers that pages may send, besides the usual ones.", default=())
    allow_credentials: bool = arg(BOOL, "Whether pages may send credentials of the browser.", default=False)
    enable: bool = arg(BOOL, "Of no effect: a list of origins is in force as long as it exists.", default=True)


class CorsPaths:
    """Handlers of the list."""

    def __init__(self, cors: Cors) -> None:
        self._cors = cors

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "config/cors",
                help="Say which web pages may use the API.",
                shape=Shape.DOUBLED,
                read=Endpoint(handler=self.read, sudo=True),
                update=Endpoint(handler=self.write, args=CorsArgs, sudo=True),
                delete=Endpoint(handler=self.delete, sudo=True),
            ),
        )

    def read(self, context: SystemContext, _: Any) -> Response:
        """Answer what holds now."""
        sharing = self._cors.find(context.transaction)
        if not sharing.is_on:
            return Response(data={"enabled": False})
        return Response(
            data={
                "enabled": True,
                "allowed_origins": list(sharing.origins),
                "allowed_headers": list(sharing.headers),
                "allow_credentials": sharing.credentials,
            }
        )

    def write(self, context: SystemContext, args: CorsArgs) -> None:
        """Put a list in force."""
        if not args.allowed_origins:
            raise InvalidRequest("1 error occurred:\n\t* at least one origin or the wildcard must be provided\n\n")
        if ANY in args.allowed_origins and len(args.allowed_origins) > 1:
            raise InvalidRequest("1 error occurred:\n\t* to allow all origins the '*' must be the only value for allowed_origins\n\n")
        if ANY in (*args.allowed_origins, *self._cors.configured) and args.allow_credentials:
            raise InvalidRequest("credentials cannot be allowed to all origins")
        if len(args.allowed_origins) > _ENTRIES_MAX or len(args.allowed_headers) > _ENTRIES_MAX:
            raise InvalidRequest(f"more than {_ENTRIES_MAX} entries")
        if not all(origin == ANY or _ORIGIN.fullmatch(origin) for origin in args.allowed_origins):
            raise InvalidRequest("an origin is a scheme and a host, like https://app.example")
        if not all(_HEADER.fullmatch(header) for header in args.allowed_headers):
            raise InvalidRequest("a header is named by letters, digits and hyphens")
        stored = StoredCors(origins=args.allowed_origins, headers=args.allowed_headers, credentials=args.allow_credentials)
        self._cors.save(context.transaction, stored)

    def delete(self, context: SystemContext, _: Any) -> None:
        """Go back to what the configuration says."""
        self._cors.forget(context.transaction)
