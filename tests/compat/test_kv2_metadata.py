"""The versioned key-value engine's config and metadata: limits, lifetimes, custom metadata, lists."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.compat.wire import Wire

CONFIG = {"cas_required": False, "delete_version_after": "0s", "max_versions": 0, "metadata_cas_required": False}
DELETION_SECONDS_MAX = 10.0


def write(root: Wire, path: str, **data: Any) -> None:
    """Write a version."""
    assert root.put(path, {"data": data}).status == 200


def test_config_has_its_defaults_and_keeps_what_is_set(root: Wire, kv2: str) -> None:
    """Durations read back as text; an update changes only what it names."""
    assert root.get(f"{kv2}/config").data == CONFIG
    assert root.post(f"{kv2}/config", {"max_versions": 3, "delete_version_after": "2h"}).status == 204
    assert root.post(f"{kv2}/config", {"cas_required": True}).status == 204
    assert root.get(f"{kv2}/config").data == {**CONFIG, "max_versions": 3, "delete_version_after": "2h0m0s", "cas_required": True}
    assert root.post(f"{kv2}/config", {}).status == 204
    assert root.get(f"{kv2}/config").data["max_versions"] == 3


@pytest.mark.parametrize("where", ["config", "metadata/a"])
@pytest.mark.parametrize(
    "body",
    [
        {"max_versions": "x"},
        {"max_versions": 1.5},
        {"max_versions": [1]},
        {"max_versions": {"a": 1}},
        {"max_versions": 9223372036854775808},
        {"delete_version_after": "x"},
        {"delete_version_after": [1]},
        {"delete_version_after": 1.5},
        {"cas_required": "x"},
        {"cas_required": 2},
        {"cas_required": [True]},
    ],
    ids=str,
)
def test_bad_settings_are_refused_and_change_nothing(root: Wire, kv2: str, where: str, body: dict[str, Any]) -> None:
    """Wrong types are a 400 on the mount's and on the key's settings."""
    assert root.post(f"{kv2}/{where}", body).status == 400
    assert root.get(f"{kv2}/config").data == CONFIG
    assert root.get(f"{kv2}/metadata/a").status == 404


@pytest.mark.parametrize(("setting", "kept"), [("config", 3), ("metadata/a", 3), ("default", 10)])
def test_old_versions_are_pruned(root: Wire, kv2: str, setting: str, kept: int) -> None:
    """Only the newest versions stay: by the mount, by the key, or ten."""
    if setting != "default":
        root.post(f"{kv2}/{setting}", {"max_versions": kept})
    for number in range(1, kept + 3):
        write(root, f"{kv2}/data/a", k=number)
    shown = root.get(f"{kv2}/metadata/a").data
    assert [int(version) for version in sorted(shown["versions"], key=int)] == list(range(3, kept + 3))
    assert (shown["current_version"], shown["oldest_version"]) == (kept + 2, 3)
    assert root.get(f"{kv2}/data/a?version=2").json == {"errors": []}
    assert root.get(f"{kv2}/data/a?version=3").data["data"] == {"k": 3}


def test_metadata_describes_all_versions(root: Wire, kv2: str) -> None:
    """Each version has its times; the key has its settings and both its own times."""
    for number in (1, 2, 3):
        write(root, f"{kv2}/data/a", k=number)
    root.put(f"{kv2}/delete/a", {"versions": [1]})
    root.put(f"{kv2}/destroy/a", {"versions": [2]})
    shown = root.get(f"{kv2}/metadata/a").data
    assert shown.keys() >= {
        "cas_required",
        "created_time",
        "current_version",
        "custom_metadata",
        "delete_version_after",
        "max_versions",
        "oldest_version",
        "updated_time",
        "versions",
    }
    assert shown["versions"].keys() == {"1", "2", "3"}
    assert shown["versions"]["1"]["deletion_time"]
    assert shown["versions"]["2"]["destroyed"] is True
    assert shown["versions"]["3"].keys() == {"created_time", "deletion_time", "destroyed"}
    assert shown["created_time"] == shown["versions"]["1"]["created_time"]


def test_metadata_before_any_version(root: Wire, kv2: str) -> None:
    """Settings of a key may be written first; the data is then still a 404, and the key is listed."""
    body = {"custom_metadata": {"k": "v"}, "max_versions": 2, "delete_version_after": "1h", "cas_required": True}
    assert root.post(f"{kv2}/metadata/a", body).status == 204
    shown = root.get(f"{kv2}/metadata/a").data
    assert (shown["current_version"], shown["versions"], shown["custom_metadata"]) == (0, {}, {"k": "v"})
    assert (shown["delete_version_after"], shown["cas_required"], shown["max_versions"]) == ("1h0m0s", True, 2)
    assert root.get(f"{kv2}/data/a").json == {"errors": []}
    assert root.list(f"{kv2}/metadata").data["keys"] == ["a"]
    written = root.put(f"{kv2}/data/a", {"data": {}, "options": {"cas": 0}}).data
    assert written["custom_metadata"] == {"k": "v"}
    assert written["deletion_time"] > written["created_time"]


def test_metadata_patch_merges(root: Wire, kv2: str) -> None:
    """Patch changes named settings, merges custom metadata, and null clears."""
    assert root.patch(f"{kv2}/metadata/a", {"max_versions": 2}).status == 404
    root.post(f"{kv2}/metadata/a", {"custom_metadata": {"a": "1", "b": "2"}, "max_versions": 5})
    assert root.patch(f"{kv2}/metadata/a", {"custom_metadata": {"a": None, "c": "3"}}).status == 204
    shown = root.get(f"{kv2}/metadata/a").data
    assert (shown["custom_metadata"], shown["max_versions"]) == ({"b": "2", "c": "3"}, 5)
    assert root.patch(f"{kv2}/metadata/a", {"custom_metadata": None, "max_versions": None}).status == 204
    shown = root.get(f"{kv2}/metadata/a").data
    assert (shown["custom_metadata"], shown["max_versions"]) == (None, 0)
    assert root.post(f"{kv2}/metadata/a", {"custom_metadata": {"only": "this"}}).status == 204
    assert root.post(f"{kv2}/metadata/a", {"max_versions": 4}).status == 204
    assert root.get(f"{kv2}/metadata/a").data["custom_metadata"] == {"only": "this"}


@pytest.mark.parametrize(
    "custom",
    [
        "x",
        ["a=b"],
        {"a": None},
        {"a": {"b": 1}},
        {"a": [1]},
        {"": "v"},
        {"k": ""},
        {"k" * 129: "v"},
        {"k": "v" * 513},
        {f"k{number}": "v" for number in range(65)},
        {"a\u0001": "v"},
        {"a": "v\u0001"},
    ],
    ids=lambda value: str(value)[:30],
)
def test_custom_metadata_has_limits(root: Wire, kv2: str, custom: Any) -> None:
    """64 pairs of text, keys to 128, values to 512, printable, not empty."""
    assert root.post(f"{kv2}/metadata/a", {"custom_metadata": custom}).status == 400
    assert root.get(f"{kv2}/metadata/a").status == 404


def test_custom_metadata_up_to_the_limits_is_kept(root: Wire, kv2: str) -> None:
    """The largest allowed custom metadata survives; plain numbers become text."""
    custom = {f"{number:0128}": "v" * 512 for number in range(64)}
    assert root.post(f"{kv2}/metadata/a", {"custom_metadata": custom}).status == 204
    assert root.get(f"{kv2}/metadata/a").data["custom_metadata"] == custom
    assert root.post(f"{kv2}/metadata/a", {"custom_metadata": {"n": 1}}).status == 204
    assert root.get(f"{kv2}/metadata/a").data["custom_metadata"] == {"n": "1"}


def test_metadata_delete_removes_everything(root: Wire, kv2: str) -> None:
    """After it the key never existed: versions count from 1 again."""
    write(root, f"{kv2}/data/a", k=1)
    write(root, f"{kv2}/data/a", k=2)
    assert root.delete(f"{kv2}/metadata/a").status == 204
    assert root.delete(f"{kv2}/metadata/a").status == 204
    for path in ("data/a", "metadata/a", "subkeys/a", "data/a?version=1"):
        assert root.get(f"{kv2}/{path}").status == 404, path
    assert root.list(f"{kv2}/metadata").status == 404
    assert root.put(f"{kv2}/data/a", {"data": {}, "options": {"cas": 0}}).data["version"] == 1


@pytest.mark.parametrize("where", ["config", "metadata/a"])
def test_versions_delete_themselves(root: Wire, kv2: str, where: str) -> None:
    """With delete_version_after a version hides itself when its time has come."""
    root.post(f"{kv2}/{where}", {"delete_version_after": "1s"})
    write(root, f"{kv2}/data/a", k=1)
    first = root.get(f"{kv2}/data/a")
    assert first.status == 200
    assert first.data["metadata"]["deletion_time"]
    deadline = time.monotonic() + DELETION_SECONDS_MAX
    while root.get(f"{kv2}/data/a").status == 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    gone = root.get(f"{kv2}/data/a")
    assert (gone.status, gone.data["data"], gone.data["metadata"]["destroyed"]) == (404, None, False)


def test_lists_are_by_folder_and_paginated(root: Wire, kv2: str) -> None:
    """Folders end with a slash; after and limit cut; nothing is a 404."""
    for path in ("a", "b", "c", "d/e", "d/f", "d/g/h"):
        write(root, f"{kv2}/data/{path}", k=1)
    assert root.list(f"{kv2}/metadata").data == {"keys": ["a", "b", "c", "d/"]}
    assert root.get(f"{kv2}/metadata/?list=true").data == {"keys": ["a", "b", "c", "d/"]}
    assert root.list(f"{kv2}/metadata/d").data == {"keys": ["e", "f", "g/"]}
    assert root.list(f"{kv2}/metadata/?limit=2").data == {"keys": ["a", "b"]}
    assert root.list(f"{kv2}/metadata/?after=a&limit=2").data == {"keys": ["b", "c"]}
    assert root.list(f"{kv2}/metadata/?after=bb").data == {"keys": ["c", "d/"]}
    assert root.list(f"{kv2}/metadata/?after=zzz").json == {"errors": []}
    assert root.list(f"{kv2}/metadata/a").json == {"errors": []}
    assert root.list(f"{kv2}/metadata/?limit=x").status == 400


def test_detailed_list_carries_the_metadata(root: Wire, kv2: str) -> None:
    """Each key has its metadata, a folder has an empty one."""
    write(root, f"{kv2}/data/a", k=1)
    write(root, f"{kv2}/data/d/e", k=1)
    root.post(f"{kv2}/metadata/a", {"custom_metadata": {"k": "v"}})
    data = root.list(f"{kv2}/detailed-metadata/").data
    assert data["keys"] == ["a", "d/"]
    assert data["key_info"]["a"] == root.get(f"{kv2}/metadata/a").data
    assert not data["key_info"].get("d/")
    assert root.list(f"{kv2}/detailed-metadata/?limit=1").data["keys"] == ["a"]


@pytest.mark.parametrize("path", ["data", "metadata"])
def test_root_of_a_prefix_says_that_it_only_lists(root: Wire, kv2: str, path: str) -> None:
    """Reading or writing the bare prefix is a 404 with a warning."""
    for answer in (root.get(f"{kv2}/{path}"), root.put(f"{kv2}/{path}", {"data": {}})):
        assert answer.status == 404
        assert answer.json["warnings"] == ["Non-listing operations on the root of a K/V v2 mount are not supported."]
    assert root.put(f"{kv2}/{path}/", {"data": {}}).errors == ["cannot write to a path ending in '/'"]
