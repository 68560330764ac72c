"""The cubbyhole: a folder for every service token, which no other token reaches and which goes with it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vault.errors import InvalidRequest, PermissionDenied
from vault.logical import json
from vault.logical.args import PathArgs
from vault.logical.backend import Backend, Endpoint, path
from vault.logical.context import Context
from vault.logical.page import Page
from vault.logical.response import Response, list_response
from vault.logical.token import TokenKind
from vault.wrapping import POLICY

_DEPRECATED = (
    "Reading from 'cubbyhole/response' is deprecated. Please use sys/wrapping/unwrap to unwrap responses, as it provides additional "
    "security checks and other benefits."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListArgs(Page, PathArgs):
    """Which folder, and which part of a long listing."""


def _folder(context: Context) -> str:
    """Return the folder of the caller's token. Its name is a secret's worth of chance: it is never guessed, and never reused."""
    token = context.token
    if token is None:
        raise PermissionDenied
    if token.kind is not TokenKind.SERVICE or not token.cubbyhole:
        raise InvalidRequest("cubbyhole operations are only supported by 'service' type tokens")
    return f"{token.cubbyhole}/"


def _decode(value: bytes) -> Mapping[str, Any]:
    data: Mapping[str, Any] = json.decode(value)
    return data


def _require_path(name: str) -> None:
    if not name:
        raise InvalidRequest("missing path")


def _exists(context: Context, args: PathArgs) -> bool:
    token = context.token
    return token is not None and bool(token.cubbyhole) and context.storage.get(f"{token.cubbyhole}/{args.path}") is not None


def _read(context: Context, args: PathArgs) -> Response | None:
    folder = _folder(context)
    _require_path(args.path)
    entry = context.storage.get(folder + args.path)
    if entry is None:
        return None
    wraps = args.path == "response" and context.token is not None and POLICY in context.token.policies
    return Response(data=entry.decode(_decode), warnings=(_DEPRECATED,) if wraps else ())


def _write(context: Context, args: PathArgs) -> None:
    folder = _folder(context)
    _require_path(args.path)
    if args.path.endswith("/"):
        raise InvalidRequest("cannot write to a path ending in '/'")
    if not context.data:
        raise InvalidRequest("missing data fields")
    context.storage.put(folder + args.path, json.encode(context.data))


def _delete(context: Context, args: PathArgs) -> None:
    context.storage.delete(_folder(context) + args.path)


def _list(context: Context, args: ListArgs) -> Response | None:
    folder = _folder(context) + args.path
    prefix = folder if folder.endswith("/") else f"{folder}/"
    return list_response(context.storage.list_children(prefix, args.after, args.size))


def cubbyhole() -> Backend:
    """Return the backend."""
    row = path(
        "{path*}",
        help="Secrets of the caller's token alone.",
        exists=_exists,
        exists_args=PathArgs,
        description="Every service token has its own folder here. When the token is revoked, all in it is gone.",
        read=Endpoint(handler=_read, args=PathArgs),
        update=Endpoint(handler=_write, args=PathArgs, free=True),
        delete=Endpoint(handler=_delete, args=PathArgs),
        list=Endpoint(handler=_list, args=ListArgs),
    )
    return Backend(
        kind="cubbyhole", paths=(row,), help="This backend keeps secrets that die with the token that wrote them.", binds_token=True
    )
