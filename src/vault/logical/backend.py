"""A backend is a value: a kind and a table of paths. Routing, parsing, help, OpenAPI and the public list all come from it.

A pattern is literal text with `{name}` for one segment and `{name*}` for the rest of the path. The first path of the table
that matches decides, so specific patterns stand before general ones.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vault.errors import VaultError
from vault.logical.args import NoArgs
from vault.logical.context import Context
from vault.logical.login import Login
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.response import Response, Shape
from vault.logical.token import Token

Handler = Callable[[Any, Any], Response | None]
Exists = Callable[[Any, Any], bool]

_CAPTURE = re.compile(r"\{(\w+)(\*?)\}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One operation of a path."""

    handler: Handler
    args: type = NoArgs
    summary: str = ""
    public: bool = False  # needs no token
    sudo: bool = False  # needs the sudo capability as well
    door: str = ""  # public where the listener has this door open
    sealed: bool = False  # answers while sealed or not initialised
    vital: bool = False  # is put on record even where the disk of the audit log is full
    free: bool = False  # takes fields of free choice: no warning about unknown ones
    # Slow work and work outside (a password, a foreign server): done once, before the transaction, with storage that only reads,
    # and not within the time that the storage is given. Its result is `context.prepared`.
    prepare: Callable[[Any, Any], Any] | None = None
    guess: Callable[[Any, Any], str] | None = None  # whose credentials a login tries: wrong ones count against that name
    # What is done in place of `prepare` where that name is locked: it takes as long, and ends in the same refusal. None: 403.
    decoy: Callable[[Any, Any], Any] | None = None
    role: Callable[[Any, Any], str] | None = None  # the role of its mount that a login is for
    # What a caller is told whose token nobody knows; None: permission denied.
    stranger: Callable[[Request], VaultError] | None = None

    def is_public(self, request: Request) -> bool:
        """Return whether this request needs no token."""
        return self.public or (self.door != "" and self.door in request.open_doors)


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One row of a backend's table."""

    patterns: tuple[str, ...]
    help: str
    operations: Mapping[Operation, Endpoint]
    shape: Shape = Shape.ENVELOPE
    exists: Exists | None = None  # tells create from update; None: every write is an update
    exists_args: type = NoArgs
    description: str = ""
    _regexes: tuple[re.Pattern[str], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_regexes", tuple(_compile(pattern) for pattern in self.patterns))

    @property
    def is_open(self) -> bool:
        """Return whether the row takes paths of any depth."""
        return any(pattern.endswith("*}") for pattern in self.patterns)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the captures if this row answers to the path."""
        for regex in self._regexes:
            found = regex.fullmatch(path)
            if found is not None:
                return found.groupdict()
        return None

    def find_endpoint(self, operation: Operation) -> Endpoint | None:
        """Return the endpoint of an operation; a create is served by the update endpoint where none is declared."""
        endpoint = self.operations.get(operation)
        return self.operations.get(Operation.UPDATE) if endpoint is None and operation is Operation.CREATE else endpoint


def path(
    *patterns: str,
    help: str,  # noqa: A002 - the field's name
    shape: Shape = Shape.ENVELOPE,
    exists: Exists | None = None,
    exists_args: type = NoArgs,
    description: str = "",
    **operations: Endpoint,
) -> Path:
    """Declare a row: `path("roles/{name}", help="...", read=Endpoint(...), update=Endpoint(...))`."""
    return Path(
        patterns=patterns,
        help=help,
        description=description,
        shape=shape,
        exists=exists,
        exists_args=exists_args,
        operations={Operation(name): endpoint for name, endpoint in operations.items()},
    )


def _compile(pattern: str) -> re.Pattern[str]:
    parts, position = [], 0
    for capture in _CAPTURE.finditer(pattern):
        parts.append(re.escape(pattern[position : capture.start()]))
        parts.append(f"(?P<{capture[1]}>{'.*' if capture[2] else '[^/]+'})")
        position = capture.end()
    parts.append(re.escape(pattern[position:]))
    # A folder is named with or without its slash; a rest capture keeps the slash.
    tail = "" if pattern.endswith("*}") else "/?"
    return re.compile("".join(parts) + tail, re.DOTALL)


class Match(msgspec.Struct, frozen=True, kw_only=True):
    """The row that answers to a path, and what the path captured."""

    path: Path
    captures: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A secrets engine, an auth method or the system backend."""

    kind: str
    paths: tuple[Path, ...]
    help: str = ""
    # Told when its mount is made (also when its options change) and before it is removed.
    on_mount: Callable[[Context], None] | None = None
    # Asked at every renewal of a token that a login here has made: what holds for it now. Raises InvalidRequest.
    renew: Callable[[Context, Token], Login] | None = None
    # Slow work and work outside for a renewal, done before the transaction; its result is `context.prepared`.
    prepare_renewal: Callable[[Context, Token], Any] | None = None
    # The system backends see the whole transaction, engines only their own view of it.
    system: bool = False
    # What it stores goes with the caller's token: nothing may be written once that is being revoked.
    binds_token: bool = False
    _by_head: Mapping[str, tuple[Path, ...]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_head", _index(self.paths))

    def find_match(self, relative_path: str) -> Match | None:
        """Return the first row that answers to a path below the mount."""
        head = relative_path.partition("/")[0]
        rows = self._by_head.get(head)
        for row in self._by_head[""] if rows is None else rows:
            captures = row.match(relative_path)
            if captures is not None:
                return Match(path=row, captures=captures)
        return None


def _index(paths: tuple[Path, ...]) -> Mapping[str, tuple[Path, ...]]:
    """Group rows by their first literal segment, each group with the rows that start with a capture, in table order."""
    heads: dict[str, list[Path]] = {"": []}
    for row in paths:
        for pattern in row.patterns:
            head = pattern.partition("/")[0]
            heads.setdefault("" if "{" in head else head, [])
    for row in paths:
        for head, rows in heads.items():
            if any(_starts(pattern, head) for pattern in row.patterns):
                rows.append(row)
    return {head: tuple(rows) for head, rows in heads.items()}


def _starts(pattern: str, head: str) -> bool:
    first = pattern.partition("/")[0]
    return "{" in first or first == head
