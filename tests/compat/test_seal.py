"""sys/init, sys/unseal, sys/seal, sys/seal-status, sys/health and sys/leader over the life of a server."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest

from tests.compat.server_process import Server, await_active, configured_server, persistent_storage
from tests.compat.wire import Wire

SHARES, THRESHOLD = 5, 3
SEALED = {"errors": ["Vault is sealed"]}
MOUNT_SECONDS_MAX = 10.0
REFUSED_INITS = [
    ({"secret_shares": 0, "secret_threshold": 0}, "shares must be at least one"),
    ({"secret_shares": -1, "secret_threshold": -1}, "shares must be at least one"),
    ({"secret_shares": 1}, "threshold must be at least one"),
    ({"secret_shares": 2, "secret_threshold": 3}, "threshold cannot be larger than shares"),
    ({"secret_shares": 1, "secret_threshold": 2}, "threshold cannot be larger than shares"),
    ({"secret_shares": 2, "secret_threshold": 1}, "threshold must be greater than one for multiple shares"),
    ({"secret_shares": 256, "secret_threshold": 2}, "shares must be less than 256"),
    ({"secret_shares": 5, "secret_threshold": 3, "recovery_shares": 1, "recovery_threshold": 1}, "not applicable to seal type shamir"),
    ({"secret_shares": "five", "secret_threshold": 3}, ""),
    ({"secret_shares": 1.5, "secret_threshold": 1}, ""),
    ({"secret_shares": True, "secret_threshold": 1}, ""),
    (["a"], ""),
    (b"{bad", ""),
]


@pytest.fixture
def fresh(target: str, tmp_path: Path) -> Iterator[Server]:
    """Run a server that was never initialised."""
    with configured_server(target, tmp_path) as running:
        yield running


def initialise(wire: Wire, shares: int = SHARES, threshold: int = THRESHOLD) -> dict[str, Any]:
    """Initialise a server and return its keys and root token."""
    answer = wire.put("sys/init", {"secret_shares": shares, "secret_threshold": threshold})
    assert answer.status == 200, answer.body
    made: dict[str, Any] = answer.json
    return made


def unseal(wire: Wire, keys: list[str]) -> None:
    """Send shares until the server is unsealed."""
    for key in keys:
        answer = wire.put("sys/unseal", {"key": key})
        assert answer.status == 200, answer.body
    assert wire.get("sys/seal-status").json["sealed"] is False


def test_uninitialised_server_tells_so_and_refuses_bad_inits(fresh: Server) -> None:
    """Before init: 501 from health, sealed elsewhere, every bad init is refused and leaves the server uninitialised."""
    wire = fresh.anonymous
    health = wire.get("sys/health")
    assert (health.status, health.json["initialized"], health.json["sealed"], health.json["standby"]) == (501, False, True, True)
    assert wire.get("sys/health?uninitcode=299").status == 299
    assert wire.send("HEAD", "sys/health").status == 501
    assert wire.get("sys/init").json == {"initialized": False}
    status = wire.get("sys/seal-status").json
    assert (status["initialized"], status["sealed"], status["t"], status["n"]) == (False, True, 0, 0)
    assert wire.put("sys/unseal", {"key": "aabb"}).errors == ["Vault is not initialized"]
    for path in ("secret/x", "sys/mounts", "sys/nosuch", "sys/internal/ui/mounts"):
        answer = wire.get(path)
        assert (answer.status, answer.json) == (503, SEALED), path
    for body, text in REFUSED_INITS:
        answer = wire.put("sys/init", body)
        assert answer.status == 400, body
        assert text in answer.errors[0], body
    assert wire.get("sys/init").json == {"initialized": False}


def test_unseal_counts_shares_and_refuses_wrong_ones(fresh: Server) -> None:
    """Progress is shared, a repeated share does not count, reset and a wrong set start again, hex and base64 both work."""
    wire = fresh.anonymous
    made = initialise(wire)
    assert len(made["keys"]) == len(made["keys_base64"]) == SHARES
    assert [base64.b64decode(key).hex() for key in made["keys_base64"]] == made["keys"]
    assert wire.put("sys/init", {"secret_shares": 1, "secret_threshold": 1}).errors == ["Vault is already initialized"]
    assert (wire.get("sys/health").status, wire.get("sys/health?sealedcode=298").status) == (503, 298)

    keys, in_base64 = made["keys"], made["keys_base64"]
    first = wire.put("sys/unseal", {"key": keys[0]}).json
    assert (first["progress"], first["t"], first["n"], first["sealed"]) == (1, THRESHOLD, SHARES, True)
    assert first["nonce"]
    assert wire.put("sys/unseal", {"key": keys[0]}).json["progress"] == 1
    second = wire.put("sys/unseal", {"key": in_base64[1]}).json
    assert (second["progress"], second["nonce"]) == (2, first["nonce"])
    reset = wire.put("sys/unseal", {"reset": True}).json
    assert (reset["progress"], reset["nonce"]) == (0, "")

    wrong = bytearray(bytes.fromhex(keys[3]))
    wrong[0] ^= 1
    for key in (keys[0], keys[1]):
        wire.put("sys/unseal", {"key": key})
    refused = wire.put("sys/unseal", {"key": wrong.hex()})
    assert refused.status == 400
    assert wire.get("sys/seal-status").json["progress"] == 0

    unseal(wire, [keys[4].upper(), in_base64[2], keys[1]])
    status = wire.get("sys/seal-status").json
    assert (status["progress"], status["nonce"], status["sealed"]) == (0, "", False)
    assert status["cluster_name"]
    assert status["cluster_id"]
    assert wire.get("sys/health").status == 200


def test_seal_takes_effect_and_needs_the_right(fresh: Server) -> None:
    """Only sudo may seal; after the answer nothing is served; unsealing brings the data back."""
    wire = fresh.anonymous
    made = initialise(wire, 3, 2)
    unseal(wire, made["keys"][:2])
    root = wire.with_token(made["root_token"])
    assert root.post("sys/mounts/secret", {"type": "kv", "options": {"version": "1"}}).status == 204
    assert root.put("secret/a", {"k": "v"}).status == 204
    weak = root.with_token(root.post("auth/token/create", {"policies": ["default"]}).auth["client_token"])

    for sender, status in ((wire, 403), (weak, 403), (wire.with_token("nosuch"), 403)):
        assert sender.put("sys/seal").status == status
    assert root.put("sys/seal").status == 204
    for _ in range(20):
        answer = root.get("secret/a")
        assert (answer.status, answer.json) == (503, SEALED)
    assert wire.get("sys/health").status == 503
    assert wire.get("sys/seal-status").json["sealed"] is True
    unseal(wire, made["keys"][1:])
    assert root.get("secret/a").data == {"k": "v"}


def test_leader_names_no_cluster_on_a_single_server(fresh: Server) -> None:
    """sys/leader answers in any seal state."""
    assert fresh.anonymous.get("sys/leader").json["ha_enabled"] is False


@pytest.mark.parametrize(("shares", "threshold"), [(1, 1), (10, 10), (255, 2)])
def test_hvac_initialises_and_unseals(fresh: Server, shares: int, threshold: int) -> None:
    """The hvac client drives the whole life: init, unseal, seal status, seal."""
    client = hvac.Client(url=fresh.url)
    assert client.sys.is_initialized() is False
    made = client.sys.initialize(secret_shares=shares, secret_threshold=threshold)
    assert len(made["keys"]) == shares
    assert client.sys.is_sealed() is True
    client.sys.submit_unseal_keys(made["keys_base64"][-threshold:])
    assert client.sys.is_sealed() is False
    assert client.sys.read_seal_status()["n"] == shares
    client.token = made["root_token"]
    assert client.is_authenticated()
    assert client.sys.seal().status_code == 204
    assert client.sys.is_sealed() is True


def await_mount(root: Wire, mount: str) -> None:
    """Wait until a new mount serves; the reference prepares a versioned one in the background, and refuses all meanwhile."""
    deadline = time.monotonic() + MOUNT_SECONDS_MAX
    while root.get(f"{mount}/config").status == 400:
        assert time.monotonic() < deadline, "mount did not become ready"
        time.sleep(0.05)


def test_persistent_storage_survives_a_restart(target: str, tmp_path: Path) -> None:
    """A restarted server is initialised, sealed, and has its data after unsealing."""
    storage = persistent_storage(target, tmp_path)
    with configured_server(target, tmp_path, storage) as running:
        made = initialise(running.anonymous)
        unseal(running.anonymous, made["keys"][:THRESHOLD])
        await_active(running.anonymous)
        root = running.anonymous.with_token(made["root_token"])
        mounted = root.post("sys/mounts/kept", {"type": "kv", "options": {"version": "2"}})
        assert mounted.status == 204, mounted.body
        await_mount(root, "kept")
        written = root.put("kept/data/a", {"data": {"k": "v"}})
        assert written.status == 200, written.body
        child = root.post("auth/token/create", {"policies": ["default"]}).auth["client_token"]
    with configured_server(target, tmp_path, storage) as running:
        assert running.anonymous.get("sys/health").status == 503
        unseal(running.anonymous, made["keys"][-THRESHOLD:])
        await_active(running.anonymous)
        root = running.anonymous.with_token(made["root_token"])
        read = root.get("kept/data/a")
        assert read.status == 200, read.body
        assert read.data["data"] == {"k": "v"}
        assert root.with_token(child).get("auth/token/lookup-self").status == 200
