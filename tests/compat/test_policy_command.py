"""`bao policy ...`."""

from __future__ import annotations

from pathlib import Path

from tests.compat.command import Command

FAILED = 2
TEXT = 'path "x/*" {\ncapabilities=["read"]\n}\n'


def test_policy_commands_write_read_list_and_delete(cli: Command, name: str, tmp_path: Path) -> None:
    """The text comes back byte for byte, from a file and from standard input."""
    source = tmp_path / "p.hcl"
    source.write_text(TEXT)
    cli.run("policy", "write", name, str(source)).ok()
    assert cli.run("policy", "read", name).ok().out.strip() == TEXT.strip()
    assert name in cli.json("policy", "list")
    cli.run("policy", "write", name, "-", stdin='path "y" { capabilities = ["list"] }').ok()
    assert 'path "y"' in cli.run("policy", "read", name).ok().out
    cli.run("policy", "delete", name).ok()
    gone = cli.run("policy", "read", name)
    assert (gone.code, gone.err.strip()) == (FAILED, f"No policy named: {name}")


def test_policy_fmt_formats_a_file(cli: Command, tmp_path: Path) -> None:
    """Formatting is local and parses the file."""
    source = tmp_path / "p.hcl"
    source.write_text(TEXT)
    cli.run("policy", "fmt", str(source)).ok()
    assert source.read_text() == 'path "x/*" {\n  capabilities = ["read"]\n}\n'


def test_refused_policy_commands_say_why(cli: Command, tmp_path: Path) -> None:
    """Protected names and bad texts are exit code 2 with the server's reason."""
    source = tmp_path / "p.hcl"
    source.write_text(TEXT)
    refused = cli.run("policy", "write", "root", str(source))
    assert (refused.code, 'cannot update "root" policy' in refused.err) == (FAILED, True)
    refused = cli.run("policy", "delete", "default")
    assert (refused.code, "cannot delete default policy" in refused.err) == (FAILED, True)
    refused = cli.run("policy", "write", "bad", "-", stdin='path "a" { capabilities = ["fly"] }')
    assert (refused.code, "failed to parse policy" in refused.err) == (FAILED, True)


def test_generic_commands_reach_policies(cli: Command, name: str) -> None:
    """read, write, list and delete work on any path."""
    cli.run("write", f"sys/policies/acl/{name}", 'policy=path "a" { capabilities = ["read"] }').ok()
    assert cli.json("read", f"sys/policies/acl/{name}")["data"]["name"] == name
    assert name in cli.json("list", "sys/policies/acl")
    assert cli.run("read", "-field=name", f"sys/policies/acl/{name}").ok().out == name
    cli.run("delete", f"sys/policies/acl/{name}").ok()
    assert cli.run("read", f"sys/policies/acl/{name}").code == FAILED
