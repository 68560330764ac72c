from collections.abc import Callable
from typing import NoReturn

import click
import pytest
import requests
from hvac.exceptions import InvalidRequest, VaultError

from vault.cli.client import ask


def refuse(error: Exception) -> Callable[[], NoReturn]:
    """Return a call that ends so."""

    def call() -> NoReturn:
        raise error

    return call


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("http://nowhere.invalid", "cannot reach the server"),
        ("127.0.0.1:1", "No connection adapters"),
    ],
)
def test_unreachable_server_is_told_with_the_cause(address: str, expected: str) -> None:
    """What the system said, not the name of a class."""
    session = requests.Session()
    session.trust_env = False
    with pytest.raises(click.ClickException, match=expected) as refused:
        ask(session.get, address)
    assert "ConnectionError" not in refused.value.message


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidRequest(text="Client sent an HTTP request to an HTTPS server.\n"), "Client sent an HTTP request to an HTTPS server."),
        (InvalidRequest(errors=["a", "b"], text="x"), "a; b"),
        (VaultError(text="x" * 1000), "x" * 200),
        (VaultError(), "VaultError"),
    ],
)
def test_refusal_is_told_in_the_words_of_whoever_refused(error: VaultError, expected: str) -> None:
    """A listener of TLS and a proxy answer in plain text."""
    with pytest.raises(click.ClickException) as refused:
        ask(refuse(error))
    assert refused.value.message == expected
