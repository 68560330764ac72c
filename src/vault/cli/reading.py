"""`audit tail` and `audit search`: audit logs as people read them, one line for each request."""

import time
from collections import deque
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import orjson

from vault.audit.reading import Event, Filter, Joiner, parse_time
from vault.audit.source import UNREADABLE, lines_of
from vault.audit.tail import FileTail, TableTail
from vault.cli.database import database_option, open_database
from vault.clock import SystemClock
from vault.errors import StorageUnavailable
from vault.logical.args import parse_duration

_POLL_SECONDS = 0.5
_CLOCKS_SECONDS = 86_400.0  # by which two clocks may differ
_FOREVER = 1e11  # unix seconds, beyond the year 5000

json_option = click.option("--json", "as_json", is_flag=True, help="Print the records as they are.")


def _parse_moment(_context: click.Context, _parameter: click.Parameter, text: str | None) -> datetime | None:
    """Read a time, a date, or how long ago it was."""
    if text is None:
        return None
    found = parse_time(text)
    if found is not None:
        return found
    try:
        return datetime.fromtimestamp(SystemClock.now(), UTC) - timedelta(seconds=parse_duration(text))
    except (ValueError, OverflowError):
        raise click.BadParameter("expected a time like 2026-01-31T08:00:00Z, a date, or how long ago like 24h") from None


@click.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path))
@click.option("--path", default="", help="Path of the request; * and ? stand for anything, slashes included.")
@click.option("--entity", default="", help="Entity id, display name, or accessor as the log shows it.")
@click.option("--operation", default="", help="create, read, update, delete, list, ...")
@click.option("--since", callback=_parse_moment, help="Time, date, or how long ago, like 24h.")
@click.option("--until", callback=_parse_moment, help="The same; what happened then is not shown.")
@click.option("--limit", type=click.IntRange(min=1), default=100, show_default=True, help="How many are shown: the latest.")
@database_option
@json_option
def search(files: tuple[Path, ...], *, limit: int, database: str | None, as_json: bool, **wanted: Any) -> None:
    """Find requests in audit files, oldest first, or without files in the audit table."""
    chosen = Filter(**wanted)
    try:
        if files:
            found = _select((line for file in files for line in lines_of(file)), chosen, limit)
        else:
            with open_database(database) as reader:
                # The table is ordered by the database's clock, records tell the server's.
                since = chosen.since.timestamp() - _CLOCKS_SECONDS if chosen.since else 0.0
                until = chosen.until.timestamp() + _CLOCKS_SECONDS if chosen.until else _FOREVER
                found = _select(reader.lines_between(since, until), chosen, limit)
    except UNREADABLE as error:
        raise click.ClickException(f"the file cannot be read: {error}") from None
    except StorageUnavailable as error:
        raise click.ClickException(f"the audit table cannot be read: {error.__cause__}") from None
    for event in found:
        _show(event, as_json)


def _select(lines: Iterable[bytes], chosen: Filter, limit: int) -> Iterable[Event]:
    joiner = Joiner()
    kept: deque[Event] = deque(maxlen=limit)
    kept.extend(event for event in joiner.join(lines) if chosen.wants(event))
    kept.extend(event for event in joiner.rest() if chosen.wants(event))
    return kept


@click.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("-n", "--lines", "count", type=click.IntRange(min=0), default=10, show_default=True, help="How many to begin with.")
@click.option("--follow/--no-follow", default=True, help="Go on with what comes.")
@database_option
@json_option
def tail(file: Path | None, *, count: int, follow: bool, database: str | None, as_json: bool) -> None:
    """Show the latest requests of an audit file, or without one of the audit table, and those that come."""
    try:
        if file is not None:
            _follow(FileTail(file).polls(), count, as_json, follow=follow)
        else:
            with open_database(database) as reader:
                _follow(TableTail(reader, 4 * count + 100).polls(), count, as_json, follow=follow)
    except OSError as error:
        raise click.ClickException(f"the file cannot be read: {error}") from None
    except StorageUnavailable as error:
        raise click.ClickException(f"the audit table cannot be read: {error.__cause__}") from None
    except KeyboardInterrupt:
        return


def _follow(polls: Iterator[Iterable[bytes]], count: int, as_json: bool, *, follow: bool) -> None:
    """Show the last events of what is there, then every one that comes."""
    joiner = Joiner()
    for event in deque(joiner.join(next(polls)), maxlen=count):
        _show(event, as_json)
    while follow:
        for event in joiner.join(next(polls)):
            _show(event, as_json)
        time.sleep(_POLL_SECONDS)


def _show(event: Event, as_json: bool) -> None:
    if as_json:
        for record in event.records:
            click.echo(orjson.dumps(record))
        return
    who = plain(event.who or "-") + (f" ({plain(event.entity)})" if event.entity else "")
    where = f" from {plain(event.address)}" if event.address else ""
    outcome = plain(" ".join(event.outcome.split()))
    click.echo(f"{plain(event.time):<30} {who:<20} {plain(event.operation):<8} {plain(event.path)}  {outcome}{where}")


def plain(text: str) -> str:
    """Return a text that a terminal shows and does not obey."""
    return "".join(character if character.isprintable() else character.encode("unicode_escape").decode() for character in text)
