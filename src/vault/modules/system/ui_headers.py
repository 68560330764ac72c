"""`sys/config/ui/headers`: headers for the answers of a web interface. They are kept and told; this server has no such interface."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from vault.errors import InvalidRequest
from vault.logical.args import BOOL, STRING, Kind, arg, parse_string
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, list_response
from vault.storage.transaction import Transaction

TABLE = "core/ui-headers"
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_VALUE = re.compile(r"[ \t\x21-\x7e]{0,4096}")
_HEADERS_MAX = 100
_POLICY = "content-security-policy"
# Where an answer ends, who may read it and whose cookies it sets is not decided by such a row.
_FORBIDDEN = frozenset(
    {
        *("connection", "content-encoding", "content-length", "content-type", "date", "keep-alive", "proxy-authenticate", "server"),
        *("set-cookie", "te", "trailer", "transfer-encoding", "upgrade", "www-authenticate"),
    }
)


def _parse_values(value: Any) -> tuple[str, ...]:
    """Read the values: a list, or one text, whose commas are part of it."""
    return tuple(parse_string(part) for part in value) if isinstance(value, list | tuple) else (parse_string(value),)


VALUES: Kind[tuple[str, ...]] = Kind("slice", {"type": "array", "items": {"type": "string"}}, _parse_values)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderPath:
    """The header that the path names."""

    header: str = arg(STRING, "Name of the header.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadArgs(HeaderPath):
    """In which form."""

    multivalue: bool = arg(BOOL, "Answer all values, not only the first.", default=False, query=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteArgs(HeaderPath):
    """What it is to say."""

    values: tuple[str, ...] = arg(VALUES, "Values of the header.", default=())
    multivalue: bool = arg(BOOL, "Of no effect here.", default=False)


def _decode(value: bytes) -> Mapping[str, tuple[str, ...]]:
    return msgspec.json.decode(value, type=dict[str, tuple[str, ...]])


def ui_header_paths() -> tuple[Path, ...]:
    """Return the table."""
    return (
        path("config/ui/headers", help="List the headers of the web interface.", list=Endpoint(handler=list_headers, sudo=True)),
        path(
            "config/ui/headers/{header}",
            help="Set a header of the web interface.",
            read=Endpoint(handler=read_header, args=ReadArgs, sudo=True),
            update=Endpoint(handler=write_header, args=WriteArgs, sudo=True),
            delete=Endpoint(handler=delete_header, args=HeaderPath, sudo=True),
        ),
    )


def _read(transaction: Transaction) -> Mapping[str, tuple[str, ...]]:
    entry = transaction.get(TABLE)
    return {} if entry is None else entry.decode(_decode)


def _spell(name: str) -> str:
    """Return the one spelling of a header's name, the one of Go."""
    return "-".join(part[:1].upper() + part[1:].lower() for part in name.split("-"))


def list_headers(context: SystemContext, _: Any) -> Response | None:
    """List the headers."""
    return list_response(tuple(sorted(_read(context.transaction))))


def read_header(context: SystemContext, args: ReadArgs) -> Response | None:
    """Answer what a header says."""
    values = _read(context.transaction).get(_spell(args.header))
    if values is None:
        return None
    return Response(data={"values": list(values)} if args.multivalue else {"value": values[0]})


def write_header(context: SystemContext, args: WriteArgs) -> Response:
    """Set a header."""
    name = _spell(args.header)
    if not args.values:
        raise InvalidRequest("header and values must be specified")
    if name.startswith("X-Vault"):
        raise InvalidRequest("X-Vault headers cannot be set")
    if not _NAME.fullmatch(name) or name.lower() in _FORBIDDEN or name.startswith("Access-Control-"):
        raise InvalidRequest("this header cannot be set")
    if not all(_VALUE.fullmatch(value) for value in args.values):
        raise InvalidRequest("a header's value is one line of printable characters")
    known = _read(context.transaction)
    if len(known) >= _HEADERS_MAX and name not in known:
        raise InvalidRequest(f"more than {_HEADERS_MAX} headers")
    context.transaction.put(TABLE, msgspec.json.encode({**known, name: args.values}))
    warning = "overriding default Content-Security-Policy which is secure by default, proceed with caution"
    return Response(warnings=(warning,) if name.lower() == _POLICY else ())


def delete_header(context: SystemContext, args: HeaderPath) -> None:
    """Forget a header."""
    known = dict(_read(context.transaction))
    if known.pop(_spell(args.header), None) is not None:
        context.transaction.put(TABLE, msgspec.json.encode(known))
