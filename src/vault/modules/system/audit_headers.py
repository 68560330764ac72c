"""`sys/config/auditing/request-headers`: which headers of a request are put on record, and which of them hashed.

They are one row, which every worker looks at before each request. Surprise: what carries credentials is hashed whatever is asked for.
"""

import re
from dataclasses import dataclass
from typing import Any

from vault import limits
from vault.audit.record import ALWAYS_HASHED
from vault.errors import InvalidRequest
from vault.logical.args import BOOL, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.modules.system.audit_table import AuditTable

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}", re.ASCII)  # a token of RFC 9110


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderPath:
    """The header that the path names."""

    header: str = arg(STRING, "Name of the header, in any case.")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderArgs(HeaderPath):
    """How a header is put on record."""

    hmac: bool = arg(BOOL, "Put a keyed hash on record in place of the value.", default=False)


class AuditHeaderPaths:
    """Handlers of audited headers."""

    def __init__(self, table: AuditTable) -> None:
        self._table = table

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "config/auditing/request-headers",
                help="List the request headers that are put on record.",
                shape=Shape.DOUBLED,
                read=Endpoint(handler=self.list_headers, sudo=True),
            ),
            path(
                "config/auditing/request-headers/{header}",
                help="Put a request header on record, or no longer.",
                shape=Shape.DOUBLED,
                read=Endpoint(handler=self.read_header, args=HeaderPath, sudo=True),
                update=Endpoint(handler=self.write_header, args=HeaderArgs, sudo=True),
                delete=Endpoint(handler=self.delete_header, args=HeaderPath, sudo=True),
            ),
        )

    def list_headers(self, context: SystemContext, _: Any) -> Response:
        """List headers."""
        headers = self._table.read(context.transaction).headers
        return Response(data={"headers": {name: {"hmac": headers[name]} for name in sorted(headers)}})

    def read_header(self, context: SystemContext, args: HeaderPath) -> Response:
        """Read one header, answered under the name as it was asked for."""
        found = self._table.read(context.transaction).headers.get(args.header.lower())
        if found is None:
            raise InvalidRequest("Could not find header in config")
        return Response(data={args.header: {"hmac": found}})

    def write_header(self, context: SystemContext, args: HeaderArgs) -> None:
        """Put a header on record from the next request on."""
        if not _NAME.fullmatch(args.header):
            raise InvalidRequest("that cannot be the name of a header")
        name = args.header.lower()
        headers = {**self._table.read(context.transaction).headers, name: args.hmac or name in ALWAYS_HASHED}
        if len(headers) > limits.AUDITED_HEADERS_MAX:
            raise InvalidRequest(f"at most {limits.AUDITED_HEADERS_MAX} headers are put on record")
        self._table.save_headers(context.transaction, headers)

    def delete_header(self, context: SystemContext, args: HeaderPath) -> None:
        """Put a header on record no longer; an unknown one is no error."""
        headers = dict(self._table.read(context.transaction).headers)
        if headers.pop(args.header.lower(), None) is not None:
            self._table.save_headers(context.transaction, headers)
