"""`metadata/` and `detailed-metadata/`: settings and listing of versioned secrets. Deleting metadata deletes the whole secret."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vault.clock import format_rfc3339_nano
from vault.errors import InvalidRequest
from vault.logical.args import INT, STRING, TTL, PathArgs, arg
from vault.logical.context import Context
from vault.logical.response import Response, list_response
from vault.modules.engines.kv.arguments import OBJECT, ListArgs
from vault.modules.engines.kv.config import Config, ConfigArgs, find_config, list_changes
from vault.modules.engines.kv.custom_metadata import parse_custom_metadata, patch_custom_metadata
from vault.modules.engines.kv.layout import METADATA, refuse_while_upgrading, require_object
from vault.modules.engines.kv.record import Record, delete_data, find_record, new_record, put_record
from vault.modules.engines.kv.scan import scan_names

_CustomMetadata = Mapping[str, str] | None
_MISSING = Response(status=404, body=b"")
# A secret cannot be let off what its mount asks for.
_MANDATES = ("cas_required", "metadata_cas_required")
_MANDATED = "set to false, but is mandated by backend config. This value will be ignored."


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataArgs(ConfigArgs):
    """Settings of one secret; absent ones keep their value."""

    path: str = arg(STRING, "Location of the secret.")
    delete_version_after: int | None = arg(TTL, "Age at which versions written from now on are deleted; 0: never.", default=None)
    custom_metadata: Mapping[str, Any] | None = arg(OBJECT, "String pairs of free choice.", default=None)
    metadata_cas: int | None = arg(INT, "The version of the metadata that this write replaces; 0: none.", default=None)


def read_metadata(context: Context, args: PathArgs) -> Response | None:
    """Answer the settings of a secret and its versions."""
    record = find_record(context.storage, args.path)
    return None if record is None else Response(data=record.describe())


def write_metadata(context: Context, args: MetadataArgs) -> Response | None:
    """Change the given settings; the secret need not have a version yet."""
    require_object(args.path)
    record = find_record(context.storage, args.path)
    changes = _list_changes(context, args, lambda: parse_custom_metadata(args.custom_metadata))
    if not changes:
        return None
    return _change(context, args, record, changes)


def patch_metadata(context: Context, args: MetadataArgs) -> Response | None:
    """Change the given settings of a secret that exists; custom metadata is merged."""
    record = find_record(context.storage, args.path)
    current = None if record is None else record.custom_metadata
    changes = _list_changes(context, args, lambda: patch_custom_metadata(current, args.custom_metadata))
    if not changes:
        return None
    return _MISSING if record is None else _change(context, args, record, changes)


def _list_changes(context: Context, args: MetadataArgs, custom_metadata: Callable[[], _CustomMetadata]) -> Mapping[str, Any]:
    changes = list_changes(args, context.data)
    return changes | {"custom_metadata": custom_metadata()} if "custom_metadata" in context.data else changes


def _change(context: Context, args: MetadataArgs, record: Record | None, changes: Mapping[str, Any]) -> Response | None:
    config = find_config(context.storage)
    _check_cas(context, args, config, record)
    changed = replace(record or new_record(context.now_ns), **changes)
    put_record(
        context.storage,
        args.path,
        replace(changed, updated_time=format_rfc3339_nano(context.now_ns), metadata_version=changed.metadata_version + 1),
    )
    ignored = [name for name in _MANDATES if getattr(config, name) and changes.get(name) is False]
    return Response(warnings=tuple(f'"{name}" {_MANDATED}' for name in ignored)) if ignored else None


def _check_cas(context: Context, args: MetadataArgs, config: Config, record: Record | None) -> None:
    if "metadata_cas" not in context.data:
        if config.metadata_cas_required or (record is not None and record.metadata_cas_required):
            raise InvalidRequest("metadata check-and-set parameter required for this call")
        return
    expected = args.metadata_cas or 0
    if record is None and expected != 0:
        raise InvalidRequest("metadata_cas must be 0 when creating new metadata")
    if record is not None and expected != record.metadata_version:
        raise InvalidRequest("metadata check-and-set parameter does not match the current version")


def delete_metadata(context: Context, args: PathArgs) -> None:
    """Delete a secret with all its versions, for good."""
    record = find_record(context.storage, args.path)
    if record is not None:
        delete_data(context.storage, args.path, record, set(record.versions))
        context.storage.delete(METADATA + args.path)


def list_metadata(context: Context, args: ListArgs) -> Response | None:
    """List names in a folder."""
    return list_response(_list_names(context, args))


def list_detailed_metadata(context: Context, args: ListArgs) -> Response | None:
    """List names in a folder with what is known of each."""
    return _detail(context, args, _list_names(context, args))


def scan_metadata(context: Context, args: ListArgs) -> Response | None:
    """List names below a folder, at any depth."""
    return list_response(_scan_names(context, args))


def scan_detailed_metadata(context: Context, args: ListArgs) -> Response | None:
    """List names below a folder, at any depth, with what is known of each."""
    return _detail(context, args, _scan_names(context, args))


def _list_names(context: Context, args: ListArgs) -> tuple[str, ...]:
    refuse_while_upgrading(context.storage)
    return context.storage.list_children(METADATA + args.folder, args.after, args.size)


def _scan_names(context: Context, args: ListArgs) -> tuple[str, ...]:
    refuse_while_upgrading(context.storage)
    return scan_names(context.storage, METADATA + args.folder)


def _detail(context: Context, args: ListArgs, names: tuple[str, ...]) -> Response | None:
    records = {name: None if name.endswith("/") else find_record(context.storage, args.folder + name) for name in names}
    return list_response(names, {name: {} if record is None else record.describe() for name, record in records.items()})
