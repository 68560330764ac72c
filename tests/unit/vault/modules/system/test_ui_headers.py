from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, PermissionDenied
from vault.logical.operation import Operation

PLACE = "sys/config/ui/headers"


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X-Vault-Token", ["a"]),
        ("x-vault-foo", ["a"]),
        ("X-VAULT", ["a"]),
        ("Content-Length", ["1"]),
        ("transfer-encoding", ["chunked"]),
        ("Set-Cookie", ["a"]),
        ("Access-Control-Allow-Origin", ["*"]),
        ("X A", ["a"]),
        ("X:A", ["a"]),
        ("X-A", []),
        ("X-A", ["a\r\nX-B: c"]),
        ("X-A", ["a\nb"]),
        ("X-A", ["a\0"]),
        ("X-A", ["ok", "é"]),
    ],
)
def test_refused_headers_are_not_kept(world: World, name: str, values: Any) -> None:
    """Neither headers that decide where an answer ends, nor values that would split it."""
    with pytest.raises(InvalidRequest):
        world.write(f"{PLACE}/{name}", values=values)
    assert world.list(PLACE) == ()


def test_headers_need_sudo(world: World) -> None:
    """The right to write is not enough."""
    token = world.holder('path "sys/config/ui/headers*" { capabilities = ["create", "update", "list", "read"] }')
    with pytest.raises(PermissionDenied):
        world.write(f"{PLACE}/X-A", values="a", token=token)
    with pytest.raises(PermissionDenied):
        world.list(PLACE, token=token)


def test_header_is_read_in_either_form(world: World) -> None:
    """The first value, or all; whatever the spelling of the name."""
    world.write(f"{PLACE}/x-FOO", values=["a", "b"])
    assert world.list(PLACE) == ("X-Foo",)
    assert world.read(f"{PLACE}/X-Foo") == {"value": "a"}
    assert world.read(f"{PLACE}/x-foo", multivalue="true") == {"values": ["a", "b"]}
    assert world.send(Operation.READ, f"{PLACE}/other", {}) is None
    world.delete(f"{PLACE}/X-FOO")
    assert world.list(PLACE) == ()


def test_policy_of_content_has_a_warning(world: World) -> None:
    """Who loosens what scripts may do is told so."""
    assert world.write(f"{PLACE}/Content-Security-Policy", values="default-src 'self'").warnings
