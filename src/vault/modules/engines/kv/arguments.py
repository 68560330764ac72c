"""Arguments that several paths of the versioned engine take."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vault.logical.args import COUNT, INT_LIST, MAP, Kind, PathArgs, arg, parse_map
from vault.logical.page import Page


def _parse_object(value: Any) -> Mapping[str, Any]:
    # Clients written in PHP send an empty object as an empty list, and Vault takes it.
    return {} if value == [] else parse_map(value)


OBJECT: Kind[Mapping[str, Any]] = Kind("map", MAP.schema, _parse_object)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadArgs(PathArgs):
    """Which version to read."""

    version: int = arg(COUNT, "Version to read; 0: the current one.", default=0, query=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class SubkeysArgs(ReadArgs):
    """Which version, and how deep."""

    depth: int = arg(COUNT, "Levels of keys to show; 0: all.", default=0, query=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteArgs(PathArgs):
    """The data of a new version."""

    data: Mapping[str, Any] | None = arg(OBJECT, "The secret.", default=None)
    options: Mapping[str, Any] | None = arg(OBJECT, "`cas`: the version that this write replaces; 0: none.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionsArgs(PathArgs):
    """Which versions."""

    versions: tuple[int, ...] = arg(INT_LIST, "Numbers of the versions; unknown ones are left out.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class ListArgs(Page, PathArgs):
    """Which folder, and which part of a long listing."""

    @property
    def folder(self) -> str:
        """Return the folder with its slash; empty for the root."""
        return self.path if not self.path or self.path.endswith("/") else f"{self.path}/"
