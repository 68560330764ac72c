"""`bao token ...` and `bao login`."""

from __future__ import annotations

from tests.compat.command import Command
from tests.compat.server_process import ROOT_TOKEN

FAILED = 2


def test_token_commands_create_look_up_renew_and_revoke(cli: Command) -> None:
    """The whole life of a token by command."""
    words = ("-policy=default", "-ttl=1h", "-display-name=who", "-metadata=k=v", "-use-limit=50", "-explicit-max-ttl=2h")
    made = cli.json("token", "create", *words)["auth"]
    token, accessor = made["client_token"], made["accessor"]
    assert (made["policies"], made["lease_duration"], made["metadata"]) == (["default"], 3600, {"k": "v"})
    found = cli.json("token", "lookup", token)["data"]
    assert (found["display_name"], found["explicit_max_ttl"], found["num_uses"]) == ("token-who", 7200, 50)
    assert cli.json("token", "lookup", "-accessor", accessor)["data"]["accessor"] == accessor
    assert cli.json("token", "renew", "-increment=30m", token)["auth"]["lease_duration"] == 1800
    assert cli.json("token", "renew", "-accessor", accessor)["auth"]["accessor"] == accessor

    mine = cli.with_token(token)
    assert mine.json("token", "lookup")["data"]["id"] == token
    assert mine.json("token", "renew")["auth"]["client_token"] == token
    cli.run("token", "revoke", "-accessor", accessor).ok()
    refused = mine.run("token", "lookup")
    assert refused.code == FAILED
    assert "permission denied" in refused.err


def test_token_create_has_its_options(cli: Command, name: str) -> None:
    """Orphans, batch tokens, periods, roles, chosen ids and a single field."""
    assert cli.json("token", "create", "-policy=default", "-orphan")["auth"]["orphan"] is True
    batch = cli.json("token", "create", "-policy=default", "-type=batch", "-ttl=20m")["auth"]
    assert batch["lease_duration"] == 1200
    assert batch["accessor"] == ""
    assert cli.json("token", "create", "-policy=default", "-period=20m")["auth"]["lease_duration"] == 1200
    assert cli.run("token", "create", "-policy=default", "-field=token", f"-id=id-{name}").ok().out == f"id-{name}"
    cli.run("write", f"auth/token/roles/{name}", "orphan=true", "allowed_policies=a").ok()
    assert cli.json("token", "create", f"-role={name}")["auth"]["policies"] == ["a", "default"]
    shown = cli.run("token", "create", "-policy=default", "-no-default-policy").ok().out
    assert "token_accessor" in shown
    assert "token_duration" in shown


def test_token_revoke_has_its_forms(cli: Command) -> None:
    """By value, of oneself, and sparing the children."""
    for words in (("revoke",), ("revoke", "-mode=orphan")):
        token = cli.run("token", "create", "-policy=default", "-field=token").ok().out
        cli.run("token", *words, token).ok()
        assert cli.with_token(token).run("token", "lookup").code == FAILED
    mine = cli.with_token(cli.run("token", "create", "-policy=default", "-field=token").ok().out)
    mine.run("token", "revoke", "-self").ok()
    assert mine.run("token", "lookup").code == FAILED
    cli.run("token", "revoke", "-accessor", "nosuch").ok()


def test_refused_token_commands_say_why(cli: Command) -> None:
    """The server's reason reaches the user."""
    for words, text in (
        (("token", "renew", "nosuch"), "token not found"),
        (("token", "lookup", "nosuch"), "bad token"),
        (("token", "lookup", "-accessor", "nosuch"), "invalid accessor"),
        (("token", "create", "-role=nosuch"), "unknown role nosuch"),
        (("token", "create", "-policy=a", "-ttl=-5s"), "ttl must be positive"),
    ):
        done = cli.run(*words)
        assert (done.code, text in done.err) == (FAILED, True), words


def test_login_looks_the_token_up_and_stores_it(cli: Command) -> None:
    """`bao login` accepts a valid token, shows its policies, and later commands use what it stored."""
    nobody = cli.with_token(None)
    shown = nobody.run("login", ROOT_TOKEN).ok().out
    assert "Success! You are now authenticated" in shown
    assert '["root"]' in shown
    assert nobody.json("token", "lookup")["data"]["policies"] == ["root"]
    refused = nobody.run("login", "-no-store", "nosuch")
    assert (refused.code, "permission denied" in refused.err) == (FAILED, True)
    assert nobody.json("login", "-no-store", "-method=token", f"token={ROOT_TOKEN}")["auth"]["policies"] == ["root"]
