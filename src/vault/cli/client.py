"""The client side of a command: who is asked, how an answer is printed, and which exit code a refusal has.

Exit codes are those of Vault's command line: 1 when the server cannot be reached, 2 when it refuses.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn, ParamSpec, TypeVar
from urllib.parse import quote

import click
import hvac
import requests
from hvac.exceptions import VaultError

from vault.config import load_client_settings
from vault.config_file import WrongSetting

REFUSED = 2
TEXT_MAX = 200  # of an answer that is none of ours
P = ParamSpec("P")
T = TypeVar("T")

format_option = click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", help="How to print the answer.")


class Refused(click.ClickException):
    """The server said no."""

    exit_code = REFUSED


def connect() -> hvac.Client:
    """Return a client for the server that the environment names."""
    try:
        settings = load_client_settings()
    except WrongSetting as wrong:
        raise click.ClickException(str(wrong)) from None
    return hvac.Client(
        url=settings.address,
        token=settings.token.reveal(),
        namespace=settings.namespace or None,
        verify=settings.ca_cert or not settings.skip_verify,
        cert=(settings.client_cert, settings.client_key) if settings.client_cert else None,
    )


def ask(call: Callable[P, T], *arguments: P.args, **fields: P.kwargs) -> T:
    """Call a method of the client; turn its errors into messages."""
    try:
        return call(*arguments, **fields)
    except VaultError as error:
        raise Refused("; ".join(error.errors or ()) or _name_refusal(error)) from None
    except requests.exceptions.SSLError:
        raise click.ClickException(f"the certificate of the server is not trusted, or it does not speak TLS: {_TRUST}") from None
    except (requests.RequestException, OSError) as error:  # OSError: a file of VAULT_CACERT or VAULT_CLIENT_CERT is not there
        raise click.ClickException(f"cannot reach the server at {load_client_settings().address}: {_name_cause(error)}") from None


_TRUST = "see VAULT_CACERT (the authority's certificate), VAULT_CLIENT_CERT and the scheme of VAULT_ADDR"


def _name_cause(error: BaseException) -> str:
    """Return what the system said: the libraries in between only tell that they gave up."""
    if not isinstance(error, requests.RequestException):
        return str(error)
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return below.strerror
        below = below.__cause__ or below.__context__
    return str(error) if isinstance(error, ValueError) else type(error).__name__  # ValueError: VAULT_ADDR is no URL


def _name_refusal(error: VaultError) -> str:
    """Return what a refusal without Vault's list of errors says: that of a listener, or of a proxy."""
    name = type(error).__name__
    known = {"InvalidPath": "no value found", "Forbidden": "permission denied"}.get(name)
    return known or (error.text or "").strip()[:TEXT_MAX] or name


def quote_path(path: str) -> str:
    """Return a path as it stands in a URL."""
    return quote(path.strip("/"), safe="/")


def fail_empty(what: str) -> NoReturn:
    """End a command that found nothing."""
    raise Refused(f"no value found at {what}")


def show(values: Mapping[str, Any], form: str, heading: tuple[str, str] = ("Key", "Value")) -> None:
    """Print key and value pairs as a table, or as JSON."""
    if form == "json":
        click.echo(json.dumps(values, indent=2, ensure_ascii=False))
        return
    rows = [heading, ("-" * len(heading[0]), "-" * len(heading[1])), *((name, _text(value)) for name, value in values.items())]
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}    {value}")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
