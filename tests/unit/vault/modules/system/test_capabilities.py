"""Capabilities of the caller, of a token, of an accessor."""

from typing import Any

import pytest

from tests.unit.vault.modules.system.world import ROOT, World
from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.operation import Operation

POLICY = """
path "one/exact" { capabilities = ["update", "read", "create"] }
path "one/glob/*" { capabilities = ["list"] }
path "one/glob/none" { capabilities = ["deny"] }
path "sys/capabilities-self" { capabilities = ["update"] }
"""


@pytest.mark.parametrize(
    ("path", "fields", "text"),
    [
        ("sys/capabilities-self", {}, "paths must be supplied"),
        ("sys/capabilities-self", {"paths": []}, "paths must be supplied"),
        ("sys/capabilities-self", {"paths": ""}, "paths must be supplied"),
        ("sys/capabilities-self", {"paths": [""]}, "missing path"),
        ("sys/capabilities-self", {"paths": {"a": 1}}, "paths"),
        ("sys/capabilities-self", {"paths": ["x"] * 1001}, "more than 1000 paths"),
        ("sys/capabilities", {"paths": ["a"]}, "no token found"),
        ("sys/capabilities", {"token": "nosuch", "paths": ["a"]}, "invalid token"),
        ("sys/capabilities", {"token": ROOT}, "paths must be supplied"),
        ("sys/capabilities-accessor", {"paths": ["a"]}, "missing accessor"),
        ("sys/capabilities-accessor", {"accessor": "nosuch", "paths": ["a"]}, "invalid accessor"),
        ("sys/capabilities-accessor", {"accessor": "a/b", "paths": ["a"]}, "invalid accessor"),
    ],
    ids=str,
)
def test_question_without_subject_or_path_is_refused(world: World, path: str, fields: dict[str, Any], text: str) -> None:
    """A refusal says what is missing."""
    with pytest.raises(InvalidRequest) as refusal:
        world.answer(Operation.UPDATE, path, fields)
    assert text in str(refusal.value)


def test_answers_agree_in_all_three_forms(world: World) -> None:
    """Self, by token and by accessor tell the same; one path has a summary, several have none."""
    token = world.holder(POLICY)
    accessor = world.accessor(token)
    expected = {"one/exact": ["create", "read", "update"], "one/glob/x": ["list"], "one/glob/none": ["deny"], "other": ["deny"]}
    paths = list(expected)
    assert world.write("sys/capabilities-self", token=token, paths=paths).data == expected
    assert world.write("sys/capabilities-accessor", accessor=accessor, paths=paths).data == expected
    assert world.answer(Operation.UPDATE, "sys/capabilities", {"token": token, "path": ",".join(paths)}).data == expected
    assert world.write("sys/capabilities-self", paths="a").data == {"a": ["root"], "capabilities": ["root"]}


def test_caller_without_a_token_is_denied(world: World) -> None:
    """The question is granted by policy like everything else."""
    with pytest.raises(PermissionDenied):
        world.write("sys/capabilities-self", token=None, paths=["a"])
    with pytest.raises(PermissionDenied):
        world.write("sys/capabilities-self", token=world.issue("nothing"), paths=["a"])
