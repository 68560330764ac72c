"""Settings of a versioned mount: defaults and ceilings for all its secrets. A negative `delete_version_after` forbids it everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import msgspec

from vault.logical.args import BOOL, COUNT, DURATION, arg
from vault.logical.context import Context
from vault.logical.response import Response
from vault.modules.engines.kv.layout import CONFIG, refuse_while_upgrading
from vault.storage.view import View

# What null stands for. A null duration is the one that counts as absent.
_NULLS: Mapping[str, Any] = {"max_versions": 0, "cas_required": False, "metadata_cas_required": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings as stored. Zero means unset."""

    max_versions: int = 0
    cas_required: bool = False
    metadata_cas_required: bool = False
    delete_version_after: int = 0  # seconds; negative: never, whatever a secret says


_DEFAULT = Config()
_NAMES = tuple(item.name for item in fields(Config))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigArgs:
    """Fields of the configuration; absent ones keep their value."""

    max_versions: int | None = arg(COUNT, "Versions to keep of each secret; 0: ten.", default=None)
    cas_required: bool | None = arg(BOOL, "Whether every write must name the version that it replaces.", default=None)
    delete_version_after: int | None = arg(DURATION, "Age at which versions are deleted; negative: never.", default=None)
    metadata_cas_required: bool | None = arg(BOOL, "Whether every change of metadata must name the version it replaces.", default=None)


def list_changes(args: ConfigArgs, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the given settings with their values, nulls with what they stand for."""
    given = {name: getattr(args, name) for name in _NAMES}
    changes = {name: value for name, value in given.items() if value is not None}
    return changes | {name: zero for name, zero in _NULLS.items() if name in data and data[name] is None}


def format_go_duration(seconds: int) -> str:
    """Return a duration as Go prints it: `1h0m0s`, `1m30s`, `0s`."""
    hours, rest = divmod(abs(seconds), 3600)
    minutes, left = divmod(rest, 60)
    sign = "-" if seconds < 0 else ""
    if hours:
        return f"{sign}{hours}h{minutes}m{left}s"
    return f"{sign}{minutes}m{left}s" if minutes else f"{sign}{left}s"


def _decode(value: bytes) -> Config:
    return msgspec.json.decode(value, type=Config)


def find_config(storage: View) -> Config:
    """Return the settings, which are the defaults until they are written."""
    entry = storage.get(CONFIG)
    return _DEFAULT if entry is None else entry.decode(_decode)


def read_config(context: Context, _: Any) -> Response:
    """Answer the settings."""
    refuse_while_upgrading(context.storage)
    config = find_config(context.storage)
    return Response(
        data={
            "max_versions": config.max_versions,
            "cas_required": config.cas_required,
            "delete_version_after": format_go_duration(config.delete_version_after),
            "metadata_cas_required": config.metadata_cas_required,
        }
    )


def write_config(context: Context, args: ConfigArgs) -> None:
    """Change the given settings."""
    refuse_while_upgrading(context.storage)
    changes = list_changes(args, context.data)
    if not changes:
        return
    if changes.get("delete_version_after", 0) < 0:
        changes["delete_version_after"] = -1
    context.storage.put(CONFIG, msgspec.json.encode(replace(find_config(context.storage), **changes)))
