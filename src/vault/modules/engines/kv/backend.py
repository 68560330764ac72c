"""The tables of the key-value engine, one for each version. The version is an option of the mount."""

from collections.abc import Iterable, Mapping
from typing import Any

from vault.errors import InvalidRequest
from vault.logical.args import PathArgs
from vault.logical.backend import Backend, Endpoint, Handler, Path, path
from vault.logical.context import Context
from vault.logical.operation import Operation
from vault.logical.response import Response
from vault.modules.engines.kv import config, data, metadata, v1
from vault.modules.engines.kv.arguments import ListArgs, ReadArgs, SubkeysArgs, VersionsArgs, WriteArgs

_ROOT = "Non-listing operations on the root of a K/V v2 mount are not supported."
_VERBS: Mapping[Operation, str] = {
    Operation.READ: "get",
    Operation.CREATE: "put",
    Operation.UPDATE: "put",
    Operation.PATCH: "patch",
    Operation.DELETE: "delete",
    Operation.LIST: "list",
    Operation.SCAN: "scan",
}


def _answer_root(_context: Context, _args: Any) -> Response:
    return Response(status=404, warnings=(_ROOT,))


def _answer_unversioned(context: Context, _args: Any) -> Response:
    """Tell a client that speaks to this mount as if it had no versions."""
    warning = (
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate API endpoints to use. "
        f"If using the Vault CLI, use 'vault kv {_VERBS[context.request.operation]}' for this operation."
    )
    return Response(status=404, warnings=(warning,))


def _catch(*patterns: str, help: str, handler: Handler, operations: Iterable[Operation]) -> Path:  # noqa: A002 - as in `path`
    endpoint = Endpoint(handler=handler, free=True)
    return Path(patterns=patterns, help=help, operations=dict.fromkeys(operations, endpoint))


_NOT_LISTING = (Operation.READ, Operation.UPDATE, Operation.PATCH, Operation.DELETE)


def _data_paths() -> tuple[Path, ...]:
    return (
        path(
            "data/{path*}",
            help="Write, read, patch and delete data.",
            exists=data.secret_exists,
            exists_args=PathArgs,
            read=Endpoint(handler=data.read_data, args=ReadArgs),
            update=Endpoint(handler=data.write_data, args=WriteArgs),
            patch=Endpoint(handler=data.patch_data, args=WriteArgs),
            delete=Endpoint(handler=data.delete_latest, args=PathArgs),
        ),
        path(
            "subkeys/{path*}",
            help="Read the keys of a secret without their values.",
            read=Endpoint(handler=data.read_subkeys, args=SubkeysArgs),
        ),
        path("delete/{path*}", help="Mark versions as deleted.", update=Endpoint(handler=data.delete_versions, args=VersionsArgs)),
        path("undelete/{path*}", help="Undelete versions.", update=Endpoint(handler=data.undelete_versions, args=VersionsArgs)),
        path(
            "destroy/{path*}",
            help="Remove the data of versions for good.",
            update=Endpoint(handler=data.destroy_versions, args=VersionsArgs),
        ),
    )


def _metadata_paths() -> tuple[Path, ...]:
    return (
        path(
            "metadata/{path*}",
            help="Settings and versions of a secret, and listing.",
            exists=data.secret_exists,
            exists_args=PathArgs,
            read=Endpoint(handler=metadata.read_metadata, args=PathArgs),
            update=Endpoint(handler=metadata.write_metadata, args=metadata.MetadataArgs),
            patch=Endpoint(handler=metadata.patch_metadata, args=metadata.MetadataArgs),
            delete=Endpoint(handler=metadata.delete_metadata, args=PathArgs),
            list=Endpoint(handler=metadata.list_metadata, args=ListArgs),
            scan=Endpoint(handler=metadata.scan_metadata, args=ListArgs),
        ),
        path(
            "detailed-metadata/{path*}",
            help="List secrets with their settings and versions.",
            list=Endpoint(handler=metadata.list_detailed_metadata, args=ListArgs),
            scan=Endpoint(handler=metadata.scan_detailed_metadata, args=ListArgs),
        ),
    )


def kv_v2() -> Backend:
    """Return the versioned engine."""
    rows = (
        *_data_paths(),
        *_metadata_paths(),
        # Before `config`, which a slash at the end would not tell apart.
        _catch("config/{path*}", help="No path of this engine.", handler=_answer_unversioned, operations=_VERBS),
        path(
            "config",
            help="Settings of the mount.",
            read=Endpoint(handler=config.read_config),
            update=Endpoint(handler=config.write_config, args=config.ConfigArgs),
        ),
        _catch(
            "data",
            "metadata",
            "delete",
            "undelete",
            "destroy",
            help="Folders of the paths above.",
            handler=_answer_root,
            operations=_NOT_LISTING,
        ),
        _catch("{path*}", help="No path of this engine.", handler=_answer_unversioned, operations=_VERBS),
    )
    return Backend(kind="kv", paths=rows, help="This backend keeps secrets with their versions, encrypted at rest.")


def kv_v1() -> Backend:
    """Return the unversioned engine."""
    row = path(
        "{path*}",
        help="Secrets of free choice, encrypted at rest.",
        exists=v1.secret_exists,
        exists_args=PathArgs,
        description="A field `ttl` is given to readers as the lease duration: when to read again. Nothing happens when it ends.",
        read=Endpoint(handler=v1.read_secret, args=PathArgs),
        update=Endpoint(handler=v1.write_secret, args=PathArgs, free=True),
        delete=Endpoint(handler=v1.delete_secret, args=PathArgs),
        list=Endpoint(handler=v1.list_secrets, args=ListArgs),
        scan=Endpoint(handler=v1.scan_secrets, args=ListArgs),
    )
    return Backend(kind="kv", paths=(row,), help="This backend keeps secrets without versions, encrypted at rest.")


# By the version option of a mount; none is the unversioned engine.
VERSIONS: Mapping[str, Backend] = {"": kv_v1(), "1": kv_v1(), "2": kv_v2()}


def backend(options: Mapping[str, str] | None) -> Backend:
    """Return the engine that a mount's options choose; raises InvalidRequest."""
    found = VERSIONS.get((options or {}).get("version", ""))
    if found is None:
        raise InvalidRequest("a key-value mount has version 1 or 2")
    return found
