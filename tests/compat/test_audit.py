"""sys/audit: enabling a file device over the API, what it records, hashing, disabling."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hvac
import pytest

from tests.compat.command import Command
from tests.compat.conftest import Holder
from tests.compat.server_process import ROOT_TOKEN, Server
from tests.compat.wire import Wire

HASH = "hmac-sha256:"


@pytest.fixture
def device(server: Server, root: Wire, name: str) -> Iterator[Path]:
    """Enable a file device inside the folder that the server allows, named like the test."""
    log = server.audit_folder / f"{name}.log"
    answer = root.put(f"sys/audit/{name}", {"type": "file", "description": "mine", "options": {"file_path": str(log)}})
    assert answer.status == 204, answer.body
    yield log
    root.delete(f"sys/audit/{name}")


def records(log: Path, path: str) -> list[dict[str, Any]]:
    """Return the records about one path."""
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    return [line for line in lines if line.get("request", {}).get("path") == path]


def test_device_is_listed_at_top_level_and_in_data(root: Wire, device: Path, name: str) -> None:
    """The listing has type, description, options and path."""
    body = root.get("sys/audit").json
    assert body[f"{name}/"] == body["data"][f"{name}/"]
    entry = body["data"][f"{name}/"]
    assert (entry["type"], entry["description"], entry["path"], entry["local"]) == ("file", "mine", f"{name}/", False)
    assert entry["options"]["file_path"] == str(device)


def test_device_records_request_and_response(root: Wire, device: Path, kv1: str) -> None:
    """Two records with one id; values are hashed, paths and operations are not; no secret is in the file."""
    assert root.put(f"{kv1}/a", {"k": "canary-value"}).status == 204
    assert root.get(f"{kv1}/a").status == 200
    lines = records(device, f"{kv1}/a")
    assert [line["type"] for line in lines] == ["request", "response"] * 2
    request, response = lines[0], lines[1]
    assert request["request"]["id"] == response["request"]["id"]
    assert request["request"]["operation"] == "create"
    assert lines[2]["request"]["operation"] == "read"
    assert request["request"]["data"]["k"].startswith(HASH)
    assert request["request"]["client_token"].startswith(HASH)
    assert request["auth"]["client_token"].startswith(HASH)
    assert request["auth"]["policies"] == ["root"]
    assert request["request"]["mount_type"] == "kv"
    assert request["request"]["remote_address"] == "127.0.0.1"
    assert lines[3]["response"]["data"]["k"] == request["request"]["data"]["k"]
    text = device.read_text()
    assert "canary-value" not in text
    assert ROOT_TOKEN not in text


def test_refusals_are_recorded(root: Wire, anonymous: Wire, holder: Holder, device: Path, kv1: str) -> None:
    """A request without a token, with an unknown one, and without the right leaves its records, with the error."""
    anonymous.get(f"{kv1}/none")
    root.with_token("nosuch").get(f"{kv1}/unknown")
    holder('path "x" { capabilities = ["read"] }').get(f"{kv1}/denied")
    for path in ("none", "unknown", "denied"):
        lines = records(device, f"{kv1}/{path}")
        assert lines, path
        assert any("permission denied" in line.get("error", "") for line in lines), path


def test_tuned_keys_are_not_hashed(root: Wire, device: Path, kv1: str) -> None:
    """Keys that the mount names stay readable."""
    root.post(f"sys/mounts/{kv1}/tune", {"audit_non_hmac_request_keys": ["open"], "audit_non_hmac_response_keys": ["open"]})
    root.put(f"{kv1}/a", {"open": "readable", "closed": "hidden"})
    root.get(f"{kv1}/a")
    lines = records(device, f"{kv1}/a")
    assert lines[0]["request"]["data"]["open"] == "readable"
    assert lines[0]["request"]["data"]["closed"].startswith(HASH)
    assert lines[-1]["response"]["data"]["open"] == "readable"


def test_audit_hash_reproduces_the_recorded_value(root: Wire, device: Path, kv1: str, name: str) -> None:
    """sys/audit-hash gives what the device writes, at top level and in data."""
    root.put(f"{kv1}/a", {"k": "canary-value"})
    answer = root.put(f"sys/audit-hash/{name}", {"input": "canary-value"})
    assert answer.json["hash"] == answer.data["hash"]
    assert answer.data["hash"] == records(device, f"{kv1}/a")[0]["request"]["data"]["k"]
    token_hash = root.put(f"sys/audit-hash/{name}", {"input": ROOT_TOKEN}).data["hash"]
    assert token_hash == records(device, f"{kv1}/a")[0]["request"]["client_token"]


def test_disabled_device_writes_no_more(root: Wire, device: Path, kv1: str, name: str) -> None:
    """After disabling, the list, the hash and the file know nothing new."""
    assert root.delete(f"sys/audit/{name}").status == 204
    assert f"{name}/" not in root.get("sys/audit").data
    root.put(f"{kv1}/after", {"k": "v"})
    assert not records(device, f"{kv1}/after")
    assert root.put(f"sys/audit-hash/{name}", {"input": "x"}).errors == [f'unknown audit backend "{name}/"']
    assert root.delete(f"sys/audit/{name}").status == 204
    assert not list(device.parent.glob(f".{device.name}*"))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"type": "nosuch"}, 'unknown backend type: "nosuch"'),
    ({}, 'unknown backend type: ""'),
    ({"type": "file"}, "file_path is required"),
    ({"type": "file", "options": "x"}, ""),
]


@pytest.mark.parametrize(("body", "text"), REFUSED, ids=str)
def test_bad_devices_are_refused(root: Wire, name: str, body: dict[str, Any], text: str) -> None:
    """Unknown types and missing options are a 400 and leave no device."""
    answer = root.put(f"sys/audit/{name}", body)
    assert answer.status == 400
    assert text in answer.errors[0]
    assert f"{name}/" not in root.get("sys/audit").data


@pytest.mark.usefixtures("device")
def test_same_path_cannot_be_enabled_twice(root: Wire, server: Server, name: str) -> None:
    """A second device under a name in use is refused."""
    log = server.audit_folder / f"{name}-again.log"
    assert root.put(f"sys/audit/{name}", {"type": "file", "options": {"file_path": str(log)}}).status == 400


@pytest.mark.usefixtures("ours_only")
@pytest.mark.parametrize("path", ["/etc/passwd", "../outside.log", "/dev/full", "{folder}/../outside.log", "{folder}"])
def test_file_must_lie_in_the_allowed_folder(root: Wire, server: Server, name: str, path: str) -> None:
    """Decided: no API call can aim audit at a file outside the configured folder."""
    body = {"type": "file", "options": {"file_path": path.format(folder=server.audit_folder)}}
    assert root.put(f"sys/audit/{name}", body).status == 400
    assert f"{name}/" not in root.get("sys/audit").data
    assert not (server.audit_folder.parent / "outside.log").exists()


@pytest.mark.usefixtures("ours_only")
def test_dev_server_has_a_device_from_the_start(root: Wire) -> None:
    """Decided: -dev audits to a file at once."""
    assert "file" in {entry["type"] for entry in root.get("sys/audit").data.values()}


@pytest.mark.usefixtures("ours_only")
def test_numbers_are_hashed_and_records_are_chained(root: Wire, device: Path, kv1: str) -> None:
    """Decided: numbers do not stay clear, and each record has its place in a chain."""
    # Long enough that no hash holds their digits by chance.
    root.put(f"{kv1}/a", {"pin": 471147114711471, "nested": {"pin": 815815815815815}})
    (request,) = [line for line in records(device, f"{kv1}/a") if line["type"] == "request"]
    assert "471147114711471" not in json.dumps(request["request"]["data"])
    assert "815815815815815" not in json.dumps(request["request"]["data"])
    lines = [json.loads(line) for line in device.read_text().splitlines()]
    assert len({json.dumps(line, sort_keys=True) for line in lines}) == len(lines)


def test_audit_paths_need_sudo(anonymous: Wire, holder: Holder, server: Server) -> None:
    """Update without sudo is not enough."""
    plain = holder('path "sys/audit*" { capabilities = ["create", "read", "update", "delete", "list"] }')
    body = {"type": "file", "options": {"file_path": str(server.audit_folder / "no.log")}}
    for sender in (anonymous, plain):
        assert sender.get("sys/audit").status == 403
        assert sender.put("sys/audit/no", body).status == 403
        assert sender.delete("sys/audit/no").status == 403


def test_hvac_handles_devices(client: hvac.Client, server: Server, name: str) -> None:
    """The client enables, lists, hashes and disables."""
    options = {"file_path": str(server.audit_folder / f"{name}-hvac.log")}
    client.sys.enable_audit_device("file", path=name, description="mine", options=options)
    assert client.sys.list_enabled_audit_devices()["data"][f"{name}/"]["description"] == "mine"
    assert client.sys.calculate_hash(name, "x")["data"]["hash"].startswith(HASH)
    client.sys.disable_audit_device(name)
    assert f"{name}/" not in client.sys.list_enabled_audit_devices()["data"]


def test_audit_commands(cli: Command, server: Server, name: str) -> None:
    """`bao audit enable|list|disable`."""
    log = server.audit_folder / f"{name}-cli.log"
    cli.run("audit", "enable", f"-path={name}", "-description=mine", "file", f"file_path={log}").ok()
    entry = cli.json("audit", "list")[f"{name}/"]
    assert (entry["type"], entry["description"]) == ("file", "mine")
    assert f"{name}/" in cli.run("audit", "list", "-detailed").ok().out
    assert cli.run("write", "-field=hash", f"sys/audit-hash/{name}", "input=x").ok().out.startswith(HASH)
    cli.run("audit", "disable", name).ok()
    assert cli.run("audit", "enable", "nosuch").code == 2
