"""The cubbyhole: private to one token and gone with it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compat.command import Command
from tests.compat.wire import Wire


@pytest.fixture
def pair(root: Wire) -> tuple[Wire, Wire]:
    """Return the wires of two tokens."""
    first, second = (root.post("auth/token/create", {"policies": ["default"]}).auth["client_token"] for _ in range(2))
    return root.with_token(first), root.with_token(second)


def test_each_token_has_its_own(root: Wire, pair: tuple[Wire, Wire]) -> None:
    """Nobody else sees it, not even root."""
    mine, yours = pair
    assert mine.put("cubbyhole/a", {"who": "me"}).status == 204
    assert yours.get("cubbyhole/a").status == 404
    assert root.get("cubbyhole/a").status == 404
    assert yours.put("cubbyhole/a", {"who": "you"}).status == 204
    assert mine.get("cubbyhole/a").data == {"who": "me"}
    assert yours.delete("cubbyhole/a").status == 204
    assert mine.get("cubbyhole/a").status == 200


def test_cubbyhole_reads_writes_lists_and_deletes(pair: tuple[Wire, Wire]) -> None:
    """It is a small unversioned store; ttl has no meaning in it."""
    me, _ = pair
    value: dict[str, Any] = {"ttl": "10s", "n": {"d": [1, None]}}
    assert me.list("cubbyhole").json == {"errors": []}
    me.put("cubbyhole/a", value)
    me.put("cubbyhole/d/e", {"k": "v"})
    answer = me.get("cubbyhole/a")
    assert (answer.data, answer.json["lease_duration"]) == (value, 0)
    for path in ("cubbyhole", "cubbyhole/"):
        assert me.list(path).data == {"keys": ["a", "d/"]}
    assert me.list("cubbyhole/d").data == {"keys": ["e"]}
    assert me.delete("cubbyhole/a").status == 204
    assert me.delete("cubbyhole/a").status == 204
    assert me.get("cubbyhole/a").json == {"errors": []}
    assert me.patch("cubbyhole/d/e", {"k": 1}).status in (403, 405)
    assert me.put("cubbyhole/a/", {"k": "v"}).status == 400


def test_cubbyhole_dies_with_its_token(root: Wire, name: str) -> None:
    """A new token with the same chosen id finds nothing."""
    body = {"policies": ["default"], "id": f"chosen-{name}"}
    root.post("auth/token/create", body)
    me = root.with_token(f"chosen-{name}")
    assert me.put("cubbyhole/a", {"k": "v"}).status == 204
    root.post("auth/token/revoke", {"token": f"chosen-{name}"})
    assert me.get("cubbyhole/a").status == 403
    again = root.post("auth/token/create", body)
    if again.status == 200:
        assert me.get("cubbyhole/a").status == 404


def test_cubbyhole_cannot_be_tuned_moved_or_unmounted(root: Wire) -> None:
    """The mount is part of the server."""
    assert root.delete("sys/mounts/cubbyhole").status == 400
    assert root.post("sys/mounts/cubbyhole/tune", {"description": "x"}).status == 400
    assert root.post("sys/remount", {"from": "cubbyhole", "to": "elsewhere"}).status == 400


def test_cubbyhole_by_command(cli: Command) -> None:
    """`bao write|read|list|delete cubbyhole/...`."""
    cli.run("write", "cubbyhole/cmd", "k=v").ok()
    assert cli.json("read", "cubbyhole/cmd")["data"] == {"k": "v"}
    assert "cmd" in cli.json("list", "cubbyhole")
    cli.run("delete", "cubbyhole/cmd").ok()
    assert cli.run("read", "cubbyhole/cmd").code == 2
