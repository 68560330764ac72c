"""Audit devices over the API."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.vault.modules.system.world import ROOT, World
from vault.audit.device import DeviceConfig
from vault.errors import AuditFailed, DeniedByPolicy, InvalidRequest, PermissionDenied
from vault.logical.operation import Operation
from vault.modules.system.audit_table import PLAIN


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return the folder that the server allows."""
    made = tmp_path / "audit"
    made.mkdir()
    return made


@pytest.fixture
def world(folder: Path) -> World:
    """Return a server with one declared device."""
    options = {"file_path": str(folder / "declared.log")}
    return World(folder, (DeviceConfig(path="declared/", kind="file", slot=0, options=options, declared=True),))


def enable(world: World, name: str, file: Path | str, **options: str) -> None:
    """Enable a file device."""
    world.write(f"sys/audit/{name}", type="file", description="mine", options={"file_path": str(file), **options})


def records(file: Path) -> list[dict[str, Any]]:
    """Return what a file holds."""
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"type": "nosuch"}, 'unknown backend type: "nosuch"'),
        ({}, 'unknown backend type: ""'),
        ({"type": "file"}, "file_path is required"),
        ({"type": "file", "options": "x"}, "options"),
        ({"type": "file", "options": {"file_path": "a.log", "mode": "0755"}}, "executable"),
        ({"type": "file", "options": {"file_path": "a.log", "mode": "0666"}}, "everybody"),
        ({"type": "file", "options": {"file_path": "a.log", "mode": "x"}}, "mode"),
        ({"type": "file", "options": {"file_path": "a.log", "prefix": "#!/bin/sh"}}, "audit log prefixing is not allowed"),
        ({"type": "file", "options": {"file_path": "a.log", "log_raw": "true"}}, "log_raw is not allowed"),
        ({"type": "file", "options": {"file_path": "a.log", "format": "jsonx"}}, "json"),
        *(({"type": "file", "options": {"file_path": path}}, "file_path") for path in (
            "/etc/passwd", "../outside.log", "/dev/full", ".", "link/x.log", "a\u0000b", "declared.log", "sub/../../outside.log",
            "a" * 300, "a/" * 5000,
            "a.log.checkpoints", ".declared.log.reserve",
        )),
    ],
    ids=str,
)  # fmt: skip
def test_enable_refuses(world: World, folder: Path, fields: dict[str, Any], text: str) -> None:
    """No call aims audit anywhere but into the folder, nor makes a file that runs; a refusal leaves no device."""
    (folder / "link").symlink_to(folder.parent)
    with pytest.raises(InvalidRequest) as refusal:
        world.answer(Operation.UPDATE, "sys/audit/x", fields)
    assert text in str(refusal.value)
    assert world.read("sys/audit").keys() == {"declared/"}
    assert not (folder.parent / "outside.log").exists()
    assert not (folder.parent / "x.log").exists()


def test_server_without_a_folder_has_no_files(folder: Path) -> None:
    """Where no folder is configured, no file can be named."""
    with pytest.raises(InvalidRequest, match="no folder"):
        enable(World(), "x", folder / "a.log")


def test_device_that_takes_no_record_is_refused(world: World, folder: Path) -> None:
    """The test record comes before the commit."""
    (folder / "a.log").mkdir()
    with pytest.raises(InvalidRequest):
        enable(world, "x", folder / "a.log")
    (folder / "b.log").write_text("no chain\n")
    with pytest.raises(InvalidRequest, match="sanity check failed"):
        enable(world, "x", folder / "b.log")
    assert "x/" not in world.read("sys/audit")


@pytest.mark.parametrize("name", ["a", "a/b", "declared", "declared/x"])
def test_names_and_files_are_used_once(world: World, folder: Path, name: str) -> None:
    """Neither a name nor a file is shared by two devices."""
    enable(world, "a", folder / "a.log")
    with pytest.raises(InvalidRequest, match="path already in use"):
        enable(world, name, folder / "b.log")
    with pytest.raises(InvalidRequest, match="file_path is in use"):
        enable(world, "other", folder / "a.log")


def test_device_records_on_every_worker(world: World, folder: Path) -> None:
    """From the answer on every worker writes to the device, with the same hash, in one chain."""
    other = world.worker()
    enable(world, "x", folder / "x.log")
    assert world.read("sys/audit", worker=other)["x/"] == {
        "type": "file", "description": "mine", "options": {"file_path": str(folder / "x.log")}, "local": False, "path": "x/",
    }  # fmt: skip
    world.read("auth/token/lookup-self")
    found = records(folder / "x.log")
    assert found[0]["type"] == "enabled"
    assert [record["seq"] for record in found] == list(range(1, len(found) + 1))
    hashes = {record["request"]["client_token"] for record in found[1:]}
    assert hashes == {world.write("sys/audit-hash/x", input=ROOT).data["hash"]}
    assert world.write("sys/audit-hash/x", input=ROOT, worker=other).data["hash"] in hashes


def test_declared_device_hashes_with_one_key_on_every_worker(world: World, folder: Path) -> None:
    """The key of a declared device is stored: all workers and all starts agree."""
    other = world.worker()
    one = world.write("sys/audit-hash/declared", input="x").data
    assert world.write("sys/audit-hash/declared", input="x", worker=other).data == one
    assert (
        records(folder / "declared.log")[-1]["request"]["client_token"] == world.write("sys/audit-hash/declared", input=ROOT).data["hash"]
    )


def test_disabled_device_ends_with_a_record(world: World, folder: Path) -> None:
    """The last record of a device says so; after the answer no worker writes to it."""
    other = world.worker()
    enable(world, "x", folder / "x.log")
    world.read("sys/audit", worker=other)
    assert world.delete("sys/audit/x") is None
    world.read("sys/audit", worker=other)
    world.read("sys/audit")
    assert records(folder / "x.log")[-1]["type"] == "disabled"
    with pytest.raises(InvalidRequest, match='unknown audit backend "x/"'):
        world.write("sys/audit-hash/x", input="a")
    assert world.delete("sys/audit/x") is None


def test_declared_device_stays(world: World) -> None:
    """What the configuration declares cannot be disabled over the API."""
    with pytest.raises(InvalidRequest, match="declared in the configuration"):
        world.delete("sys/audit/declared")


def test_slot_of_an_old_device_begins_anew(world: World, folder: Path) -> None:
    """A device that follows another one has a chain of its own, however often devices come and go."""
    for number in range(40):
        enable(world, "x", folder / f"{number}.log")
        world.delete("sys/audit/x")
        found = records(folder / f"{number}.log")
        assert (found[0]["seq"], found[0]["prev"]) == (1, "0" * 64)


def test_sealed_server_writes_to_the_devices(world: World, folder: Path) -> None:
    """While sealed records go to the same files, also in a process that never saw the table; a planted path is not followed."""
    enable(world, "x", folder / "x.log")
    world.first.seal.seal()
    late = world.worker()
    late.audit.refresh_sealed(late.store.read())
    assert [device.config.path for device in late.broker.devices] == ["declared/", "x/"]
    planted = DeviceConfig(path="evil/", kind="file", slot=5, options={"file_path": str(folder.parent / "evil.log")})
    import msgspec

    late.store.run(lambda transaction: transaction.put_plain(PLAIN, msgspec.json.encode((planted,))))
    late.audit.refresh_sealed(late.store.read())
    assert [device.config.path for device in late.broker.devices] == ["declared/"]


def test_new_process_has_the_declared_devices_before_its_first_request(world: World) -> None:
    """A worker that could not read the table yet is not without devices."""
    assert [device.config.path for device in world.worker().broker.devices] == ["declared/"]


def test_rotated_part_of_a_log_gets_no_second_end(world: World, folder: Path) -> None:
    """What was moved away of a log that goes on is no place for another device; once nobody writes that log, it is."""
    enable(world, "x", folder / "x.log")
    world.read("sys/audit")
    (folder / "x.log").rename(folder / "x.log.1")
    world.read("sys/audit")
    before = (folder / "x.log.1").read_bytes()
    with pytest.raises(InvalidRequest, match="in use"):
        enable(world, "y", folder / "x.log.1")
    assert (folder / "x.log.1").read_bytes() == before
    world.delete("sys/audit/x")
    world.read("sys/audit")
    enable(world, "y", folder / "x.log")


def test_files_are_asked_first(world: World, folder: Path) -> None:
    """A device that may hang takes its time from what a file has left of it, and not the other way round."""
    world.write("sys/audit/a", type="stdout")
    enable(world, "b", folder / "b.log")
    world.read("sys/audit")
    assert [device.config.path for device in world.first.broker.devices][-2:] == ["b/", "a/"]


def test_unchanged_table_costs_no_swap(world: World) -> None:
    """The devices are the same objects as long as nothing has changed."""
    world.read("sys/audit")
    before = world.devices()
    world.read("sys/audit")
    assert world.devices() is before


def test_refused_request_is_recorded_and_a_dead_device_refuses(world: World, folder: Path) -> None:
    """A refusal is on record; where no device takes a record, nothing happens."""
    with pytest.raises(PermissionDenied):
        world.read("sys/audit", token="nosuch")
    assert records(folder / "declared.log")[-1]["error"] == "permission denied"
    (folder / "declared.log").unlink()
    (folder / "declared.log").mkdir()
    with pytest.raises(AuditFailed):
        world.write("sys/policies/acl/p", policy='path "x" { capabilities = ["read"] }')
    assert not [path for path in world.rows.rows if path.endswith("sys/policy/p")]


ADDRESSES = [
    {"type": "socket", "options": {"address": "192.0.2.1:80"}},
    {"type": "socket", "options": {"address": "127.0.0.1:81"}},
    {"type": "socket", "options": {"address": "/run/other", "socket_type": "unix"}},
    {"type": "syslog"},
    {"type": "syslog", "options": {"address": "192.0.2.1:514"}},
]


@pytest.mark.parametrize("fields", ADDRESSES, ids=str)
def test_enable_refuses_addresses_that_are_not_allowed(folder: Path, fields: dict[str, Any]) -> None:
    """No call sends records anywhere but where the configuration allows; a planted address is not followed while sealed."""
    import msgspec

    world = World(folder, (DeviceConfig(path="d/", kind="file", slot=0, options={"file_path": str(folder / "d")}, declared=True),))
    with pytest.raises(InvalidRequest, match="audit_addresses"):
        world.answer(Operation.UPDATE, "sys/audit/x", fields)
    planted = DeviceConfig(path="evil/", kind=fields["type"], slot=5, options=fields.get("options"))
    world.first.store.run(lambda transaction: transaction.put_plain(PLAIN, msgspec.json.encode((planted,))))
    late = world.worker()
    late.audit.refresh_sealed(late.store.read())
    assert [device.config.path for device in late.broker.devices] == ["d/"]


def test_enable_takes_an_allowed_address(folder: Path) -> None:
    """Then it is a device as others, and begins with a record."""
    import socket

    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(folder / "s"))
        world = World(folder, addresses=(str(folder / "s"),))
        world.write("sys/audit/x", type="syslog", options={"address": str(folder / "s")})
        assert b'"type":"enabled"' in log.recv(65536)
        world.delete("sys/audit/x")
        received = b""
        while b'"type":"disabled"' not in received:
            received = log.recv(65536)
        world.read("sys/audit")
        with pytest.raises(BlockingIOError):
            log.recv(65536, socket.MSG_DONTWAIT)


def test_some_device_takes_every_path(folder: Path) -> None:
    """A filtered device is not the only one, nor is the last one without a filter disabled."""
    world = World(folder)
    with pytest.raises(InvalidRequest, match="without a filter"):
        enable(world, "some", folder / "some.log", filter="secret/*")
    enable(world, "all", folder / "all.log")
    enable(world, "some", folder / "some.log", filter="secret/*")
    with pytest.raises(InvalidRequest, match="without a filter"):
        world.delete("sys/audit/all")
    with pytest.raises(InvalidRequest, match="filter must be"):
        enable(world, "wrong", folder / "wrong.log", filter="a*b")
    world.read("sys/audit")
    assert [record["type"] for record in records(folder / "some.log")] == ["enabled"]
    world.delete("sys/audit/some")
    world.delete("sys/audit/all")


def test_declared_devices_that_all_filter_stop_the_start(folder: Path) -> None:
    """A configuration of which some paths would be on record nowhere is refused."""
    options = {"file_path": str(folder / "d"), "filter": "secret/*"}
    with pytest.raises(InvalidRequest, match="without a filter"):
        World(folder, (DeviceConfig(path="d/", kind="file", slot=0, options=options, declared=True),))


def test_audit_paths_need_sudo(world: World) -> None:
    """Update without sudo is not enough; hashing needs none."""
    token = world.holder('path "*" { capabilities = ["create", "read", "update", "delete", "list"] }')
    for operation, path in ((Operation.READ, "sys/audit"), (Operation.UPDATE, "sys/audit/x"), (Operation.DELETE, "sys/audit/x")):
        with pytest.raises(DeniedByPolicy):
            world.send(operation, path, {}, token=token)
    assert world.write("sys/audit-hash/declared", input="x", token=token)
    with pytest.raises(InvalidRequest, match='the "input" parameter is empty'):
        world.write("sys/audit-hash/declared")
