"""The client commands, as one table."""

import click

from vault.cli.audit import audit
from vault.cli.kv import kv
from vault.cli.operator import operator
from vault.cli.status import status
from vault.version import VERSION

NAME = "health-vault"
_VERSION_LINE = f"{NAME} v{VERSION}"  # scripts for Vault read the second word of theirs


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(_VERSION_LINE)


_with_version = click.version_option(VERSION, "-v", "--version", message=_VERSION_LINE)
commands: click.Group = _with_version(
    click.Group(
        name=NAME,
        context_settings={"help_option_names": ["-h", "--help"]},
        help="A secrets service that speaks HashiCorp Vault's API. Client commands go to VAULT_ADDR, as VAULT_TOKEN.",
        commands={"audit": audit, "kv": kv, "operator": operator, "status": status, "version": version},
    )
)
