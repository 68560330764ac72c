"""Reads configuration files, HCL or JSON, into plain values that know where they stand.

Surprise: nothing is refused here but what is no file, no text or no block. Which keys exist is said by the tables of `options`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vault import hcl

SUFFIXES = (".hcl", ".json")
# How many labels a block of a kind has: `audit "file" "main" { ... }`.
LABELS: Mapping[str, int] = {"listener": 1, "storage": 1, "seal": 1, "audit": 2, "audit_checkpoint": 1, "telemetry": 0, "user_lockout": 1}
# Vault's other words for the same.
_SAME = {"backend": "storage", "default_max_request_duration": "max_request_duration"}
_PLACE = re.compile(r"At ([0-9]+:[0-9]+): ")  # as Vault says where a policy is wrong


class WrongSetting(ValueError):
    """A setting that cannot be used; the text says where it stands, which one it is and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A value and where it stands: `vault.hcl:12`, a variable, a flag."""

    value: Any
    where: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """One block of a file: `listener "tcp" { ... }`."""

    kind: str
    labels: tuple[str, ...]
    values: Mapping[str, Found]
    where: str

    @property
    def title(self) -> str:
        """Return the block as its first line names it."""
        return " ".join((self.kind, *(f'"{label}"' for label in self.labels)))


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """What one configuration file says."""

    values: Mapping[str, Found] = field(default_factory=dict)
    stanzas: tuple[Stanza, ...] = ()


def list_files(names: tuple[str, ...]) -> tuple[Path, ...]:
    """Return the files that these names mean: a folder means all its .hcl and .json files, by name. Raises WrongSetting."""
    found: list[Path] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            members = sorted(member for member in path.iterdir() if member.suffix in SUFFIXES and member.is_file())
            if not members:
                raise WrongSetting(f"configuration folder {path}: expected files that end with {' or '.join(SUFFIXES)}")
            found += members
        else:
            found.append(path)
    return tuple(found)


def read_file(path: Path) -> File:
    """Read one file; raises WrongSetting."""
    try:
        return parse_file(path.read_text(), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise WrongSetting(f"configuration file {path}: {getattr(error, 'strerror', None) or 'not text'}") from None


def parse_file(text: str, name: str = "configuration file") -> File:
    """Read the text of a file; raises WrongSetting."""
    try:
        body = hcl.parse_json(text) if hcl.is_json(text) else hcl.parse_hcl(text)
    except hcl.SyntaxFault as fault:
        place = _PLACE.match(str(fault))
        where = f"{name}:{place[1]}: {str(fault)[place.end() :]}" if place else f"{name}: {fault}"
        raise WrongSetting(where) from None
    values: dict[str, Found] = {}
    stanzas: list[Stanza] = []
    for item in body.items:
        kind = _SAME.get(item.keys[0], item.keys[0])
        if kind in LABELS:
            stanzas.extend(_read_stanzas(kind, item.keys[1:], item, name))
        else:
            values[kind] = Found(value=_plain(item.value) if len(item.keys) == 1 else None, where=f"{name}:{item.line}")
    return File(values=values, stanzas=tuple(stanzas))


def parse_block(kind: str, text: str, name: str) -> tuple[Stanza, ...]:
    """Read the blocks of a kind from their JSON form alone, as a variable has it; raises WrongSetting."""
    whole = f'{{"{kind}": {text}}}'
    try:
        hcl.parse_json(whole)
    except hcl.SyntaxFault:
        raise WrongSetting(f'{name}: expected JSON, as it stands after "{kind}": in a configuration file') from None
    return parse_file(whole, name).stanzas


def _read_stanzas(kind: str, labels: tuple[str, ...], item: hcl.Item, name: str) -> Iterator[Stanza]:
    """Unfold labels: JSON nests them as objects, and repeats blocks in lists."""
    where = f"{name}:{item.line}"
    members = item.value if isinstance(item.value, tuple) else (item.value,)
    for member in members:
        if not isinstance(member, hcl.Body):
            raise WrongSetting(f"{where}: {kind}: expected a block")
        if len(labels) < LABELS[kind]:
            for inner in member.items:
                yield from _read_stanzas(kind, (*labels, *inner.keys), inner, name)
        else:
            yield Stanza(kind=kind, labels=labels, values=dict(_read_values(member, name)), where=where)


def _read_values(body: hcl.Body, name: str) -> Iterator[tuple[str, Found]]:
    for item in body.items:
        yield item.keys[0], Found(value=_plain(item.value), where=f"{name}:{item.line}")


def _plain(value: Any) -> Any:
    """Return blocks as mappings and lists as lists."""
    if isinstance(value, hcl.Body):
        return {item.keys[0]: _plain(item.value) for item in value.items}
    return [_plain(member) for member in value] if isinstance(value, tuple) else value
