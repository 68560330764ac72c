"""How a command reaches the database of the audit table. A password comes from the environment or a file, never from a command line."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import click
from click.core import ParameterSource

from vault.audit.source import Table

VARIABLE = "HEALTH_VAULT_STORAGE_CONNECTION_URL"


def _check_url(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    if not value:
        return value
    from vault.storage.evidence import names_password  # noqa: PLC0415 - other commands must not pay for its imports

    try:
        has_password = names_password(value)
    except ValueError:
        raise click.UsageError(f"--database or {VARIABLE}: expected a connection URL of PostgreSQL") from None
    if has_password and context.get_parameter_source(parameter.name or "") is ParameterSource.COMMANDLINE:
        raise click.UsageError(f"--database: others see a password on a command line: put the URL into {VARIABLE}, or use a passfile")
    return value


database_option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
    "--database", metavar="URL", envvar=VARIABLE, callback=_check_url, help=f"Database of the audit table [{VARIABLE}]; used without files."
)


@contextmanager
def open_database(url: str | None) -> Iterator[Table]:
    """Read the audit tables of a database; raises StorageUnavailable."""
    if not url:
        raise click.UsageError(f"name the database of the audit table: --database or {VARIABLE}")
    from vault.storage.evidence import open_reader  # noqa: PLC0415 - as above

    with open_reader(url) as reader:
        yield reader
