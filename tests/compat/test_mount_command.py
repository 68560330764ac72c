"""`bao secrets ...`, `bao auth list` and `bao path-help`."""

from __future__ import annotations

import pytest

from tests.compat.command import Command

FAILED = 2


def test_secrets_commands_drive_the_life_of_a_mount(cli: Command, name: str) -> None:
    """enable, list, tune, move and disable do what they say."""
    cli.run("secrets", "enable", f"-path={name}", "-description=mine", "-version=2", "kv").ok()
    entry = cli.json("secrets", "list")[f"{name}/"]
    assert (entry["type"], entry["options"], entry["description"]) == ("kv", {"version": "2"}, "mine")
    assert f"{name}/" in cli.run("secrets", "list").ok().out
    assert entry["accessor"] in cli.run("secrets", "list", "-detailed").ok().out

    cli.run("secrets", "tune", "-default-lease-ttl=30m", "-max-lease-ttl=1h", "-description=tuned", name).ok()
    tuned = cli.json("secrets", "list")[f"{name}/"]
    assert (tuned["config"]["default_lease_ttl"], tuned["config"]["max_lease_ttl"], tuned["description"]) == (1800, 3600, "tuned")

    moved = cli.run("secrets", "move", name, f"{name}-b").ok()
    assert "Success! Finished moving" in moved.out
    cli.run("secrets", "disable", f"{name}-b").ok()
    assert f"{name}-b/" not in cli.json("secrets", "list")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("secrets", "enable", "nosuch"), "plugin not found in the catalog: nosuch"),
        (("secrets", "enable", "-path=sys", "kv"), 'cannot mount "sys/"'),
        (("secrets", "tune", "nosuch"), 'tune of path "nosuch/" failed: no mount entry found'),
        (("secrets", "move", "nosuch", "elsewhere"), 'no matching mount at "nosuch/"'),
        (("secrets", "disable", "cubbyhole"), 'cannot unmount "cubbyhole/"'),
        (("auth", "enable", "nosuch"), "plugin not found in the catalog: nosuch"),
        (("auth", "disable", "token"), "token credential backend cannot be disabled"),
    ],
    ids=" ".join,
)
def test_refused_mount_commands_say_why(cli: Command, words: tuple[str, ...], text: str) -> None:
    """A refusal is exit code 2 and the server's reason."""
    done = cli.run(*words)
    assert done.code == FAILED
    assert text in done.err


def test_auth_list_shows_the_token_method(cli: Command) -> None:
    """The token method is there from the start."""
    assert cli.json("auth", "list")["token/"]["type"] == "token"
    assert "token/" in cli.run("auth", "list").ok().out


@pytest.mark.parametrize(
    "path", ["sys/", "sys/mounts", "sys/policies/acl/x", "auth/token/create", "secret/", "secret/data/x", "cubbyhole/x"]
)
def test_path_help_prints_text(cli: Command, path: str) -> None:
    """Every path has help."""
    shown = cli.run("path-help", path).ok().out
    assert "##" in shown
    assert len(shown) > 40


def test_path_help_names_the_parameters(cli: Command) -> None:
    """The help of a write path lists its fields."""
    shown = cli.run("path-help", "auth/token/create").ok().out
    for field in (
        "display_name",
        "explicit_max_ttl",
        "meta",
        "no_default_policy",
        "num_uses",
        "period",
        "policies",
        "renewable",
        "ttl",
        "type",
    ):
        assert field in shown
    assert cli.run("path-help", "nosuch/x").code == FAILED
