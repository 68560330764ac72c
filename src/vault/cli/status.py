"""`status`: is the server sealed? The exit code says so, too: 0 unsealed, 2 sealed, 1 unreachable."""

import click

from vault.cli.client import REFUSED, ask, connect, format_option, show

_ROWS = {
    "type": "Seal Type",
    "initialized": "Initialized",
    "sealed": "Sealed",
    "n": "Total Shares",
    "t": "Threshold",
    "progress": "Unseal Progress",
    "version": "Version",
    "storage_type": "Storage Type",
    "cluster_name": "Cluster Name",
    "cluster_id": "Cluster ID",
}


@click.command()
@format_option
def status(form: str) -> None:
    """Print the state of the seal."""
    found = ask(connect().sys.read_seal_status)
    show(found if form == "json" else {label: found[name] for name, label in _ROWS.items() if name in found}, form)
    if found["sealed"]:
        raise click.exceptions.Exit(REFUSED)
