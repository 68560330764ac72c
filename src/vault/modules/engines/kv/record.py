"""What a mount knows of one versioned secret, its data excepted: one row a secret, replaced as a whole by every change.

A version is deleted by a time, which may lie ahead: nothing runs when it comes, readers compare it with their clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from vault import limits
from vault.clock import format_rfc3339_nano
from vault.modules.engines.kv.config import Config, format_go_duration
from vault.modules.engines.kv.layout import METADATA, refuse_while_upgrading, version_row
from vault.storage.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version. Its data is in a row of its own until it is destroyed."""

    created_time: str
    deletion_ns: int = 0  # unix nanoseconds; 0: never
    destroyed: bool = False

    def is_deleted(self, now_ns: int) -> bool:
        """Return whether the deletion time has come."""
        return 0 < self.deletion_ns <= now_ns

    def is_gone(self, now_ns: int) -> bool:
        """Return whether the data may not be shown."""
        return self.destroyed or self.is_deleted(now_ns)

    def describe(self) -> dict[str, Any]:
        """Return the version in the wire's names."""
        deletion_time = format_rfc3339_nano(self.deletion_ns) if self.deletion_ns else ""
        return {"created_time": self.created_time, "deletion_time": deletion_time, "destroyed": self.destroyed}


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A secret's settings and its versions, which are dense from the oldest kept to the current one."""

    created_time: str
    updated_time: str
    current_version: int = 0
    oldest_version: int = 0
    metadata_version: int = 0
    max_versions: int = 0
    cas_required: bool = False
    metadata_cas_required: bool = False
    delete_version_after: int = 0  # seconds
    custom_metadata: Mapping[str, str] | None = None
    versions: Mapping[int, Version] = field(default_factory=dict)

    def add_version(self, version: Version, config: Config) -> "Record":
        """Return the record with a next version, without those that are more than is kept."""
        number = self.current_version + 1
        oldest = number - (max(self.max_versions, config.max_versions) or limits.KV_VERSIONS_DEFAULT) + 1
        kept = {known: value for known, value in self.versions.items() if known >= oldest}
        return replace(
            self,
            current_version=number,
            # Zero until there are as many versions as are kept; it never goes back, whatever the limit becomes.
            oldest_version=max(self.oldest_version, oldest),
            updated_time=version.created_time,
            versions=kept | {number: version},
        )

    def find_deletion_ns(self, config: Config, now_ns: int) -> int:
        """Return when a version that starts to live now is deleted; 0: never. The shorter of two limits counts."""
        if config.delete_version_after < 0:
            return 0
        seconds = [value for value in (self.delete_version_after, config.delete_version_after) if value]
        return now_ns + min(seconds) * 10**9 if seconds else 0

    def describe_version(self, number: int) -> dict[str, Any]:
        """Return a version in the wire's names, as it stands beside data."""
        return {**self.versions[number].describe(), "custom_metadata": self.custom_metadata, "version": number}

    def describe(self) -> dict[str, Any]:
        """Return everything but the data, in the wire's names."""
        return {
            "cas_required": self.cas_required,
            "created_time": self.created_time,
            "current_metadata_version": self.metadata_version,
            "current_version": self.current_version,
            "custom_metadata": self.custom_metadata,
            "delete_version_after": format_go_duration(self.delete_version_after),
            "max_versions": self.max_versions,
            "metadata_cas_required": self.metadata_cas_required,
            "oldest_version": self.oldest_version,
            "updated_time": self.updated_time,
            "versions": {str(number): version.describe() for number, version in self.versions.items()},
        }


def _decode(value: bytes) -> Record:
    return msgspec.json.decode(value, type=Record)


def new_record(now_ns: int) -> Record:
    """Return the record of a secret that begins now."""
    created = format_rfc3339_nano(now_ns)
    return Record(created_time=created, updated_time=created)


def find_record(storage: View, path: str) -> Record | None:
    """Return what is known of a secret; raises InvalidRequest if it may only not have been upgraded yet."""
    entry = storage.get(METADATA + path)
    if entry is None:
        refuse_while_upgrading(storage)
        return None
    return entry.decode(_decode)


def put_record(storage: View, path: str, record: Record) -> None:
    """Store what is known of a secret."""
    storage.put(METADATA + path, msgspec.json.encode(record))


def delete_data(storage: View, path: str, record: Record, numbers: set[int]) -> None:
    """Delete the data of the named versions, where there still is any."""
    for number in sorted(numbers):
        version = record.versions.get(number)
        if version is not None and not version.destroyed:
            storage.delete(version_row(path, number))
