from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault.cors import HEADERS
from vault.errors import InvalidRequest, PermissionDenied

PLACE = "sys/config/cors"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"allowed_origins": ""},
        {"allowed_origins": "*,https://a.example"},
        {"allowed_origins": "*", "allow_credentials": True},
        {"allowed_origins": "null"},
        {"allowed_origins": "https://a.example,null"},
        {"allowed_origins": "https://*.example"},
        {"allowed_origins": "https://a.example/"},
        {"allowed_origins": "https://a.example\r\nX-A: b"},
        {"allowed_origins": "a.example"},
        {"allowed_origins": "https://a.example", "allowed_headers": "X-A: b"},
        {"allowed_origins": "https://a.example", "allowed_headers": ["X-A\r\nB"]},
        {"allowed_origins": [f"https://a{number}.example" for number in range(101)]},
    ],
    ids=str,
)
def test_refused_lists_change_nothing(world: World, fields: dict[str, Any]) -> None:
    """What is no list of origins is refused, and the list in force stays."""
    world.write(PLACE, allowed_origins="https://before.example")
    with pytest.raises(InvalidRequest):
        world.write(PLACE, **fields)
    assert world.read(PLACE)["allowed_origins"] == ["https://before.example"]


def test_list_needs_sudo(world: World) -> None:
    """The right to write is not enough."""
    token = world.holder('path "sys/config/cors" { capabilities = ["read", "update", "delete"] }')
    with pytest.raises(PermissionDenied):
        world.write(PLACE, allowed_origins="https://a.example", token=token)
    with pytest.raises(PermissionDenied):
        world.read(PLACE, token=token)


def test_list_is_read_as_it_was_written(world: World) -> None:
    """Origins, and the headers besides the usual ones."""
    assert world.read(PLACE) == {"enabled": False}
    world.write(PLACE, allowed_origins="https://a.example,http://b.example:8080", allowed_headers="X-Foo", allow_credentials=True)
    assert world.read(PLACE) == {
        "enabled": True,
        "allowed_origins": ["https://a.example", "http://b.example:8080"],
        "allowed_headers": [*HEADERS, "X-Foo"],
        "allow_credentials": True,
    }
    world.delete(PLACE)
    assert world.read(PLACE) == {"enabled": False}


def test_configured_origins_stay(world: World) -> None:
    """What the configuration names cannot be taken away, nor made open to credentials together with a star."""
    world.origins = ("*",)
    worker = world.worker()
    assert worker.seal.is_open()
    assert world.read(PLACE, worker=worker)["allowed_origins"] == ["*"]
    with pytest.raises(InvalidRequest):
        world.write(PLACE, worker=worker, allowed_origins="https://a.example", allow_credentials=True)
