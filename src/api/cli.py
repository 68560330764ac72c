"""The command `health-vault`: the client commands, and `server`, which alone needs HTTP delivery."""

import re
import sys
import warnings
from collections.abc import Callable
from typing import Any

import click
import structlog

from vault.cli.group import NAME, commands
from vault.config import load_settings
from vault.config_file import WrongSetting
from vault.errors import VaultError
from vault.options import BLOCKS, TOP
from vault.settings import Settings

# Long options may have one dash, as Vault's command line has it: -dev, -config=FILE.
_SINGLE_DASH = re.compile(r"-[a-z][a-z-]+(?:=.*)?", re.DOTALL)


def normalise(arguments: list[str]) -> list[str]:
    """Return the arguments with two dashes before each long option; what follows `--` stays."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [f"-{text}" if _SINGLE_DASH.fullmatch(text) else text for text in arguments[:end]] + arguments[end:]


def _add_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give the command a flag for every setting that is no secret."""
    for block, table in reversed((("", TOP), *BLOCKS.items())):
        for option in reversed(table):
            if not option.secret:
                name = f"{block}-{option.name}" if block else option.name
                command = click.option(f"--{name.replace('_', '-')}", metavar="VALUE", help=option.help)(command)
    return command


@commands.command()
@click.option("--dev", is_flag=True, help="Throw-away data, initialised and unsealed.")
@click.option("--dev-listen-address", help="Where the development server listens.")
@click.option("--config", "files", multiple=True, metavar="PATH", help="Configuration file or folder, HCL or JSON; may be repeated.")
@click.option("--check", is_flag=True, help="Check the configuration and stop.")
@click.option("--address", help="Short for --listener-address.")
@_add_flags
def server(*, dev: bool, dev_listen_address: str | None, files: tuple[str, ...], check: bool, address: str | None, **flags: Any) -> None:
    """Run the server."""
    # Client commands must not pay for the imports of a server.
    from api.server import serve  # noqa: PLC0415 - see above
    from api.vault.sink import log_unexpected  # noqa: PLC0415 - see above

    flags["listener_address"] = (dev_listen_address if dev else None) or address or flags["listener_address"]

    def read() -> Settings:
        return load_settings(dev=dev, flags=flags, files=files)

    try:
        settings = read()
        if check:
            _check(settings)
        else:
            serve(settings, read)
    except WrongSetting as wrong:
        raise click.ClickException(str(wrong)) from None
    except VaultError as refusal:  # its text is public; where the log goes to a file, that must hold it, too
        structlog.get_logger(__name__).error("cannot start", reason=str(refusal))
        raise click.ClickException(f"cannot start: {refusal}") from None
    except Exception as error:  # noqa: BLE001 - whatever it is, an operator wants a sentence, and its place in the log
        log_unexpected(error)
        raise click.ClickException(f"cannot start: {type(error).__name__}: {error}") from None


def _check(settings: Settings) -> None:
    """Say what a server would make of the settings; raises WrongSetting."""
    from api.server import check_settings  # noqa: PLC0415 - client commands must not pay for it

    check_settings(settings)
    for warning in settings.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo("The configuration can be used.")


def main() -> None:
    """Run the command line."""
    # platformdirs says so, where nobody is logged in, when the embedded PostgreSQL is imported.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    commands.main(args=normalise(sys.argv[1:]), prog_name=NAME)


if __name__ == "__main__":
    main()
