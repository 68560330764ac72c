"""The versioned key-value engine as hvac and `bao kv` use it."""

from __future__ import annotations

from pathlib import Path

import hvac
import hvac.exceptions
import pytest

from tests.compat.command import Command
from tests.compat.wire import Wire

FAILED = 2


@pytest.mark.filterwarnings("ignore:The raise_on_deleted_version parameter")
def test_hvac_writes_reads_and_patches(client: hvac.Client, kv2: str) -> None:
    """Versions, check-and-set and patch by hvac."""
    kv = client.secrets.kv.v2
    assert kv.create_or_update_secret("a", {"k": 1}, mount_point=kv2)["data"]["version"] == 1
    assert kv.create_or_update_secret("a", {"k": 2}, cas=1, mount_point=kv2)["data"]["version"] == 2
    with pytest.raises(hvac.exceptions.InvalidRequest, match="check-and-set parameter did not match"):
        kv.create_or_update_secret("a", {"k": 3}, cas=1, mount_point=kv2)
    assert kv.read_secret_version("a", mount_point=kv2, raise_on_deleted_version=True)["data"]["data"] == {"k": 2}
    assert kv.read_secret_version("a", version=1, mount_point=kv2, raise_on_deleted_version=True)["data"]["data"] == {"k": 1}
    kv.patch("a", {"more": 1}, mount_point=kv2)
    assert kv.read_secret("a", mount_point=kv2, raise_on_deleted_version=True)["data"]["data"] == {"k": 2, "more": 1}
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.patch("none", {"k": 1}, mount_point=kv2)


def test_hvac_handles_deleted_versions(client: hvac.Client, kv2: str) -> None:
    """Hvac reads the metadata out of the 404 of a deleted version."""
    kv = client.secrets.kv.v2
    kv.create_or_update_secret("a", {"k": 1}, mount_point=kv2)
    kv.create_or_update_secret("a", {"k": 2}, mount_point=kv2)
    kv.delete_latest_version_of_secret("a", mount_point=kv2)
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret_version("a", mount_point=kv2, raise_on_deleted_version=True)
    deleted = kv.read_secret_version("a", mount_point=kv2, raise_on_deleted_version=False)
    assert deleted["data"]["data"] is None
    assert deleted["data"]["metadata"]["deletion_time"]
    kv.undelete_secret_versions("a", [2], mount_point=kv2)
    kv.delete_secret_versions("a", [1], mount_point=kv2)
    assert kv.read_secret_version("a", mount_point=kv2, raise_on_deleted_version=True)["data"]["data"] == {"k": 2}
    kv.destroy_secret_versions("a", [1], mount_point=kv2)
    assert kv.read_secret_metadata("a", mount_point=kv2)["data"]["versions"]["1"]["destroyed"] is True


def test_hvac_handles_configuration_metadata_and_lists(client: hvac.Client, kv2: str) -> None:
    """Hvac's settings and lists."""
    kv = client.secrets.kv.v2
    kv.configure(max_versions=7, cas_required=False, delete_version_after="1h", mount_point=kv2)
    assert kv.read_configuration(mount_point=kv2)["data"]["max_versions"] == 7
    kv.update_metadata("d/a", max_versions=3, custom_metadata={"k": "v"}, mount_point=kv2)
    assert kv.read_secret_metadata("d/a", mount_point=kv2)["data"]["custom_metadata"] == {"k": "v"}
    assert kv.list_secrets("", mount_point=kv2)["data"]["keys"] == ["d/"]
    assert kv.list_secrets("d", mount_point=kv2)["data"]["keys"] == ["a"]
    kv.delete_metadata_and_all_versions("d/a", mount_point=kv2)
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.list_secrets("", mount_point=kv2)


def test_command_puts_gets_and_lists(cli: Command, kv2: str, tmp_path: Path) -> None:
    """Values from arguments, files and standard input; versions; fields; both ways to name the mount."""
    source = tmp_path / "value.txt"
    source.write_text("from file")
    put = cli.json("kv", "put", f"-mount={kv2}", "d/a", "k=v", f"f=@{source}")
    assert put["data"]["version"] == 1
    assert cli.json("kv", "get", f"-mount={kv2}", "d/a")["data"]["data"] == {"k": "v", "f": "from file"}
    cli.run("kv", "put", f"{kv2}/d/a", "-", stdin='{"n": {"d": [1]}}').ok()
    assert cli.json("kv", "get", f"{kv2}/d/a")["data"]["data"] == {"n": {"d": [1]}}
    assert cli.run("kv", "get", "-version=1", "-field=k", f"{kv2}/d/a").ok().out == "v"
    assert cli.json("kv", "list", kv2) == ["d/"]
    assert cli.run("kv", "list", f"-mount={kv2}", "d").ok().out.split()[-1] == "a"
    shown = cli.run("kv", "get", f"{kv2}/d/a").ok().out
    for line in ("Secret Path", f"{kv2}/data/d/a", "created_time", "version", "Data"):
        assert line in shown


def test_command_checks_and_patches(cli: Command, kv2: str) -> None:
    """cas, the three methods of patch, and removal of a key."""
    cli.run("kv", "put", "-cas=0", f"{kv2}/a", "k=1").ok()
    refused = cli.run("kv", "put", "-cas=0", f"{kv2}/a", "k=2")
    assert (refused.code, "check-and-set parameter did not match" in refused.err) == (FAILED, True)
    cli.run("kv", "patch", f"{kv2}/a", "more=1").ok()
    cli.run("kv", "patch", "-method=rw", f"{kv2}/a", "rw=1").ok()
    cli.run("kv", "patch", "-method=patch", "-cas=3", "-remove-data=k", f"{kv2}/a", "p=1").ok()
    assert cli.json("kv", "get", f"{kv2}/a")["data"]["data"] == {"more": "1", "rw": "1", "p": "1"}
    assert cli.run("kv", "patch", f"{kv2}/none", "k=1").code == FAILED


def test_command_patches_without_the_patch_right(cli: Command, kv2: str, root: Wire, name: str) -> None:
    """Where PATCH is denied the command reads, merges and writes with check-and-set."""
    root.put(f"sys/policies/acl/{name}", {"policy": f'path "{kv2}/data/*" {{ capabilities = ["create", "read", "update"] }}'})
    token = root.post("auth/token/create", {"policies": [name]}).auth["client_token"]
    cli.run("kv", "put", f"{kv2}/a", "k=1").ok()
    cli.with_token(token).run("kv", "patch", f"{kv2}/a", "more=1").ok()
    assert cli.json("kv", "get", f"{kv2}/a")["data"]["data"] == {"k": "1", "more": "1"}


def test_command_deletes_undeletes_destroys_and_rolls_back(cli: Command, kv2: str) -> None:
    """The life of versions by command."""
    for value in ("1", "2", "3"):
        cli.run("kv", "put", f"{kv2}/a", f"k={value}").ok()
    cli.run("kv", "delete", f"{kv2}/a").ok()
    assert cli.json("kv", "get", f"{kv2}/a")["data"]["data"] is None
    cli.run("kv", "undelete", "-versions=3", f"{kv2}/a").ok()
    cli.run("kv", "delete", "-versions=1,2", f"{kv2}/a").ok()
    cli.run("kv", "undelete", "-versions=2", f"{kv2}/a").ok()
    assert cli.run("kv", "get", "-field=k", f"{kv2}/a").ok().out == "3"
    assert cli.json("kv", "rollback", "-version=2", f"{kv2}/a")["data"]["version"] == 4
    assert cli.run("kv", "get", "-field=k", f"{kv2}/a").ok().out == "2"
    cli.run("kv", "destroy", "-versions=3", f"{kv2}/a").ok()
    refused = cli.run("kv", "rollback", "-version=3", f"{kv2}/a")
    assert refused.code == FAILED
    assert cli.run("kv", "get", "-version=9", f"{kv2}/a").code == FAILED


def test_command_handles_metadata(cli: Command, kv2: str) -> None:
    """Metadata put, patch, get and delete."""
    cli.run("kv", "metadata", "put", "-max-versions=5", "-delete-version-after=1h", "-custom-metadata=a=b", f"{kv2}/a").ok()
    cli.run("kv", "metadata", "patch", "-custom-metadata=c=d", "-cas-required", f"{kv2}/a").ok()
    shown = cli.json("kv", "metadata", "get", f"{kv2}/a")["data"]
    assert shown["custom_metadata"] == {"a": "b", "c": "d"}
    assert (shown["max_versions"], shown["delete_version_after"], shown["cas_required"]) == (5, "1h0m0s", True)
    assert "Metadata Path" in cli.run("kv", "metadata", "get", f"{kv2}/a").ok().out
    cli.run("kv", "metadata", "delete", f"{kv2}/a").ok()
    assert cli.run("kv", "metadata", "get", f"{kv2}/a").code == FAILED


def test_generic_commands_need_the_full_path(cli: Command, kv2: str) -> None:
    """Read and write speak to data/ themselves; without it the warning reaches the user."""
    cli.run("write", f"{kv2}/data/a", "-", stdin='{"data": {"k": "v"}}').ok()
    assert cli.json("read", f"{kv2}/data/a")["data"]["data"] == {"k": "v"}
    refused = cli.run("write", f"{kv2}/a", "k=v")
    assert refused.code == FAILED
    assert "Invalid path for a versioned K/V secrets engine" in refused.err
    cli.run("delete", f"{kv2}/data/a").ok()
    assert cli.run("kv", "get", f"{kv2}/none").code == FAILED
    assert cli.run("kv", "get", "nosuch/none").code == FAILED
