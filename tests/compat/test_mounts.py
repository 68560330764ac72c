"""sys/mounts and sys/auth through hvac and raw HTTP: life of a mount, tuning, moving, what is refused."""

from __future__ import annotations

import time
from typing import Any

import hvac
import hvac.exceptions
import pytest

from tests.compat.server_process import ROOT_TOKEN
from tests.compat.wire import Wire

MOVE_SECONDS_MAX = 20.0
ENTRY_KEYS = {
    "accessor",
    "config",
    "description",
    "external_entropy_access",
    "local",
    "options",
    "plugin_version",
    "running_plugin_version",
    "running_sha256",
    "seal_wrap",
    "type",
    "uuid",
}
BUILT_IN = {"cubbyhole/": "cubbyhole", "identity/": "identity", "sys/": "system", "secret/": "kv"}
REFUSED_PATHS = ["sys", "sys/x", "auth", "auth/x", "cubbyhole", "cubbyhole/x", "identity", "audit"]
REFUSED_BODIES: list[tuple[dict[str, Any], str]] = [
    ({}, "backend type must be specified as a string"),
    ({"type": ""}, "backend type must be specified as a string"),
    ({"type": "nosuch"}, "plugin not found in the catalog: nosuch"),
    ({"type": "cubbyhole"}, 'mount type of "cubbyhole" is not mountable'),
    ({"type": "system"}, 'mount type of "system" is not mountable'),
    (
        {"type": "kv", "config": {"default_lease_ttl": "2h", "max_lease_ttl": "1h"}},
        "given default lease TTL greater than given max lease TTL",
    ),
    ({"type": "kv", "config": {"listing_visibility": "x"}}, "invalid listing_visibility x"),
    ({"type": "kv", "config": {"default_lease_ttl": "abc"}}, ""),
    ({"type": "kv", "config": "x"}, ""),
    ({"type": "kv", "local": "x"}, ""),
]


def test_mount_table_lists_the_built_in_mounts_twice(root: Wire) -> None:
    """The table is at top level and in data, each entry with all its members."""
    body = root.get("sys/mounts").json
    for path, kind in BUILT_IN.items():
        assert body[path] == body["data"][path]
        assert body["data"][path]["type"] == kind
        assert body["data"][path].keys() >= ENTRY_KEYS
    assert body["data"]["cubbyhole/"]["local"] is True
    assert body["data"]["secret/"]["options"] == {"version": "2"}
    token = root.get("sys/auth").json["data"]["token/"]
    assert (token["type"], token["config"]["token_type"]) == ("token", "default-service")


def test_hvac_mounts_tunes_moves_and_unmounts(client: hvac.Client, name: str) -> None:
    """The hvac client sees each step in the next listing."""
    client.sys.enable_secrets_engine("kv", path=name, description="mine", options={"version": "1"}, config={"default_lease_ttl": "1h"})
    entry = client.sys.list_mounted_secrets_engines()["data"][f"{name}/"]
    assert (entry["description"], entry["options"], entry["config"]["default_lease_ttl"]) == ("mine", {"version": "1"}, 3600)
    assert client.sys.read_mount_configuration(name)["data"]["max_lease_ttl"] == 2764800

    client.sys.tune_mount_configuration(name, default_lease_ttl="30m", max_lease_ttl="2h", description="tuned", listing_visibility="unauth")
    tuned = client.sys.read_mount_configuration(name)["data"]
    assert (tuned["default_lease_ttl"], tuned["max_lease_ttl"], tuned["description"]) == (1800, 7200, "tuned")
    assert tuned["listing_visibility"] == "unauth"

    client.secrets.kv.v1.create_or_update_secret("a", {"k": "v"}, mount_point=name)
    moved = client.sys.move_backend(name, f"{name}-new")
    await_move(client.adapter, moved["data"]["migration_id"])
    assert client.secrets.kv.v1.read_secret("a", mount_point=f"{name}-new")["data"] == {"k": "v"}
    with pytest.raises(hvac.exceptions.InvalidPath):
        client.secrets.kv.v1.read_secret("a", mount_point=name)

    client.sys.disable_secrets_engine(f"{name}-new")
    assert f"{name}-new/" not in client.sys.list_mounted_secrets_engines()["data"]


def await_move(adapter: Any, migration_id: str) -> None:
    """Wait until a move has ended well."""
    deadline = time.monotonic() + MOVE_SECONDS_MAX
    while True:
        info = adapter.get(f"/v1/sys/remount/status/{migration_id}")["data"]["migration_info"]
        assert info["status"] in ("in-progress", "success"), info
        if info["status"] == "success":
            return
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_remount_status_names_source_and_target(client: hvac.Client, kv1: str, root: Wire) -> None:
    """The status of a finished move tells both paths; the start of a move carries a warning."""
    answer = root.post("sys/remount", {"from": kv1, "to": f"{kv1}-moved"})
    assert answer.status == 200
    assert answer.json["migration_id"] == answer.data["migration_id"]
    assert answer.json["warnings"]
    await_move(client.adapter, answer.data["migration_id"])
    status = root.get(f"sys/remount/status/{answer.data['migration_id']}").data
    assert status["migration_id"] == answer.data["migration_id"]
    assert status["migration_info"] == {"source_mount": f"{kv1}/", "target_mount": f"{kv1}-moved/", "status": "success"}
    assert root.delete(f"sys/mounts/{kv1}-moved").status == 204


@pytest.mark.parametrize("path", REFUSED_PATHS)
def test_reserved_paths_cannot_be_mounted_nor_unmounted(root: Wire, path: str) -> None:
    """Paths of the system itself are refused."""
    answer = root.post(f"sys/mounts/{path}", {"type": "kv"})
    assert answer.status == 400
    assert answer.errors == [f'cannot mount "{path}/"']
    assert root.post("sys/remount", {"from": "secret", "to": path}).status == 400


@pytest.mark.parametrize("path", ["sys", "cubbyhole", "identity"])
def test_built_in_mounts_stay(root: Wire, path: str) -> None:
    """The built-in mounts can be neither unmounted nor moved."""
    assert root.delete(f"sys/mounts/{path}").errors == [f'cannot unmount "{path}/"']
    assert root.post("sys/remount", {"from": path, "to": "elsewhere"}).errors == [f'cannot remount "{path}/"']
    assert root.delete("sys/auth/token").errors == ["token credential backend cannot be disabled"]


@pytest.mark.parametrize(("body", "text"), REFUSED_BODIES, ids=str)
def test_bad_mount_requests_are_refused_and_leave_nothing(root: Wire, name: str, body: dict[str, Any], text: str) -> None:
    """A refused mount is a 400 with a reason, and is not in the table."""
    answer = root.post(f"sys/mounts/{name}", body)
    assert answer.status == 400
    assert text in answer.errors[0]
    assert f"{name}/" not in root.get("sys/mounts").data


def test_mounts_cannot_overlap(root: Wire, kv1: str) -> None:
    """A path in use, below one in use or above one in use is refused with the path that is in the way."""
    assert root.post(f"sys/mounts/{kv1}", {"type": "kv"}).errors == [f"path is already in use at {kv1}/"]
    assert root.post(f"sys/mounts/{kv1}/inner", {"type": "kv"}).errors == [f"path is already in use at {kv1}/"]
    assert root.post(f"sys/mounts/{kv1}x/deep", {"type": "kv"}).status == 204
    assert root.post(f"sys/mounts/{kv1}x", {"type": "kv"}).errors == [f"path is already in use at {kv1}x/deep/"]
    assert root.delete(f"sys/mounts/{kv1}x/deep").status == 204


def test_remounted_path_has_no_old_data(root: Wire, kv1: str) -> None:
    """Unmounting destroys the data: the same path mounted again is empty."""
    assert root.put(f"{kv1}/a", {"k": "v"}).status == 204
    old = root.get(f"sys/mounts/{kv1}").data
    assert root.delete(f"sys/mounts/{kv1}").status == 204
    assert root.get(f"{kv1}/a").errors == [f'no handler for route "{kv1}/a". route entry not found.']
    assert root.delete(f"sys/mounts/{kv1}").status == 204
    assert root.post(f"sys/mounts/{kv1}", {"type": "kv", "options": {"version": "1"}}).status == 204
    assert root.get(f"{kv1}/a").status == 404
    assert root.list(f"{kv1}/").status == 404
    new = root.get(f"sys/mounts/{kv1}").data
    assert new["uuid"] != old["uuid"]
    assert new["accessor"] != old["accessor"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"default_lease_ttl": "3h"}, "backend max lease TTL of 7200 would be less than backend default lease TTL of 10800"),
        ({"max_lease_ttl": "30m"}, "backend max lease TTL of 1800 would be less than backend default lease TTL of 3600"),
        ({"default_lease_ttl": "abc"}, ""),
        ({"listing_visibility": "x"}, "invalid listing_visibility x"),
        ({"options": {"version": "9"}}, "invalid version provided: 9"),
        ({"token_type": "batch"}, "'token_type' can only be modified on auth mounts"),
    ],
    ids=str,
)
def test_bad_tunes_are_refused_and_change_nothing(root: Wire, kv1: str, body: dict[str, Any], text: str) -> None:
    """A refused tune is a 400 with a reason and leaves the effective values."""
    assert root.post(f"sys/mounts/{kv1}/tune", {"default_lease_ttl": "1h", "max_lease_ttl": "2h"}).status == 204
    before = root.get(f"sys/mounts/{kv1}/tune").data
    answer = root.post(f"sys/mounts/{kv1}/tune", body)
    assert answer.status == 400
    assert text in answer.errors[0]
    assert root.get(f"sys/mounts/{kv1}/tune").data == before


def test_tune_lists_come_back_and_system_resets(root: Wire, kv1: str) -> None:
    """Key lists take arrays and comma strings; `system` gives the server's own lifetimes back."""
    lists = {"audit_non_hmac_request_keys": ["a", "b"], "audit_non_hmac_response_keys": "c,d", "passthrough_request_headers": "X-A"}
    assert root.post(f"sys/mounts/{kv1}/tune", {**lists, "default_lease_ttl": "1h"}).status == 204
    tuned = root.get(f"sys/mounts/{kv1}/tune").data
    assert tuned["audit_non_hmac_request_keys"] == ["a", "b"]
    assert tuned["audit_non_hmac_response_keys"] == ["c", "d"]
    assert tuned["passthrough_request_headers"] == ["X-A"]
    assert root.get(f"sys/mounts/{kv1}").data["config"]["audit_non_hmac_request_keys"] == ["a", "b"]
    assert root.post(f"sys/mounts/{kv1}/tune", {"default_lease_ttl": "system"}).status == 204
    assert root.get(f"sys/mounts/{kv1}/tune").data["default_lease_ttl"] == 2764800


def test_hvac_reads_and_tunes_the_token_method(client: hvac.Client) -> None:
    """sys/auth has its own listing and tune; the token method can be tuned but not added or removed."""
    assert client.sys.list_auth_methods()["data"]["token/"]["type"] == "token"
    assert client.sys.read_auth_method_tuning("token")["data"]["token_type"] == "default-service"
    client.sys.tune_auth_method("token", description="tuned")
    assert client.sys.list_auth_methods()["data"]["token/"]["description"] == "tuned"
    client.sys.tune_auth_method("token", description="token based credentials")
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.sys.enable_auth_method("token", path="again")
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.sys.enable_auth_method("nosuch")
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.sys.disable_auth_method("token")


def test_mount_paths_need_their_rights(root: Wire, anonymous: Wire) -> None:
    """Mounting is the policy's decision like anything else."""
    weak = root.with_token(root.post("auth/token/create", {"policies": ["default"]}).auth["client_token"])
    for sender in (anonymous, weak, anonymous.with_token(ROOT_TOKEN + "x")):
        assert sender.post("sys/mounts/forbidden", {"type": "kv"}).status == 403
        assert sender.get("sys/mounts").status == 403
        assert sender.get("sys/auth").status == 403
        assert sender.delete("sys/mounts/secret").status == 403
