"""`kv`: read and write secrets of either version of the engine. Which one a mount is, the server tells."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import hvac

from vault.cli.client import ask, connect, fail_empty, format_option, quote_path, show


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a secret is: the engine and the path below it."""

    mount: str
    path: str
    versioned: bool

    def at(self, part: str) -> str:
        """Return the path of the API; `part` counts for versioned engines only."""
        middle = f"{part}/" if self.versioned else ""
        return quote_path(f"{self.mount}{middle}{self.path}")


def find_place(client: hvac.Client, path: str, mount: str | None) -> Place:
    """Return where a path leads: `secret/name`, or `name` in a given mount."""
    full = f"{mount.strip('/')}/{path.strip('/')}" if mount else path.strip("/")
    found = ask(client.read, f"sys/internal/ui/mounts/{quote_path(full)}")
    if found is None:
        fail_empty(full)
    data = found["data"]
    versioned = (data.get("options") or {}).get("version") == "2"
    return Place(mount=data["path"], path=f"{full}/".removeprefix(data["path"]).strip("/"), versioned=versioned)


def parse_fields(arguments: tuple[str, ...]) -> Mapping[str, Any]:
    """Return fields from `key=value`, `key=@file`, `key=-`, `@file.json` and `-` (JSON on standard input)."""
    fields: dict[str, Any] = {}
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if argument == "-" or (argument.startswith("@") and not separator):
            fields |= _parse_object(_read(argument))
        elif not separator or not name:
            raise click.UsageError(f"expected key=value: {name!r}")
        else:
            fields[name] = _read(value) if value == "-" or value.startswith("@") else value.removeprefix("\\")
    return fields


def _read(source: str) -> str:
    if source == "-":
        return sys.stdin.read()
    try:
        return Path(source[1:]).read_text()
    except (OSError, UnicodeDecodeError):
        raise click.ClickException(f"cannot read {source[1:]}") from None


def _parse_object(text: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except ValueError:
        raise click.ClickException("expected a JSON object") from None
    if not isinstance(value, dict):
        raise click.ClickException("expected a JSON object")
    return value


mount_option = click.option("--mount", help="Mount of the engine; the path is below it then.")


@click.group()
def kv() -> None:
    """Read and write secrets."""


@kv.command()
@click.argument("path")
@mount_option
@click.option("--field", help="Print the value of this field alone.")
@click.option("--version", type=int, help="Version to read instead of the latest.")
@format_option
def get(path: str, mount: str | None, field: str | None, version: int | None, form: str) -> None:
    """Print a secret."""
    client = connect()
    place = find_place(client, path, mount)
    where = place.at("data") + (f"?version={version}" if version and place.versioned else "")
    found = ask(client.read, where)
    data = found and (found["data"]["data"] if place.versioned else found["data"])
    if not data:
        fail_empty(path)
    if field is None:
        show(found if form == "json" else data, form)
    elif field not in data:
        raise click.ClickException(f"field {field!r} not present in secret")
    else:
        value = data[field]
        click.echo(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


@kv.command()
@click.argument("path")
@click.argument("fields", nargs=-1, required=True)
@mount_option
@click.option("--cas", type=int, help="Write only over this version; 0: only where nothing is.")
@format_option
def put(path: str, fields: tuple[str, ...], mount: str | None, cas: int | None, form: str) -> None:
    """Write a secret: key=value, key=@file, key=- (standard input), @file.json or - (JSON)."""
    client = connect()
    values = parse_fields(fields)
    place = find_place(client, path, mount)
    body: Mapping[str, Any] = values
    if place.versioned:
        body = {"data": values, "options": {} if cas is None else {"cas": cas}}
    found = ask(client.write_data, place.at("data"), data=body)
    if isinstance(found, dict):
        show(found if form == "json" else found["data"], form)
    else:
        click.echo(f"Success! Data written to: {path}")


@kv.command("list")
@click.argument("path")
@mount_option
@format_option
def list_(path: str, mount: str | None, form: str) -> None:
    """List the secrets of a folder."""
    client = connect()
    found = ask(client.list, find_place(client, path, mount).at("metadata"))
    if not found:
        fail_empty(path)
    keys = found["data"]["keys"]
    click.echo(json.dumps(keys, indent=2, ensure_ascii=False) if form == "json" else "\n".join(["Keys", "----", *keys]))


@kv.command()
@click.argument("path")
@mount_option
@click.option("--versions", help="Versions to delete, with commas; the latest one without.")
def delete(path: str, mount: str | None, versions: str | None) -> None:
    """Delete a secret; a versioned engine keeps what it takes to undelete it."""
    client = connect()
    place = find_place(client, path, mount)
    if versions and place.versioned:
        ask(client.write_data, place.at("delete"), data={"versions": versions.split(",")})
    else:
        ask(client.delete, place.at("data"))
    click.echo(f"Success! Data deleted (if it existed) at: {path}")
