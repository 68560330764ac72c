"""`sys/raw`: the rows of storage, decrypted. For emergencies, and only where the configuration asks for it.

Surprise: it goes past every check of the modules that own the rows. Only what guards the seal, the tokens and the audit trail is
out of its reach, both ways.
"""

import gzip
import io
import zlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from dataclasses import dataclass

from vault import limits
from vault.errors import InvalidRequest
from vault.logical.args import BOOL, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, list_response
from vault.storage.transaction import PLAIN

# Whatever starts with these is neither shown nor changed: rows that hold keys, how the server is unsealed, when keys are replaced, who is
# told what was done. And what each request is measured by: a spoilt row of that kind would refuse its own repair.
_PROTECTED = (
    *sorted(PLAIN),
    "core/audit",
    "core/cors",
    "core/generate-root",
    "core/key-uses",
    "core/quotas",
    "core/rekey",
    "core/rotation-config",
    "core/token-key",
)
_GZIP = b"G\x1f\x8b"  # Vault's mark of a compressed value, and the beginning of what gzip writes
_ENCODINGS = frozenset({"", "base64"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadArgs:
    """A row, and how to show it."""

    path: str = arg(STRING, "Path of the row.", default="")
    encoding: str = arg(STRING, "base64, or nothing for text.", default="", query=True)
    compressed: bool = arg(BOOL, "Decompress a compressed value.", default=True, query=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteArgs:
    """A row and its new value."""

    path: str = arg(STRING, "Path of the row.", default="")
    value: str = arg(STRING, "The new value.", default="")
    encoding: str = arg(STRING, "base64, or nothing for text.", default="")
    compressed: bool = arg(BOOL, "Keep the compression that the row has.", default=True)
    compression_type: str = arg(STRING, "gzip, or nothing: as the row is.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowArgs:
    """A row, or a folder of rows."""

    path: str = arg(STRING, "Path of the row.", default="")


def raw_paths(*, enabled: bool) -> tuple[Path, ...]:
    """Return the table; an empty one where the configuration does not ask for it."""
    if not enabled:
        return ()
    return (
        path(
            "raw",
            "raw/{path*}",
            help="Read and write rows of storage, decrypted. For emergencies.",
            exists=exists,
            exists_args=RowArgs,
            read=Endpoint(handler=read, args=ReadArgs, sudo=True),
            update=Endpoint(handler=write, args=WriteArgs, sudo=True),
            delete=Endpoint(handler=delete, args=RowArgs, sudo=True),
            list=Endpoint(handler=list_rows, args=RowArgs, sudo=True),
        ),
    )


def exists(context: SystemContext, args: RowArgs) -> bool:
    """Return whether a row is there; protected ones are said not to be."""
    return not args.path.startswith(_PROTECTED) and context.transaction.get(args.path) is not None


def read(context: SystemContext, args: ReadArgs) -> Response | None:
    """Show a row."""
    _check(args.path, args.encoding)
    entry = context.transaction.get(args.path)
    if entry is None:
        return None
    value = _decompress(entry.value) if args.compressed else entry.value
    return Response(data={"value": b64encode(value).decode() if args.encoding else value.decode("utf-8", "replace")})


def write(context: SystemContext, args: WriteArgs) -> None:
    """Change a row, or make one."""
    _check(args.path, args.encoding)
    if not args.path:
        raise InvalidRequest("cannot write to a path ending in '/'")
    try:
        value = b64decode(args.value, validate=True) if args.encoding else args.value.encode()
    except NotBase64:
        raise InvalidRequest("illegal base64 data") from None
    present = context.transaction.get(args.path)
    if _choose_compression(args, None if present is None else present.value) == "gzip":
        value = _GZIP[:1] + gzip.compress(value, mtime=0)
    context.transaction.put(args.path, value)


def _choose_compression(args: WriteArgs, present: bytes | None) -> str:
    """Return how to compress a value: as asked for where the row is new, else as the row is."""
    asked = args.compression_type
    if present is None:
        if asked not in {"", "gzip"}:
            raise InvalidRequest(f'invalid compression type "{asked}"')
        return asked
    found = "gzip" if present.startswith(_GZIP) else "none"
    if asked not in {"", "none", found}:
        raise InvalidRequest("the entry uses a different compression scheme then compression_type")
    return found if args.compressed and asked != "none" else "none"


def delete(context: SystemContext, args: RowArgs) -> None:
    """Delete a row."""
    _check(args.path)
    context.transaction.delete(args.path)


def list_rows(context: SystemContext, args: RowArgs) -> Response | None:
    """List the rows and folders of a folder."""
    folder = f"{args.path.rstrip('/')}/" if args.path else ""
    return list_response(context.transaction.list_children(folder))


def _check(name: str, encoding: str = "") -> None:
    if encoding not in _ENCODINGS:
        raise InvalidRequest(f'invalid encoding "{encoding}"')
    if name.startswith(_PROTECTED):
        raise InvalidRequest(f'cannot access "{name}"')


def _decompress(value: bytes) -> bytes:
    if not value.startswith(_GZIP):
        return value
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(value[1:])) as stream:
            plain = stream.read(limits.RAW_BYTES_MAX + 1)
    except (OSError, EOFError, zlib.error):
        raise InvalidRequest("the value cannot be decompressed") from None
    if len(plain) > limits.RAW_BYTES_MAX:
        raise InvalidRequest("the value is too large to be decompressed")
    return plain
