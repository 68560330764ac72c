"""sys/capabilities, -self and -accessor: the same answer as enforcement, at top level and in data."""

from __future__ import annotations

from typing import Any

import hvac
import pytest

from tests.compat.command import Command
from tests.compat.conftest import Holder
from tests.compat.wire import Wire

POLICY = """
path "one/exact" { capabilities = ["update", "read", "create"] }
path "one/glob/*" { capabilities = ["list"] }
path "one/glob/none" { capabilities = ["deny"] }
path "one/+/deep" { capabilities = ["delete", "patch"] }
path "one/sudo" { capabilities = ["sudo", "read"] }
path "sys/capabilities-self" { capabilities = ["update"] }
"""
EXPECTED: list[tuple[str, list[str]]] = [
    ("one/exact", ["create", "read", "update"]),
    ("one/glob/x", ["list"]),
    ("one/glob/none", ["deny"]),
    ("one/any/deep", ["delete", "patch"]),
    ("one/sudo", ["read", "sudo"]),
    ("one/other", ["deny"]),
    ("nosuch", ["deny"]),
]


@pytest.mark.parametrize(("path", "capabilities"), EXPECTED)
def test_capabilities_of_a_path_in_each_form(root: Wire, holder: Holder, path: str, capabilities: list[str]) -> None:
    """Self, by token and by accessor agree; the list is sorted and repeated at top level."""
    me = holder(POLICY)
    accessor = root.post("auth/token/lookup", {"token": me.token}).data["accessor"]
    answers = (
        me.post("sys/capabilities-self", {"paths": [path]}),
        root.post("sys/capabilities", {"token": me.token, "paths": [path]}),
        root.post("sys/capabilities-accessor", {"accessor": accessor, "paths": [path]}),
    )
    for answer in answers:
        assert answer.status == 200
        assert answer.data[path] == capabilities
        assert answer.json[path] == capabilities
        assert answer.data["capabilities"] == answer.json["capabilities"] == capabilities


def test_several_paths_have_no_summary(root: Wire) -> None:
    """With several paths there is one member a path and no `capabilities`; root has root everywhere."""
    data = root.post("sys/capabilities-self", {"paths": ["a", "b"]}).data
    assert data == {"a": ["root"], "b": ["root"]}
    assert root.post("sys/capabilities-self", {"path": "a,b"}).data == data


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("sys/capabilities-self", {}, "paths must be supplied"),
    ("sys/capabilities-self", {"paths": []}, "paths must be supplied"),
    ("sys/capabilities-accessor", {"paths": ["a"]}, "missing accessor"),
    ("sys/capabilities-accessor", {"accessor": "nosuch", "paths": ["a"]}, "invalid accessor"),
    ("sys/capabilities", {"token": "nosuch", "paths": ["a"]}, "invalid token"),
]


@pytest.mark.parametrize(("path", "body", "text"), REFUSALS, ids=str)
def test_bad_capability_requests_are_refused(root: Wire, path: str, body: dict[str, Any], text: str) -> None:
    """Missing or unknown subjects are a 400 with a reason."""
    answer = root.post(path, body)
    assert answer.status == 400
    assert text in answer.errors[0]


def test_capabilities_need_a_token_and_a_right(anonymous: Wire, holder: Holder) -> None:
    """capabilities-self is granted by policy like everything else."""
    assert anonymous.post("sys/capabilities-self", {"paths": ["a"]}).status == 403
    assert holder('path "x" { capabilities = ["read"] }').post("sys/capabilities-self", {"paths": ["a"]}).status == 403


def test_hvac_and_the_command_ask_for_capabilities(client: hvac.Client, cli: Command, holder: Holder) -> None:
    """Both clients read the same answer."""
    me = holder(POLICY)
    assert client.sys.get_capabilities(["one/exact"], token=me.token)["data"]["one/exact"] == ["create", "read", "update"]
    assert cli.json("token", "capabilities", str(me.token), "one/exact") == ["create", "read", "update"]
    assert cli.run("token", "capabilities", "secret/x").ok().out.strip() == "root"
    assert cli.with_token(me.token).run("token", "capabilities", "one/other").ok().out.strip() == "deny"
