"""The command `health-vault`: the client commands, and `server`, which alone needs HTTP delivery."""

import re
import sys
import warnings
from typing import Any

import click

from vault.cli.group import commands
from vault.config import WrongSetting, load_settings
from vault.settings import Settings

# Long options may have one dash, as Vault's command line has it: -dev, -config=FILE.
_SINGLE_DASH = re.compile(r"-[a-z][a-z-]+(?:=.*)?", re.DOTALL)


def normalise(arguments: list[str]) -> list[str]:
    """Return the arguments with two dashes before each long option; what follows `--` stays."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    return [f"-{text}" if _SINGLE_DASH.fullmatch(text) else text for text in arguments[:end]] + arguments[end:]


@commands.command()
@click.option("--dev", is_flag=True, help="Throw-away data, initialised and unsealed.")
@click.option("--dev-root-token-id", help="Root token of the development server.")
@click.option("--dev-listen-address", help="Where the development server listens.")
@click.option("--config", "files", multiple=True, metavar="FILE", help="Configuration file, HCL or JSON; may be repeated.")
@click.option("--address", help="Where to listen.")
@click.option("--workers", help="Worker processes.")
@click.option("--threads", help="Threads of each worker.")
@click.option("--data-dir", help="Folder of the embedded PostgreSQL.")
@click.option("--audit-dir", help="Folder of audit.log where no device is configured.")
@click.option("--pid-file", help="File that holds the process id.")
@click.option("--log-level", help="debug, info, warning or error.")
@click.option("--log-format", help="console or json.")
def server(*, dev: bool, files: tuple[str, ...], dev_listen_address: str | None, **flags: Any) -> None:
    """Run the server."""
    # Client commands must not pay for the imports of a server.
    from api.server import serve  # noqa: PLC0415 - see above
    from api.vault.sink import log_unexpected  # noqa: PLC0415 - see above

    if dev and dev_listen_address:
        flags["address"] = dev_listen_address

    def read() -> Settings:
        return load_settings(dev=dev, flags=flags, files=files)

    try:
        serve(read(), read)
    except WrongSetting as wrong:
        raise click.ClickException(str(wrong)) from None
    except Exception as error:  # noqa: BLE001 - whatever it is, an operator wants a sentence, and its place in the log
        log_unexpected(error)
        raise click.ClickException(f"cannot start: {type(error).__name__}: {error}") from None


def main() -> None:
    """Run the command line."""
    # platformdirs says so, where nobody is logged in, when the embedded PostgreSQL is imported.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    commands.main(args=normalise(sys.argv[1:]), prog_name="health-vault")


if __name__ == "__main__":
    main()
