"""`bao operator rotate` and `key-status`, and hvac's calls for the same: the data key is replaced and what it sealed stays readable."""

from __future__ import annotations

import json
import os
import subprocess

import hvac
import pytest

from tests.compat.command import Command
from tests.compat.server_process import BIN, ROOT_TOKEN, Server
from tests.compat.wire import Wire


def test_operator_rotates_and_tells_the_key(cli: Command, root: Wire, kv1: str) -> None:
    """The term counts up by one; install time and number of encryptions are those of the new key; old and new secrets are read."""
    assert root.put(f"{kv1}/before", {"k": "v"}).status == 204
    before = cli.json("operator", "key-status")
    cli.run("operator", "rotate").ok()
    after = cli.json("operator", "key-status")
    assert after["term"] == before["term"] + 1
    assert after["install_time"] > before["install_time"]
    assert after["encryptions"] < 100
    shown = cli.run("operator", "key-status").ok().out
    for line in ("Key Term", "Install Time", "Encryption Count"):
        assert line in shown
    assert root.put(f"{kv1}/after", {"k": "w"}).status == 204
    for _ in range(20):
        assert [root.get(f"{kv1}/{name}").data for name in ("before", "after")] == [{"k": "v"}, {"k": "w"}]


@pytest.mark.usefixtures("ours_only")
def test_own_command_rotates_and_tells_the_key(server: Server, cli: Command) -> None:
    """`health-vault operator rotate` and `key-status` do the same."""
    environment = {"VAULT_ADDR": server.url, "VAULT_TOKEN": ROOT_TOKEN, "HOME": str(cli.home), "PATH": os.environ["PATH"]}
    environment |= {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}

    def run(*words: str) -> str:
        command = [str(BIN / "health-vault"), "operator", *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout

    before = json.loads(run("key-status", "-format=json"))["term"]
    assert run("rotate") == "Success! Rotated key\n"
    assert json.loads(run("key-status", "-format=json"))["term"] == before + 1
    assert "Encryption Count" in run("key-status")


def test_operator_without_the_right_rotates_nothing(cli: Command, root: Wire) -> None:
    """The command shows the refusal."""
    token = root.post("auth/token/create", {"policies": ["default"]}).auth["client_token"]
    before = cli.json("operator", "key-status")["term"]
    refused = cli.with_token(token).run("operator", "rotate")
    assert refused.code == 2
    assert "permission denied" in refused.err
    assert cli.with_token(token).run("operator", "key-status").code == 2
    assert cli.json("operator", "key-status")["term"] == before


def test_hvac_rotates_and_reads_the_key(client: hvac.Client) -> None:
    """By its two methods."""
    before = client.sys.get_encryption_key_status()
    assert client.sys.rotate_encryption_key().status_code == 204
    after = client.sys.get_encryption_key_status()
    assert after["data"]["term"] == after["term"] == before["term"] + 1


@pytest.mark.parametrize("path", ["sys/rotate/config", "sys/rotate/keyring/config"])
def test_rotation_is_configured_by_the_command(cli: Command, path: str) -> None:
    """Bounds are told in the reference server's words; what was set is read back."""
    refused = cli.run("write", path, "max_operations=5")
    assert refused.code == 2
    assert "max_operations must be in the range [1000000,3865470566]" in refused.err
    cli.run("write", path, "max_operations=2000000", "interval=36h").ok()
    assert cli.json("read", path)["data"] == {"max_operations": 2_000_000, "interval": "36h0m0s", "enabled": True}
    cli.run("write", path, "max_operations=3865470566", "interval=0").ok()
