"""`operator`: the life of a seal, its keys and the schema. A share is asked for, or read from standard input; it may be an argument."""

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

from vault.cli.client import REFUSED, ask, connect, format_option, show
from vault.config import load_settings
from vault.config_file import WrongSetting
from vault.errors import VaultError
from vault.settings import Settings


@click.group()
def operator() -> None:
    """Operate a server."""


@operator.command()
@click.option("--key-shares", type=int, default=5, show_default=True, help="Number of key shares.")
@click.option("--key-threshold", type=int, default=3, show_default=True, help="Number of shares that unseal.")
@click.option("--recovery-shares", type=int, default=5, show_default=True, help="Number of recovery shares, with a static seal.")
@click.option("--recovery-threshold", type=int, default=3, show_default=True, help="Number of recovery shares that prove.")
@click.option("--status", "only_status", is_flag=True, help="Only tell whether the server is initialised: exit code 0 or 2.")
@format_option
def init(*, key_shares: int, key_threshold: int, recovery_shares: int, recovery_threshold: int, only_status: bool, form: str) -> None:
    """Make the keys of a new server and print them: the only copy."""
    client = connect()
    if only_status:
        initialized = ask(client.sys.is_initialized)
        click.echo("Vault is initialized" if initialized else "Vault is not initialized")
        raise click.exceptions.Exit(0 if initialized else REFUSED)
    if ask(client.sys.read_seal_status)["recovery_seal"]:
        # hvac would send the unseal shares too, which a static seal refuses
        shares = {"recovery_shares": recovery_shares, "recovery_threshold": recovery_threshold}
        made, name = ask(client.adapter.put, "/v1/sys/init", json=shares), "Recovery"
        keys = made.get("recovery_keys_base64", [])
        use = f"{recovery_threshold} of {recovery_shares} prove who may decide. The static key unseals; without it the data is lost."
    else:
        made, name = ask(client.sys.initialize, secret_shares=key_shares, secret_threshold=key_threshold), "Unseal"
        keys = made["keys_base64"]
        use = f"{key_threshold} of {key_shares} unseal the server after each start; without them its data is lost."
    if form == "json":
        show(made, form)
        return
    for number, share in enumerate(keys, 1):
        click.echo(f"{name} Key {number}: {share}")
    click.echo(f"\nInitial Root Token: {made['root_token']}")
    click.echo(f"\nKeep the shares apart. {use}")


@operator.command()
@click.argument("share", required=False)
@click.option("--reset", is_flag=True, help="Forget the shares given so far.")
@click.option("--migrate", is_flag=True, help="Move from the stored seal to the configured one.")
@format_option
def unseal(*, share: str | None, reset: bool, migrate: bool, form: str) -> None:
    """Give one key share; asks for it where none is given, `-` reads it from standard input."""
    client = connect()
    given = {"reset": True} if reset else {"key": _read_share(share), "migrate": migrate}
    found = ask(client.sys.submit_unseal_key, **given)
    progress = f"{found['progress']}/{found['t']}"
    show(found if form == "json" else {"Sealed": found["sealed"], "Unseal Progress": progress, "Unseal Nonce": found["nonce"]}, form)


def _read_share(share: str | None) -> str:
    if share == "-" or (share is None and not sys.stdin.isatty()):
        return sys.stdin.readline().strip()
    return share or str(click.prompt("Unseal Key (will be hidden)", hide_input=True)).strip()


@operator.command()
def seal() -> None:
    """Seal the server: no worker serves a secret from here on."""
    ask(connect().sys.seal)
    click.echo("Success! Vault is sealed.")


@operator.command()
def rotate() -> None:
    """Put a fresh data key in use; what older ones encrypted stays readable."""
    ask(connect().sys.rotate_encryption_key)
    click.echo("Success! Rotated key")


@operator.command("key-status")
@format_option
def key_status(form: str) -> None:
    """Tell which data key is in use, since when, and how often it was used."""
    found = ask(connect().sys.get_encryption_key_status)["data"]
    shown = {"Key Term": found["term"], "Install Time": found["install_time"], "Encryption Count": found["encryptions"]}
    show(found if form == "json" else shown, form)


@operator.command()
@click.option("--config", "files", multiple=True, metavar="FILE", help="Configuration file of the server.")
@click.option("--data-dir", help="Folder of the embedded PostgreSQL.")
@click.option("--application-role", default="", metavar="ROLE", help="Role of the servers, to be given the rights that they need.")
@click.option("--reset", is_flag=True, help="Delete everything in the database first.")
@click.option("--yes", is_flag=True, help="Do not ask before deleting.")
def migrate(files: tuple[str, ...], application_role: str, reset: bool, yes: bool, **flags: Any) -> None:
    """Bring the schema of the database up to date, as the owner of its tables."""
    try:
        settings = load_settings(flags=flags, files=files)
    except WrongSetting as wrong:
        raise click.ClickException(str(wrong)) from None
    if reset and not yes:
        click.confirm("Delete every secret, token and policy in the database?", abort=True)
    try:
        names = _migrate(settings, application_role, reset=reset)
    except VaultError as error:
        raise click.ClickException(str(error)) from None
    click.echo("\n".join(f"applied {name}" for name in names) or "nothing to apply")


def _migrate(settings: Settings, role: str, *, reset: bool) -> tuple[str, ...]:
    # Client commands must not pay for the imports of a database.
    from vault.storage import migration  # noqa: PLC0415 - see above
    from vault.storage.embedded import APPLICATION_USER, Embedded  # noqa: PLC0415 - see above

    def apply(dsn: str, role: str = APPLICATION_USER) -> tuple[str, ...]:
        if reset:
            migration.reset(dsn)
        return migration.migrate(dsn, application_role=role)

    if settings.storage.kind == "postgresql":
        return apply(settings.storage.connection_url.reveal(), role)
    with tempfile.TemporaryDirectory(prefix="health-vault-") as scratch:
        embedded = Embedded(Path(settings.storage.path or scratch))
        try:
            return apply(embedded.dsn)  # a server may be running over this folder
        except migration.MigrationError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, PostgreSQL is not running there: run it ourselves
            embedded.start()
        try:
            return apply(embedded.dsn)
        finally:
            embedded.stop()
