"""`audit verify`: check audit logs offline, without a server and without secrets. Exit code 1: something is wrong, or cannot be checked."""

import binascii
import json
from base64 import b64decode
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any, NoReturn

import click

from vault.audit import coverage
from vault.audit.chain import GENESIS
from vault.audit.coverage import Coverages, WrongCheckpoint
from vault.audit.source import Files, Table, lines_of
from vault.audit.verify import Expected, Report, check, check_table
from vault.cli.database import database_option, open_database
from vault.cli.reading import plain, search, tail
from vault.crypto.signature import PublicKey
from vault.errors import StorageUnavailable

IN_TABLE = "table"


@click.group()
def audit() -> None:
    """Work with audit logs."""


@audit.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--start", type=click.IntRange(min=1), default=1, show_default=True, help="Number of the first record.")
@click.option("--previous", default=GENESIS, help="Hash that the first record continues, where earlier files are elsewhere.")
@click.option("--head", metavar="NUMBER:HASH", help="A record that must be there, noted elsewhere.")
@click.option("--log", default="", help="The log that it must be.")
@click.option("--checkpoints", multiple=True, metavar="FILE|table", help="Signed checkpoints, oldest first.")
@click.option("--key", "keys", multiple=True, metavar="KEY|FILE", help="Public key of the checkpoints, in base64.")
@database_option
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON.")
def verify(files: tuple[Path, ...], *, database: str | None, as_json: bool, **given: Any) -> None:
    """Check audit files, oldest first, or without files the audit table; names the record that is wrong."""
    _check_usage(files, database, given)
    try:
        with ExitStack() as stack:
            needs_database = not files or IN_TABLE in given["checkpoints"]
            reader = stack.enter_context(open_database(database)) if needs_database else None
            expected = _expect(given, reader)
            reports = check_table(reader, expected) if reader and not files else (check(Files(files), expected),)
    except WrongCheckpoint as wrong:
        _fail(wrong, as_json)
    except StorageUnavailable as error:
        raise click.ClickException(f"the audit table cannot be read: {error.__cause__}") from None
    _show(reports, as_json, is_covered=bool(given["checkpoints"]))


def _check_usage(files: tuple[Path, ...], database: str | None, given: dict[str, Any]) -> None:
    if not files and not database:
        raise click.UsageError("give files, or name the database of the audit table")
    if bool(given["checkpoints"]) != bool(given["keys"]):
        raise click.UsageError("--checkpoints and --key go together")
    if not files and (given["start"] != 1 or given["previous"] != GENESIS):
        raise click.UsageError("--start and --previous are for files: the table begins at its first record, or after a closing record")
    if not files and given["head"] and not given["log"]:
        raise click.UsageError("--head needs --log: a table may hold several logs")


def _expect(given: dict[str, Any], reader: Table | None) -> Expected:
    """Return what the options say of the log; raises WrongCheckpoint."""
    coverages: Coverages | None = None
    if given["checkpoints"]:
        keys = {key.id: key for key in map(_parse_key, given["keys"])}
        coverages = coverage.read(((name, _read_place(name, reader)) for name in given["checkpoints"]), keys)
    return Expected(
        start=given["start"],
        previous=given["previous"],
        heads=_parse_head(given["head"]),
        log=given["log"],
        coverages=coverages,
    )


def _read_place(name: str, reader: Table | None) -> Iterable[bytes]:
    return reader.checkpoints() if reader is not None and name == IN_TABLE else lines_of(Path(name))


def _parse_head(text: str | None) -> frozenset[tuple[int, str]]:
    if text is None:
        return frozenset()
    number, _, digest = text.partition(":")
    if not number.isdecimal() or not digest:
        raise click.UsageError("--head: expected NUMBER:HASH")
    return frozenset({(int(number), digest)})


def _parse_key(text: str) -> PublicKey:
    try:
        content = Path(text).read_text() if Path(text).is_file() else text
        return PublicKey(b64decode(content.strip(), validate=True))
    except (binascii.Error, ValueError, OSError):
        raise click.UsageError("--key: expected a public key in base64, or a file that holds one") from None


def _fail(wrong: WrongCheckpoint, as_json: bool) -> NoReturn:
    finding = {"kind": wrong.kind, "file": wrong.place, "line": wrong.line, "number": wrong.number, "message": str(wrong)}
    if as_json:
        click.echo(json.dumps({"ok": False, "checkpoints": finding, "logs": []}))
        raise SystemExit(1)
    raise click.ClickException(plain(f"checkpoints: {wrong.kind}: {wrong.place} line {wrong.line}: {wrong}"))


def _show(reports: tuple[Report, ...], as_json: bool, *, is_covered: bool) -> None:
    is_good = all(report.ok for report in reports)
    if as_json:
        logs = [asdict(report) | {"ok": report.ok, "uncovered": report.uncovered} for report in reports]
        click.echo(json.dumps({"ok": is_good, "checkpoints": None, "logs": logs}))
    elif not reports:
        click.echo("OK: no record; all of them were removed under closing records")
    else:
        for line in (line for report in reports for line in _describe(report, is_covered=is_covered)):
            click.echo(line, err=line.startswith("Error"))
    if not is_good:
        raise SystemExit(1)


def _describe(report: Report, *, is_covered: bool) -> Iterator[str]:
    found = report.finding
    if found is not None:
        yield plain(f"Error: {found.kind}: {found.file} line {found.line}, record {found.number}: {found.message}")
        return
    yield f"OK: {report.records} records, {report.first} to {report.last}; head {report.last}:{report.head}; log {report.log}"
    if is_covered:
        some = "1 checkpoint covers" if report.checkpoints == 1 else f"{report.checkpoints} checkpoints cover"
        yield f"    {some} it up to record {report.covered}"
        if report.uncovered:
            last = "1 record, the last one" if report.uncovered == 1 else f"{report.uncovered} records, the last ones"
            yield f"    not yet covered by a checkpoint: {last}"


audit.add_command(tail)
audit.add_command(search)
