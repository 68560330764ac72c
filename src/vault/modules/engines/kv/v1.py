"""The unversioned engine: what is written replaces what was there; a `ttl` among the fields only tells readers when to come back."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vault.errors import InvalidRequest
from vault.logical import json
from vault.logical.args import PathArgs, parse_ttl
from vault.logical.context import Context
from vault.logical.response import Lease, Response, list_response
from vault.modules.engines.kv.arguments import ListArgs
from vault.modules.engines.kv.layout import UNVERSIONED, hold_unversioned, refuse_once_upgraded, require_object
from vault.modules.engines.kv.scan import scan_names


@dataclass(frozen=True, slots=True)
class Stored:
    """A secret as it is kept in the cache."""

    data: Mapping[str, Any]
    ttl_seconds: int | None  # None: the mount's


def _decode(value: bytes) -> Stored:
    data = json.decode(value)
    return Stored(data, _find_ttl_seconds(data))


def _find_ttl_seconds(data: Mapping[str, Any]) -> int | None:
    value = data["ttl"] if "ttl" in data else data.get("lease", "none")
    try:
        return 0 if value is None else parse_ttl(value)
    except ValueError:
        return None


def secret_exists(context: Context, args: PathArgs) -> bool:
    """Tell create from update."""
    return context.storage.get(UNVERSIONED + args.path) is not None


def read_secret(context: Context, args: PathArgs) -> Response | None:
    """Answer a secret."""
    entry = context.storage.get(UNVERSIONED + args.path)
    if entry is None:
        refuse_once_upgraded(context.storage)
        return None
    stored = entry.decode(_decode)
    seconds = context.mount.default_lease_seconds if stored.ttl_seconds is None else stored.ttl_seconds
    return Response(data=stored.data, lease=Lease(duration_seconds=seconds))


def write_secret(context: Context, args: PathArgs) -> None:
    """Write a secret in place of what was there."""
    if not args.path:
        raise InvalidRequest("missing path")
    require_object(args.path)
    if not context.data:
        raise InvalidRequest("missing data fields")
    hold_unversioned(context.storage)
    context.storage.put(UNVERSIONED + args.path, json.encode(context.data))


def delete_secret(context: Context, args: PathArgs) -> None:
    """Delete a secret; a missing one is no error."""
    hold_unversioned(context.storage)
    context.storage.delete(UNVERSIONED + args.path)


def list_secrets(context: Context, args: ListArgs) -> Response | None:
    """List names in a folder."""
    refuse_once_upgraded(context.storage)
    return list_response(context.storage.list_children(UNVERSIONED + args.folder, args.after, args.size))


def scan_secrets(context: Context, args: ListArgs) -> Response | None:
    """List names below a folder, at any depth."""
    refuse_once_upgraded(context.storage)
    return list_response(scan_names(context.storage, UNVERSIONED + args.folder))
