"""The unversioned key-value engine: raw, by hvac, and by command."""

from __future__ import annotations

import json
from typing import Any

import hvac
import hvac.exceptions
import pytest

from tests.compat.command import Command
from tests.compat.wire import Wire

MOUNT_DEFAULT = 2764800
VALUES: list[dict[str, Any]] = [
    {"s": "text", "n": 1, "f": 1.5, "b": True, "z": None, "l": [1, "x", None], "m": {"k": {"d": 1}}},
    {"empty": "", "": "empty key", "unicode": "é\u2028<&>\U0001f600", "quote": '"\\\n\t'},
    {"big": 9007199254740993, "negative": -1, "zero": 0},
    {"data": {"options": 1}, "path": "own", "list": "true"},
]
LIFETIMES: list[tuple[dict[str, Any], int]] = [
    ({"ttl": "90s"}, 90),
    ({"ttl": 90}, 90),
    ({"ttl": "90"}, 90),
    ({"lease": "1h"}, 3600),
    ({"ttl": "2h", "lease": "1h"}, 7200),
    ({"ttl": "abc"}, MOUNT_DEFAULT),
    ({"ttl": [1]}, MOUNT_DEFAULT),
    ({"ttl": True}, MOUNT_DEFAULT),
    ({"k": "v"}, MOUNT_DEFAULT),
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_value_comes_back_as_it_was(root: Wire, kv1: str, value: dict[str, Any]) -> None:
    """Any JSON object survives; a write replaces the whole."""
    assert root.put(f"{kv1}/a", {"old": "value"}).status == 204
    written = root.post(f"{kv1}/a", value)
    assert (written.status, written.body) == (204, b"")
    answer = root.get(f"{kv1}/a")
    assert answer.data == value
    assert (answer.json["renewable"], answer.json["lease_id"]) == (False, "")


def test_numbers_keep_their_digits(root: Wire, kv1: str) -> None:
    """A number comes back with the digits it was written with."""
    text = b'{"n":9007199254740993,"long":1234567890.123456789012}'
    root.put(f"{kv1}/a", text)
    raw = root.get(f"{kv1}/a").body
    assert b"9007199254740993" in raw
    assert b"1234567890.123456789012" in raw


@pytest.mark.parametrize(("value", "seconds"), LIFETIMES, ids=str)
def test_ttl_field_shows_as_lease_duration(root: Wire, kv1: str, value: dict[str, Any], seconds: int) -> None:
    """The field `ttl`, else `lease`, is told as a hint; otherwise the mount's default."""
    root.put(f"{kv1}/a", value)
    assert root.get(f"{kv1}/a").json["lease_duration"] == seconds


def test_default_lease_of_the_mount_is_the_hint(root: Wire, kv1: str) -> None:
    """A tuned mount tells its own default."""
    root.put(f"{kv1}/a", {"k": "v"})
    root.post(f"sys/mounts/{kv1}/tune", {"default_lease_ttl": "1h"})
    assert root.get(f"{kv1}/a").json["lease_duration"] == 3600


def test_list_shows_the_children_only(root: Wire, kv1: str) -> None:
    """Folders end with a slash, a name may be both, order is by bytes, names do not match by prefix."""
    for path in ("b", "a", "d", "d/e/f", "ab/c", "Z", "%25", "un_der", "é"):
        assert root.put(f"{kv1}/{path.replace('é', '%C3%A9')}", {"k": "v"}).status == 204
    expected = ["%", "Z", "a", "ab/", "b", "d", "d/", "un_der", "é"]
    for answer in (root.list(kv1), root.list(f"{kv1}/"), root.get(f"{kv1}?list=true"), root.get(f"{kv1}/?list=1")):
        assert answer.data == {"keys": expected}
        assert answer.json["lease_duration"] == 0
    assert root.list(f"{kv1}/d").data == {"keys": ["e/"]}
    assert root.list(f"{kv1}/d/").data == {"keys": ["e/"]}
    for nothing in ("a", "none", "un", "%25", "_n_der"):
        answer = root.list(f"{kv1}/{nothing}")
        assert (answer.status, answer.json) == (404, {"errors": []}), nothing


def test_delete_is_quiet_and_empties_folders(root: Wire, kv1: str) -> None:
    """Deleting what is not there is fine; a folder without keys is gone."""
    assert root.delete(f"{kv1}/none").status == 204
    root.put(f"{kv1}/d/e", {"k": "v"})
    root.put(f"{kv1}/d", {"k": "v"})
    assert root.delete(f"{kv1}/d").status == 204
    assert root.list(kv1).data == {"keys": ["d/"]}
    assert root.delete(f"{kv1}/d/e").status == 204
    assert root.list(kv1).status == 404


def test_refusals(root: Wire, kv1: str) -> None:
    """No fields, a path that ends in a slash, no path, and PATCH."""
    assert root.put(f"{kv1}/a", {}).errors == ["missing data fields"]
    assert root.put(f"{kv1}/a").errors == ["missing data fields"]
    assert root.put(f"{kv1}/a/", {"k": "v"}).errors == ["cannot write to a path ending in '/'"]
    assert root.put(kv1, {"k": "v"}).status == 400
    assert root.get(f"{kv1}/a").json == {"errors": []}
    assert root.patch(f"{kv1}/a", {"k": "v"}).status == 405


def test_hvac_reads_writes_lists_and_deletes(client: hvac.Client, kv1: str) -> None:
    """Hvac's kv v1 methods end to end."""
    kv = client.secrets.kv.v1
    kv.create_or_update_secret("d/a", {"k": "v"}, mount_point=kv1)
    assert kv.read_secret("d/a", mount_point=kv1)["data"] == {"k": "v"}
    assert kv.list_secrets("", mount_point=kv1)["data"]["keys"] == ["d/"]
    assert kv.list_secrets("d", mount_point=kv1)["data"]["keys"] == ["a"]
    kv.delete_secret("d/a", mount_point=kv1)
    with pytest.raises(hvac.exceptions.InvalidPath):
        kv.read_secret("d/a", mount_point=kv1)
    client.write_data(f"{kv1}/w", data={"k": "v"})
    assert client.read(f"{kv1}/w")["data"] == {"k": "v"}
    assert client.list(kv1)["data"]["keys"] == ["w"]
    client.delete(f"{kv1}/w")
    assert client.read(f"{kv1}/w") is None


def test_command_reads_writes_lists_and_deletes(cli: Command, kv1: str) -> None:
    """`bao kv ...` finds out that the mount is unversioned, and the generic commands agree."""
    cli.run("kv", "put", f"-mount={kv1}", "d/a", "k=v", "n=2").ok()
    assert cli.json("kv", "get", f"-mount={kv1}", "d/a")["data"] == {"k": "v", "n": "2"}
    assert cli.run("kv", "get", "-field=k", f"{kv1}/d/a").ok().out == "v"
    assert cli.json("kv", "list", kv1) == ["d/"]
    cli.run("kv", "delete", f"{kv1}/d/a").ok()
    assert cli.run("kv", "get", f"{kv1}/d/a").code == 2
    cli.run("write", f"{kv1}/w", "-", stdin=json.dumps({"nested": {"a": [1]}})).ok()
    assert cli.json("read", f"{kv1}/w")["data"] == {"nested": {"a": [1]}}
    assert cli.json("list", kv1) == ["w"]
    cli.run("delete", f"{kv1}/w").ok()
    refused = cli.run("kv", "metadata", "get", f"{kv1}/w")
    assert refused.code != 0
    assert "Metadata not supported on KV Version 1" in refused.err


def test_enable_versioning_keeps_the_values(cli: Command, root: Wire, kv1: str) -> None:
    """The upgrade to versions turns each value into its first version."""
    for number in range(5):
        root.put(f"{kv1}/folder/{number}", {"number": number})
    shown = cli.run("kv", "enable-versioning", kv1).ok().out
    assert "Success! Tuned the secrets engine" in shown
    answer = root.get(f"{kv1}/data/folder/3")
    for _ in range(100):
        if answer.status == 200:
            break
        answer = root.get(f"{kv1}/data/folder/3")
    assert (answer.data["data"], answer.data["metadata"]["version"]) == ({"number": 3}, 1)
    assert root.get(f"sys/mounts/{kv1}").data["options"] == {"version": "2"}
    assert cli.json("kv", "list", f"{kv1}/folder") == ["0", "1", "2", "3", "4"]
    assert root.post(f"sys/mounts/{kv1}/tune", {"options": {"version": "1"}}).errors == ["cannot downgrade mount from version 2"]
