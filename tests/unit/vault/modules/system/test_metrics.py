import json
from typing import Any

import pytest

from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, PermissionDenied, VaultError
from vault.logical.operation import Operation
from vault.logical.response import Response


def ask(world: World, path: str, *, worker: Worker | None = None, **options: Any) -> Response:
    """Read, and return the answer."""
    response = world.send(Operation.READ, path, options.pop("fields", {}), worker=worker, **options)
    assert response is not None
    return response


def count_reads(world: World) -> float:
    """Return how many reads below secret/ were counted."""
    text = (ask(world, "sys/metrics", fields={"format": "prometheus"}).body or b"").decode()
    line = next((line for line in text.splitlines() if line.startswith('vault_requests_total{mount="cubbyhole/",operation="read"')), "x 0")
    return float(line.rsplit(" ", 1)[1])


@pytest.mark.parametrize("path", ["sys/metrics", "sys/in-flight-req"])
@pytest.mark.parametrize("doors", [frozenset(), frozenset({"other"}), frozenset({""})])
def test_strangers_are_refused(world: World, path: str, doors: frozenset[str]) -> None:
    """Without a token, a closed door stays closed."""
    with pytest.raises(PermissionDenied):
        ask(world, path, token=None, open_doors=doors)
    with pytest.raises(PermissionDenied):
        ask(world, path, token=world.holder('path "x" { capabilities = ["read"] }'), open_doors=doors)


@pytest.mark.parametrize(("path", "door"), [("sys/metrics", "metrics"), ("sys/in-flight-req", "in-flight-req")])
def test_open_door_lets_strangers_in_also_while_sealed(world: World, path: str, door: str) -> None:
    """A listener that says so opens exactly one of them; sealed, everybody else is refused."""
    world.write("sys/seal")
    assert ask(world, path, token=None, open_doors=frozenset({door})).body
    for other in ({"metrics", "in-flight-req"} - {door}, set()):
        with pytest.raises(VaultError):
            ask(world, path, token=None, open_doors=frozenset(other))
    with pytest.raises(VaultError):
        ask(world, path)


def test_forms_are_told_apart(world: World) -> None:
    """Text where it is asked for and not switched off; no other form."""
    answer = ask(world, "sys/metrics", fields={"format": "prometheus"})
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    assert b"vault_core_unsealed 1.0" in (answer.body or b"")
    with pytest.raises(InvalidRequest, match='metric response format "x" unknown'):
        ask(world, "sys/metrics", fields={"format": "x"})
    world.prometheus = False
    worker = world.worker()
    assert worker.seal.is_open()
    with pytest.raises(InvalidRequest, match="prometheus is not enabled"):
        ask(world, "sys/metrics", fields={"format": "prometheus"}, worker=worker)
    gauges = json.loads(ask(world, "sys/metrics", worker=worker).body or b"")["Gauges"]
    assert {"Name": "vault.core.unsealed", "Value": 1.0, "Labels": {}} in gauges


def test_requests_are_counted_whatever_becomes_of_them(world: World) -> None:
    """Answered, not found, denied: one each."""
    world.write("cubbyhole/a", a=1)
    before = count_reads(world)
    world.read("cubbyhole/a")
    world.send(Operation.READ, "cubbyhole/b", {})
    assert count_reads(world) == before + 2


def test_own_request_is_in_flight(world: World) -> None:
    """The one request that is being answered shows who asks, and by which way."""
    flights = json.loads(ask(world, "sys/in-flight-req", address="192.0.2.9").body or b"")
    (flight,) = flights.values()
    assert flight["request_path"] == "/v1/sys/in-flight-req"
    assert flight["client_remote_address"].startswith("192.0.2.9:")
    assert flight["request_method"] == "GET"
    assert flight["client_id"]
    assert flight["start_time"].startswith("2023-11-14T")
