"""Request headers on record: which, on which workers, and what is hashed whatever was asked for."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.modules.system.world import ROOT, World
from vault import limits
from vault.audit.device import DeviceConfig
from vault.errors import DeniedByPolicy, InvalidRequest, UnsupportedPath
from vault.logical.operation import Operation

PLACE = "sys/config/auditing/request-headers"
SENT = {
    "x-one": "first",
    "x-two": "second",
    "x-vault-token": ROOT,
    "x-vault-mfa": "m:012345",
    "authorization": f"Bearer {ROOT}",
    "cookie": "c",
}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Return a server with one declared device."""
    options = {"file_path": str(tmp_path / "log")}
    return World(tmp_path, (DeviceConfig(path="declared/", kind="file", slot=0, options=options, declared=True),))


def recorded(world: World, tmp_path: Path, worker: Worker | None = None) -> dict[str, Any]:
    """Send a request with headers and return those of its records."""
    world.send(Operation.READ, "auth/token/lookup-self", {}, headers=SENT, worker=worker)
    lines = (tmp_path / "log").read_text().splitlines()
    shown = [json.loads(line)["request"].get("headers", {}) for line in lines[-2:]]
    assert shown[0] == shown[1]
    found: dict[str, Any] = shown[0]
    return found


@pytest.mark.parametrize("name", ["a b", "a\x00b", "é", "x" * 129, "a:b", "a\nb"])
def test_write_refuses_what_is_no_header(world: World, name: str) -> None:
    """Only what can be the name of a header is stored."""
    with pytest.raises(InvalidRequest):
        world.write(f"{PLACE}/{name}", hmac=True)
    assert world.read(PLACE) == {"headers": {}}


def test_write_refuses_more_headers_than_requests_have(world: World) -> None:
    """The row stays small."""
    for index in range(limits.AUDITED_HEADERS_MAX):
        world.write(f"{PLACE}/x-{index}")
    with pytest.raises(InvalidRequest, match="at most"):
        world.write(f"{PLACE}/x-more")
    world.write(f"{PLACE}/X-0", hmac=True)


def test_paths_need_sudo_and_do_not_list(world: World) -> None:
    """Update without sudo is not enough; LIST is not offered, as in Vault."""
    token = world.holder('path "*" { capabilities = ["create", "read", "update", "delete", "list"] }')
    for operation, path in (
        (Operation.READ, PLACE),
        (Operation.READ, f"{PLACE}/x"),
        (Operation.UPDATE, f"{PLACE}/x"),
        (Operation.DELETE, f"{PLACE}/x"),
    ):
        with pytest.raises(DeniedByPolicy):
            world.send(operation, path, {}, token=token)
    with pytest.raises(UnsupportedPath):
        world.list(PLACE)


def test_unknown_header_is_a_refusal_to_read_and_none_to_delete(world: World) -> None:
    """As in Vault."""
    with pytest.raises(InvalidRequest, match="Could not find header in config"):
        world.read(f"{PLACE}/x-none")
    assert world.delete(f"{PLACE}/x-none") is None


def test_only_chosen_headers_are_on_record_and_on_every_worker(world: World, tmp_path: Path) -> None:
    """From the next request on, in any case of letters, clear or hashed; a header that was not sent is left out."""
    other = world.worker()
    assert recorded(world, tmp_path) == {}
    world.write(f"{PLACE}/X-One")
    world.write(f"{PLACE}/x-TWO", hmac=True)
    world.write(f"{PLACE}/x-three")
    hashed = world.write("sys/audit-hash/declared", input="second").data["hash"]
    for worker in (world.first, other, world.worker()):
        assert recorded(world, tmp_path, worker) == {"x-one": ["first"], "x-two": [hashed]}
    assert world.read(PLACE)["headers"] == {"x-one": {"hmac": False}, "x-three": {"hmac": False}, "x-two": {"hmac": True}}
    assert world.read(f"{PLACE}/X-Two", worker=other) == {"X-Two": {"hmac": True}}
    world.delete(f"{PLACE}/X-ONE")
    assert recorded(world, tmp_path, other) == {"x-two": [hashed]}


def test_credentials_are_hashed_whatever_is_asked_for(world: World, tmp_path: Path) -> None:
    """No setting puts a token on record, nor hides that it is hashed."""
    for name in ("X-Vault-Token", "X-Vault-MFA", "Authorization", "cookie"):
        world.write(f"{PLACE}/{name}", hmac=False)
    shown = recorded(world, tmp_path)
    assert shown.keys() == {"x-vault-token", "x-vault-mfa", "authorization", "cookie"}
    assert all(value.startswith("hmac-sha256:") for (value,) in shown.values())
    assert ROOT not in (tmp_path / "log").read_text()
    assert world.read(f"{PLACE}/cookie") == {"cookie": {"hmac": True}}


def test_sealed_server_shows_none(world: World, tmp_path: Path) -> None:
    """Which headers those are cannot be read then."""
    world.write(f"{PLACE}/x-one")
    world.first.seal.seal()
    world.send(Operation.READ, "sys/seal-status", {}, token=None, headers=SENT)
    assert "headers" not in json.loads((tmp_path / "log").read_text().splitlines()[-1])["request"]
