"""`seal "static"` as the real command drives it: init with recovery shares, restarts that need nobody, migration there and back."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.compat.command import Command
from tests.compat.server_process import Server, await_active, configured_server, persistent_storage
from tests.compat.test_seal import await_mount, initialise, unseal
from tests.compat.wire import Wire

KEY_BYTES = 32
SEAL_SECONDS_MAX = 20.0
OPENING_SECONDS = 2.5  # a server that could open itself would have done so


def static(folder: Path, key_id: str, previous_id: str = "", *, disabled: bool = False) -> str:
    """Return the stanza of a static seal whose keys lie in files."""
    for name in filter(None, (key_id, previous_id)):
        key = folder / name
        if not key.exists():
            key.write_bytes(bytes(name.encode() * KEY_BYTES)[:KEY_BYTES])
    previous = f'  previous_key_id = "{previous_id}"\n  previous_key = "file://{folder / previous_id}"\n' if previous_id else ""
    return (
        f'seal "static" {{\n  current_key_id = "{key_id}"\n  current_key = "file://{folder / key_id}"\n{previous}'
        f"{'  disabled = true' if disabled else ''}\n}}\n"
    )


def await_open(wire: Wire) -> Any:
    """Wait until the server is unsealed; return its seal status."""
    deadline = time.monotonic() + SEAL_SECONDS_MAX
    while (status := wire.get("sys/seal-status").json).get("sealed", True):  # the reference has moments without an answer
        assert time.monotonic() < deadline, "the server stays sealed"
        time.sleep(0.05)
    await_active(wire)
    return status


def command_of(server: Server, folder: Path, token: str | None = None) -> Command:
    """Return the bao command for a server."""
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return Command(url=server.url, token=token, home=home)


def write_secret(root: Wire) -> None:
    """Store what must be there after every restart."""
    assert root.post("sys/mounts/kept", {"type": "kv", "options": {"version": "1"}}).status == 204
    await_mount(root, "kept")
    assert root.put("kept/a", {"k": "v"}).status == 204


def test_static_seal_lives_through_restarts_and_a_change_of_its_key(target: str, tmp_path: Path) -> None:
    """Init answers recovery keys; a restart needs nobody; with the previous key named once, the new one is enough."""
    storage = persistent_storage(target, tmp_path)
    with configured_server(target, tmp_path, storage + static(tmp_path, "one")) as running:
        command = command_of(running, tmp_path)
        assert command.run("status").code == 2
        refused = running.anonymous.put("sys/init", {"secret_shares": 5, "secret_threshold": 3})
        assert (refused.status, refused.errors) == (
            400, ["parameters secret_shares,secret_threshold not applicable to seal type static"],
        )  # fmt: skip
        made = command.json("operator", "init", "-recovery-shares=3", "-recovery-threshold=2")
        assert (made["unseal_keys_b64"], made["unseal_keys_hex"]) == ([], [])
        assert (len(made["recovery_keys_b64"]), made["recovery_keys_shares"], made["recovery_keys_threshold"]) == (3, 3, 2)
        status = await_open(running.anonymous)
        assert (status["type"], status["recovery_seal"], status["t"], status["n"]) == ("static", True, 2, 3)
        assert "Recovery Seal Type" in command.run("status").ok().out
        root = running.anonymous.with_token(made["root_token"])
        write_secret(root)
        command.with_token(made["root_token"]).run("operator", "seal").ok()
        time.sleep(OPENING_SECONDS)
        assert running.anonymous.get("sys/seal-status").json["sealed"] is True
    for stanza in (static(tmp_path, "two", "one"), static(tmp_path, "two")):
        with configured_server(target, tmp_path, storage + stanza) as running:
            await_open(running.anonymous)
            assert running.anonymous.with_token(made["root_token"]).get("kept/a").data == {"k": "v"}


def test_seal_by_hand_is_undone_by_recovery_shares(target: str, tmp_path: Path) -> None:
    """Not by any others, and not by one too few."""
    with configured_server(target, tmp_path, persistent_storage(target, tmp_path) + static(tmp_path, "one")) as running:
        command = command_of(running, tmp_path)
        made = command.json("operator", "init", "-recovery-shares=3", "-recovery-threshold=2")
        await_open(running.anonymous)
        command.with_token(made["root_token"]).run("operator", "seal").ok()
        keys = made["recovery_keys_b64"]
        assert command.json("operator", "unseal", keys[0])["progress"] == 1
        assert command.run("operator", "unseal", "11" * 33).code == 2
        assert running.anonymous.get("sys/seal-status").json["sealed"] is True
        for key in keys[1:]:
            command.run("operator", "unseal", key).ok()
        await_open(running.anonymous)


def test_migration_to_a_static_seal_and_back(target: str, tmp_path: Path) -> None:
    """With the same shares all the way: they unseal, then they recover, then they unseal again."""
    storage = persistent_storage(target, tmp_path)
    with configured_server(target, tmp_path, storage) as running:
        made = initialise(running.anonymous, 3, 2)
        unseal(running.anonymous, made["keys"][:2])
        await_active(running.anonymous)
        write_secret(running.anonymous.with_token(made["root_token"]))
        refused = running.anonymous.put("sys/unseal", {"key": made["keys"][0], "migrate": True})
        assert refused.errors == ["can't perform a seal migration, no migration seal found"]
    for stanza, kind in ((static(tmp_path, "one"), "static"), (static(tmp_path, "one", disabled=True), "shamir")):
        with configured_server(target, tmp_path, storage + stanza) as running:
            _migrate(running, tmp_path, made, kind)
        with configured_server(target, tmp_path, storage + stanza) as running:
            assert running.anonymous.get("sys/seal-status").json["migration"] is False
            if kind == "shamir":
                unseal(running.anonymous, made["keys"][1:])
            await_open(running.anonymous)
            assert running.anonymous.with_token(made["root_token"]).get("kept/a").data == {"k": "v"}


def _migrate(running: Server, folder: Path, made: dict[str, Any], kind: str) -> None:
    wire, command = running.anonymous, command_of(running, folder)
    status = wire.get("sys/seal-status").json
    assert (status["type"], status["migration"], status["sealed"], status["t"]) == (kind, True, True, 2)
    refused = wire.put("sys/unseal", {"key": made["keys"][0]})
    assert refused.errors == ["migrate option not provided and seal migration is pending"]
    assert command.run("operator", "unseal", made["keys"][0]).code == 2
    assert command.json("operator", "unseal", "-migrate", made["keys"][0])["progress"] == 1
    assert command.run("operator", "unseal", "-migrate", "11" * 33).code == 2
    assert wire.get("sys/seal-status").json["progress"] == 0
    for key in made["keys"][1:]:
        command.run("operator", "unseal", "-migrate", key).ok()
    await_open(wire)
    assert wire.with_token(made["root_token"]).get("kept/a").data == {"k": "v"}


def test_static_seal_without_its_key_does_not_start(target: str, tmp_path: Path) -> None:
    """A server that could never open what is stored says so and ends."""
    storage = persistent_storage(target, tmp_path)
    with configured_server(target, tmp_path, storage + static(tmp_path, "one")) as running:
        command_of(running, tmp_path).json("operator", "init", "-recovery-shares=1", "-recovery-threshold=1")
        await_open(running.anonymous)
    start = configured_server(target, tmp_path, storage)
    with pytest.raises(RuntimeError, match='cannot seal migrate from "static" to Shamir, no disabled seal in configuration'), start:
        pass


@pytest.mark.parametrize("verb", ["rekey", "rotate-keys"])
def test_recovery_shares_and_the_root_key_are_replaced(target: str, tmp_path: Path, verb: str) -> None:
    """On the proof of the present shares; a restart after it all needs nobody."""
    storage = persistent_storage(target, tmp_path) + static(tmp_path, "one")
    with configured_server(target, tmp_path, storage) as running:
        made = command_of(running, tmp_path).json("operator", "init", "-recovery-shares=3", "-recovery-threshold=2")
        await_open(running.anonymous)
        command = command_of(running, tmp_path, made["root_token"])
        root = running.anonymous.with_token(made["root_token"])
        write_secret(root)
        begin = ("operator", verb, "-target=recovery", "-init", "-key-shares=2", "-key-threshold=2", "-verify")
        begun = command.json(*begin)
        give = ("operator", verb, "-target=recovery", f"-nonce={begun['nonce']}")
        done = [command.json(*give, key) for key in made["recovery_keys_b64"][:2]][-1]
        check = ("operator", verb, "-target=recovery", "-verify", f"-nonce={done['verification_nonce']}")
        assert "verification successful" in [command.run(*check, key).ok().out for key in done["keys"]][-1]
        assert root.put("sys/rotate/root").status == 204
        assert (running.anonymous.get("sys/seal-status").json["t"], running.anonymous.get("sys/seal-status").json["n"]) == (2, 2)
        again = command.json(*begin)
        assert command.run(*give[:-1], f"-nonce={again['nonce']}", made["recovery_keys_b64"][0]).code == 0
        assert command.run(*give[:-1], f"-nonce={again['nonce']}", made["recovery_keys_b64"][1]).code != 0
    with configured_server(target, tmp_path, storage) as running:
        await_open(running.anonymous)
        assert running.anonymous.with_token(made["root_token"]).get("kept/a").data == {"k": "v"}
