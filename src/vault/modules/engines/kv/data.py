"""`data/`, `subkeys/`, `delete/`, `undelete/` and `destroy/`: the versions of a secret.

Nothing is locked: a handler reads the record, and the commit fails if it changed meanwhile; then the handler runs again.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from msgspec import structs

from vault import limits
from vault.clock import format_rfc3339_nano
from vault.errors import InvalidRequest, NotFound, TooLarge
from vault.logical import json
from vault.logical.args import PathArgs, parse_int
from vault.logical.context import Context
from vault.logical.response import Response
from vault.modules.engines.kv.arguments import ReadArgs, SubkeysArgs, VersionsArgs, WriteArgs
from vault.modules.engines.kv.config import Config, find_config
from vault.modules.engines.kv.layout import METADATA, require_object, version_row
from vault.modules.engines.kv.merge_patch import merge_patch
from vault.modules.engines.kv.record import Record, Version, delete_data, find_record, new_record, put_record

_MISSING = Response(status=404, body=b"")


def secret_exists(context: Context, args: PathArgs) -> bool:
    """Tell create from update: anything known of a secret makes it an update."""
    return context.storage.get(METADATA + args.path) is not None


def _find_version(context: Context, path: str, number: int) -> tuple[Record, int] | None:
    """Return the record of a secret that has this version, and the number; zero is the current one."""
    record = find_record(context.storage, path)
    if record is None:
        return None
    number = number or record.current_version
    return (record, number) if number in record.versions else None


def _get_data(context: Context, path: str, number: int) -> Any:
    entry = context.storage.get(version_row(path, number))
    if entry is None:  # removed by another process since the record was read
        raise NotFound
    return entry.decode(json.decode)


def read_data(context: Context, args: ReadArgs) -> Response | None:
    """Answer a version; one that is gone still answers with its metadata."""
    found = _find_version(context, args.path, args.version)
    if found is None:
        return None
    record, number = found
    metadata = record.describe_version(number)
    if record.versions[number].is_gone(context.now_ns):
        return Response(data={"data": None, "metadata": metadata}, status=404)
    return Response(data={"data": _get_data(context, args.path, number), "metadata": metadata})


def read_subkeys(context: Context, args: SubkeysArgs) -> Response | None:
    """Answer the keys of a version without their values."""
    response = read_data(context, args)
    if response is None or response.data is None:
        return None
    data = response.data["data"]
    subkeys = None if data is None else {name: _strip(value, args.depth - 1) for name, value in data.items()}
    return structs.replace(response, data={"subkeys": subkeys, "metadata": response.data["metadata"]})


def _strip(value: Any, depth: int) -> Any:
    """Return the keys below a key; zero levels left is nothing, less than zero is no limit."""
    if not isinstance(value, dict) or not value or depth == 0:
        return None
    return {name: _strip(inner, depth - 1) for name, inner in value.items()}


def write_data(context: Context, args: WriteArgs) -> Response:
    """Add a version."""
    _require_data(context, args.path)
    config = find_config(context.storage)
    record = find_record(context.storage, args.path)
    _check_cas(args.options or {}, config, record)
    return _add_version(context, args.path, record or new_record(context.now_ns), config, args.data)


def patch_data(context: Context, args: WriteArgs) -> Response:
    """Add a version that is the current one with a merge patch applied."""
    _require_data(context, args.path)
    record = find_record(context.storage, args.path)
    if record is None:
        return _MISSING
    config = find_config(context.storage)
    _check_cas(args.options or {}, config, record)
    current = record.versions.get(record.current_version)
    if current is None:
        return _MISSING
    if current.is_gone(context.now_ns):
        return Response(data=record.describe_version(record.current_version), status=404)
    data = _get_data(context, args.path, record.current_version)
    if data is None:
        return _MISSING
    # A null patch replaces the whole by null, as the RFC has it.
    merged = merge_patch(data, args.data)
    _require_storable(merged)
    return _add_version(context, args.path, record, config, merged)


def _require_storable(data: Any) -> None:
    """Refuse what small patches have grown beyond the limits of a body: it could be stored, but never read again."""
    encoded = json.encode(data)
    if len(encoded) > limits.BODY_BYTES_MAX:
        raise TooLarge
    json.decode(encoded)


def _require_data(context: Context, path: str) -> None:
    require_object(path)
    if "data" not in context.data:
        raise InvalidRequest("no data provided")


def _check_cas(options: Mapping[str, Any], config: Config, record: Record | None) -> None:
    if "cas" not in options:
        if config.cas_required or (record is not None and record.cas_required):
            raise InvalidRequest("check-and-set parameter required for this call")
        return
    try:
        expected = 0 if options["cas"] is None else parse_int(options["cas"])
    except ValueError:
        raise InvalidRequest("error parsing check-and-set parameter") from None
    if expected != (0 if record is None else record.current_version):
        raise InvalidRequest("check-and-set parameter did not match the current version")


def _add_version(context: Context, path: str, record: Record, config: Config, data: Any) -> Response:
    version = Version(
        created_time=format_rfc3339_nano(context.now_ns),
        deletion_ns=record.find_deletion_ns(config, context.now_ns),
    )
    added = record.add_version(version, config)
    delete_data(context.storage, path, record, record.versions.keys() - added.versions.keys())
    context.storage.put(version_row(path, added.current_version), json.encode(data))
    put_record(context.storage, path, added)
    return Response(data=added.describe_version(added.current_version))


def delete_latest(context: Context, args: PathArgs) -> None:
    """Delete the current version; it can be undeleted."""
    record = find_record(context.storage, args.path)
    if record is not None:
        _delete(context, args.path, record, (record.current_version,))


def delete_versions(context: Context, args: VersionsArgs) -> None:
    """Delete versions; they can be undeleted."""
    _require_versions(args, "No version number provided")
    record = find_record(context.storage, args.path)
    if record is not None:
        _delete(context, args.path, record, args.versions)


def _delete(context: Context, path: str, record: Record, numbers: tuple[int, ...]) -> None:
    now_ns = context.now_ns
    _change(
        context,
        path,
        record,
        {number: replace(version, deletion_ns=now_ns) for number, version in _named(record, numbers) if not version.is_deleted(now_ns)},
    )


def undelete_versions(context: Context, args: VersionsArgs) -> None:
    """Let versions live again, from now on for as long as new ones."""
    _require_versions(args, "No version number provided")
    record = find_record(context.storage, args.path)
    if record is not None:
        deletion_ns = record.find_deletion_ns(find_config(context.storage), context.now_ns)
        named = _named(record, args.versions)
        _change(context, args.path, record, {number: replace(version, deletion_ns=deletion_ns) for number, version in named})


def destroy_versions(context: Context, args: VersionsArgs) -> None:
    """Remove the data of versions for good; that they existed stays known."""
    _require_versions(args, "no version number provided")
    record = find_record(context.storage, args.path)
    if record is not None:
        destroyed = {number: replace(version, destroyed=True) for number, version in _named(record, args.versions)}
        delete_data(context.storage, args.path, record, set(destroyed))
        _change(context, args.path, record, destroyed)


def _require_versions(args: VersionsArgs, message: str) -> None:
    if not args.versions:
        raise InvalidRequest(message)


def _named(record: Record, numbers: tuple[int, ...]) -> list[tuple[int, Version]]:
    """Return the named versions that still have data."""
    return [(number, record.versions[number]) for number in set(numbers) if _has_data(record.versions.get(number))]


def _has_data(version: Version | None) -> bool:
    return version is not None and not version.destroyed


def _change(context: Context, path: str, record: Record, changed: Mapping[int, Version]) -> None:
    if changed:
        put_record(context.storage, path, replace(record, versions={**record.versions, **changed}))
