"""The client commands, as one table."""

import click

from vault.cli.audit import audit
from vault.cli.kv import kv
from vault.cli.operator import operator
from vault.cli.status import status
from vault.version import VERSION


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(f"Health Vault v{VERSION}")


commands = click.Group(
    name="health-vault",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A secrets service that speaks HashiCorp Vault's API. Client commands go to VAULT_ADDR, as VAULT_TOKEN.",
    commands={"audit": audit, "kv": kv, "operator": operator, "status": status, "version": version},
)
