"""`operator` where nobody answers."""

import socket

import pytest
from click.testing import CliRunner

from vault.cli.operator import operator


def find_closed_port() -> int:
    """Return a port of the loopback at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def test_migrate_tells_why_the_database_is_not_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operator gets a sentence, and the password of the URL is not in it."""
    url = f"postgresql://owner:hidden@127.0.0.1:{find_closed_port()}/vault"
    monkeypatch.setenv("HEALTH_VAULT_STORAGE_CONNECTION_URL", url)
    answer = CliRunner().invoke(operator, ["migrate"])
    assert answer.exit_code == 1
    assert "Error: the database refuses or cannot be reached: connection" in answer.output
    assert "hidden" not in answer.output


def test_address_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most often VAULT_ADDR is not what somebody thinks it is."""
    monkeypatch.setenv("VAULT_ADDR", f"http://127.0.0.1:{find_closed_port()}")
    answer = CliRunner().invoke(operator, ["key-status"])
    assert answer.exit_code == 1
    assert "Error: cannot reach the server at http://127.0.0.1:" in answer.output


def test_missing_authority_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong path in VAULT_CACERT is told as such."""
    monkeypatch.setenv("VAULT_ADDR", f"https://127.0.0.1:{find_closed_port()}")
    monkeypatch.setenv("VAULT_CACERT", "/nowhere/ca.pem")
    answer = CliRunner().invoke(operator, ["key-status"])
    assert answer.exit_code == 1
    assert "/nowhere/ca.pem" in answer.output
