"""`audit verify`: check audit files offline, without a server and without keys."""

from pathlib import Path

import click

from vault.audit.chain import GENESIS
from vault.audit.verify import verify as verify_files


@click.group()
def audit() -> None:
    """Work with audit logs."""


@audit.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--start", type=click.IntRange(min=1), default=1, show_default=True, help="Number of the first record.")
@click.option("--previous", default=GENESIS, help="Hash that the first record continues, where earlier files are elsewhere.")
@click.option("--head", metavar="NUMBER:HASH", help="Last record that must be there; finds a tail that was cut off.")
def verify(files: tuple[Path, ...], start: int, previous: str, head: str | None) -> None:
    """Check audit files, oldest first: names the record that was edited, removed, inserted or reordered."""
    expected = None
    if head is not None:
        number, _, digest = head.partition(":")
        if not number.isdecimal() or not digest:
            raise click.UsageError("--head: expected NUMBER:HASH")
        expected = (int(number), digest)
    report = verify_files(files, start=start, previous=previous, expected_head=expected)
    if report.finding is not None:
        found = report.finding
        raise click.ClickException(f"{found.kind}: {found.file} line {found.line}, record {found.number}: {found.message}")
    click.echo(f"OK: {report.records} records, {report.first} to {report.last}; head {report.last}:{report.head}")
