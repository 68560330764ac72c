"""`bao status` and `bao operator init|unseal|seal`: what they print and their exit codes."""

from __future__ import annotations

from pathlib import Path

from tests.compat.command import Command
from tests.compat.server_process import configured_server, free_address

SEALED_CODE = 2


def test_operator_commands_drive_a_server_from_init_to_seal(target: str, tmp_path: Path) -> None:
    """Init prints shares and token, unseal counts, status exits 0 only when unsealed, seal works once authenticated."""
    home = tmp_path / "home"
    home.mkdir()
    with configured_server(target, tmp_path) as running:
        command = Command(url=running.url, token=None, home=home)
        status = command.run("status", "-format=json")
        assert status.code == SEALED_CODE
        assert status.json["initialized"] is False
        assert command.run("operator", "init", "-status").code == SEALED_CODE

        made = command.json("operator", "init", "-key-shares=3", "-key-threshold=2")
        assert (len(made["unseal_keys_b64"]), len(made["unseal_keys_hex"])) == (3, 3)
        assert (made["unseal_shares"], made["unseal_threshold"]) == (3, 2)
        assert command.run("operator", "init").code == SEALED_CODE
        assert command.run("operator", "init", "-status").code == 0
        assert command.run("status").code == SEALED_CODE

        step = command.json("operator", "unseal", made["unseal_keys_b64"][0])
        assert (step["sealed"], step["progress"]) == (True, 1)
        assert command.json("operator", "unseal", "-reset")["progress"] == 0
        command.run("operator", "unseal", made["unseal_keys_hex"][0]).ok()
        assert command.json("operator", "unseal", made["unseal_keys_b64"][1])["sealed"] is False
        assert command.run("status").code == 0

        refused = command.run("operator", "seal")
        assert refused.code == SEALED_CODE
        assert "permission denied" in refused.err
        command.with_token(made["root_token"]).run("operator", "seal").ok()
        assert command.run("status").code == SEALED_CODE


def test_status_of_an_unreachable_server_fails(tmp_path: Path) -> None:
    """Nobody listening is exit code 1, not the code of a sealed server."""
    command = Command(url=f"http://{free_address()}", token=None, home=tmp_path)
    assert command.run("status").code == 1


def test_status_of_an_unsealed_server_lists_the_seal(cli: Command) -> None:
    """The table and the JSON of `bao status` carry the seal's facts."""
    facts = cli.json("status")
    assert facts["sealed"] is False
    assert facts["type"] == "shamir"
    assert facts["ha_enabled"] is False
    shown = cli.run("status").ok().out
    for line in ("Seal Type", "Initialized", "Sealed", "Total Shares", "Threshold", "Version", "Storage Type", "HA Enabled"):
        assert line in shown
