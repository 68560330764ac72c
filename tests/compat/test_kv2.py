"""The versioned key-value engine over raw HTTP: data, versions, check-and-set, patch, subkeys, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from tests.compat.wire import Wire

CAS_MISMATCH = ["check-and-set parameter did not match the current version"]
CAS_REQUIRED = ["check-and-set parameter required for this call"]
NO_VERSION = "no version number provided"
WRONG_PATH = "Invalid path for a versioned K/V secrets engine"
METADATA = {"custom_metadata": None, "deletion_time": "", "destroyed": False}


def write(root: Wire, path: str, **data: Any) -> int:
    """Write a version and return its number."""
    answer = root.put(path, {"data": data})
    assert answer.status == 200, answer.body
    version: int = answer.data["version"]
    return version


def test_write_answers_the_version_and_read_gives_it_back(root: Wire, kv2: str) -> None:
    """Versions count from 1; the answer of a write and the metadata of a read agree."""
    written = root.put(f"{kv2}/data/a", {"data": {"k": "v", "n": {"d": [1, None, "x"]}}}).data
    assert {**METADATA, "version": 1, "created_time": written["created_time"]} == written
    read = root.get(f"{kv2}/data/a").json
    assert read["data"] == {"data": {"k": "v", "n": {"d": [1, None, "x"]}}, "metadata": written}
    assert (read["lease_duration"], read["renewable"]) == (0, False)
    assert write(root, f"{kv2}/data/a", k=2) == 2
    assert root.get(f"{kv2}/data/a?version=1").data["data"]["k"] == "v"
    for latest in ("", "?version=0", "?version=2", "?version="):
        assert root.get(f"{kv2}/data/a{latest}").data["data"] == {"k": 2}, latest
    assert root.get(f"{kv2}/data/a?version=3").json == {"errors": []}
    assert root.get(f"{kv2}/data/none").json == {"errors": []}


@pytest.mark.parametrize("version", ["x", "1.5", "1&version=2", "9223372036854775808", "true"])
def test_version_that_is_no_number_is_refused(root: Wire, kv2: str, version: str) -> None:
    """A version must be one integer."""
    write(root, f"{kv2}/data/a", k=1)
    assert root.get(f"{kv2}/data/a?version={version}").status == 400


# check-and-set value, current version of the key, whether the write succeeds
CAS: list[tuple[Any, int, bool]] = [
    (0, 0, True), (0, 1, False), (1, 1, True), (1, 2, False), (2, 1, False), ("1", 1, True), (1, 0, False), (-1, 1, False),
    ("x", 1, False), (1.5, 1, False), ([1], 1, False), ({"a": 1}, 1, False), (None, 1, False), (9223372036854775808, 1, False),
]  # fmt: skip


@pytest.mark.parametrize(("cas", "current", "succeeds"), CAS)
def test_check_and_set(root: Wire, kv2: str, cas: Any, current: int, succeeds: bool) -> None:
    """A write with cas succeeds only on that version; 0 means that the key must not exist; a refusal changes nothing."""
    for _ in range(current):
        write(root, f"{kv2}/data/a", k="old")
    answer = root.put(f"{kv2}/data/a", {"data": {"k": "new"}, "options": {"cas": cas}})
    assert answer.status == (200 if succeeds else 400), answer.body
    if current and not succeeds:
        assert root.get(f"{kv2}/data/a").data["data"] == {"k": "old"}
        assert root.get(f"{kv2}/data/a").data["metadata"]["version"] == current
    if not succeeds and isinstance(cas, int) and abs(cas) < 2**63:
        assert answer.errors == CAS_MISMATCH


@pytest.mark.parametrize("where", ["config", "metadata/a"])
def test_check_and_set_can_be_required(root: Wire, kv2: str, where: str) -> None:
    """By the mount or by the key: a write without cas is refused."""
    assert root.post(f"{kv2}/{where}", {"cas_required": True}).status == 204
    assert root.put(f"{kv2}/data/a", {"data": {"k": 1}}).errors == CAS_REQUIRED
    assert root.put(f"{kv2}/data/a", {"data": {"k": 1}, "options": {"cas": 0}}).status == 200
    assert root.put(f"{kv2}/data/a", {"data": {"k": 1}, "options": {}}).errors == CAS_REQUIRED


REFUSED_WRITES: list[tuple[Any, str]] = [
    ({}, "no data provided"),
    ({"k": "v"}, "no data provided"),
    ({"data": "x"}, ""),
    ({"data": 5}, ""),
    ({"data": ["x"]}, ""),
    ({"data": {"k": 1}, "options": "x"}, ""),
    (b"{bad", ""),
    (b'["x"]', ""),
]


@pytest.mark.parametrize(("body", "text"), REFUSED_WRITES, ids=str)
def test_bad_writes_are_refused_and_store_nothing(root: Wire, kv2: str, body: Any, text: str) -> None:
    """A write without an object under `data` is a 400."""
    answer = root.put(f"{kv2}/data/a", body)
    assert answer.status == 400
    assert text in answer.errors[0]
    assert root.get(f"{kv2}/data/a").status == 404
    assert root.list(f"{kv2}/metadata").status == 404


def test_unknown_field_of_a_write_is_warned_about(root: Wire, kv2: str) -> None:
    """A field next to data and options is ignored with a warning."""
    answer = root.put(f"{kv2}/data/a", {"data": {"k": 1}, "surplus": 1})
    assert answer.json["warnings"] == ["Endpoint ignored these unrecognized parameters: [surplus]"]


def test_patch_merges_and_null_removes(root: Wire, kv2: str) -> None:
    """Patch makes a new version out of the latest one."""
    write(root, f"{kv2}/data/a", keep=1, change=1, gone=1, nested={"x": 1, "y": 2})
    answer = root.patch(f"{kv2}/data/a", {"data": {"change": 2, "gone": None, "nested": {"x": None, "z": 3}, "new": [1]}})
    assert (answer.status, answer.data["version"]) == (200, 2)
    assert root.get(f"{kv2}/data/a").data["data"] == {"keep": 1, "change": 2, "nested": {"y": 2, "z": 3}, "new": [1]}
    assert root.patch(f"{kv2}/data/a", {"data": {"k": 1}, "options": {"cas": 1}}).errors == CAS_MISMATCH
    assert root.patch(f"{kv2}/data/a", {"data": {"k": 1}, "options": {"cas": 2}}).status == 200


def test_patch_refusals(root: Wire, kv2: str) -> None:
    """No data, no such key, a deleted version, the wrong content type, bad JSON."""
    assert root.patch(f"{kv2}/data/none", {"data": {"k": 1}}).status == 404
    write(root, f"{kv2}/data/a", k=1)
    assert root.patch(f"{kv2}/data/a", {}).errors == ["no data provided"]
    assert root.patch(f"{kv2}/data/a", {"data": "x"}).status == 400
    refused = root.send("PATCH", f"{kv2}/data/a", {"data": {"k": 2}}, {"Content-Type": "application/json"})
    assert refused.status == 415
    assert refused.errors == ["PATCH requires Content-Type of application/merge-patch+json, provided application/json"]
    assert root.send("PATCH", f"{kv2}/data/a", b"{bad", {"Content-Type": "application/merge-patch+json"}).status == 400
    root.delete(f"{kv2}/data/a")
    deleted = root.patch(f"{kv2}/data/a", {"data": {"k": 1}})
    assert deleted.status == 404
    assert deleted.data["deletion_time"]


def test_delete_hides_and_undelete_brings_back(root: Wire, kv2: str) -> None:
    """A deleted version is a 404 that still carries its metadata."""
    write(root, f"{kv2}/data/a", k=1)
    write(root, f"{kv2}/data/a", k=2)
    deleted = root.delete(f"{kv2}/data/a")
    assert (deleted.status, deleted.body) == (204, b"")
    answer = root.get(f"{kv2}/data/a")
    assert answer.status == 404
    assert answer.data["data"] is None
    assert answer.data["metadata"]["deletion_time"]
    assert (answer.data["metadata"]["version"], answer.data["metadata"]["destroyed"]) == (2, False)
    assert root.get(f"{kv2}/data/a?version=1").status == 200
    assert root.put(f"{kv2}/undelete/a", {"versions": [2]}).status == 204
    assert root.get(f"{kv2}/data/a").data["data"] == {"k": 2}
    assert root.put(f"{kv2}/delete/a", {"versions": "1,2"}).status == 204
    assert [root.get(f"{kv2}/data/a?version={n}").status for n in (1, 2)] == [404, 404]
    assert root.put(f"{kv2}/undelete/a", {"versions": ["1"]}).status == 204
    assert [root.get(f"{kv2}/data/a?version={n}").status for n in (1, 2)] == [200, 404]


def test_destroy_is_for_good(root: Wire, kv2: str) -> None:
    """A destroyed version cannot be undeleted; its metadata stays; others are untouched."""
    for number in (1, 2, 3):
        write(root, f"{kv2}/data/a", k=number)
    assert root.put(f"{kv2}/destroy/a", {"versions": [1, 3]}).status == 204
    assert root.put(f"{kv2}/undelete/a", {"versions": [1, 3]}).status == 204
    for number in (1, 3):
        answer = root.get(f"{kv2}/data/a?version={number}")
        assert (answer.status, answer.data["data"], answer.data["metadata"]["destroyed"]) == (404, None, True)
    assert root.get(f"{kv2}/data/a?version=2").data["data"] == {"k": 2}
    assert write(root, f"{kv2}/data/a", k=4) == 4


@pytest.mark.parametrize("verb", ["delete", "undelete", "destroy"])
@pytest.mark.parametrize("versions", [None, [], ["x"], [1.5], {"a": 1}, [[1]], "x"], ids=str)
def test_version_lists_are_checked(root: Wire, kv2: str, verb: str, versions: Any) -> None:
    """Missing and malformed version lists are a 400 and change nothing."""
    write(root, f"{kv2}/data/a", k=1)
    answer = root.put(f"{kv2}/{verb}/a", {"versions": versions})
    assert answer.status == 400
    if not versions:
        assert answer.errors[0].lower() == NO_VERSION
    assert root.get(f"{kv2}/data/a").status == 200


@pytest.mark.parametrize("verb", ["delete", "undelete", "destroy"])
def test_versions_that_do_not_exist_are_no_error(root: Wire, kv2: str, verb: str) -> None:
    """Unknown numbers and unknown keys are quietly done."""
    write(root, f"{kv2}/data/a", k=1)
    assert root.put(f"{kv2}/{verb}/a", {"versions": [99]}).status == 204
    assert root.put(f"{kv2}/{verb}/none", {"versions": [1]}).status == 204
    assert root.get(f"{kv2}/data/a").status == 200
    assert root.list(f"{kv2}/metadata").data["keys"] == ["a"]


def test_subkeys_show_the_shape_without_values(root: Wire, kv2: str) -> None:
    """Leaves, lists and empty objects are null; depth cuts; a version may be chosen."""
    write(root, f"{kv2}/data/a", a=1, b={"c": {"d": 1}, "e": []}, f={})
    full = {"a": None, "b": {"c": {"d": None}, "e": None}, "f": None}
    assert root.get(f"{kv2}/subkeys/a").data["subkeys"] == full
    assert root.get(f"{kv2}/subkeys/a?depth=0").data["subkeys"] == full
    assert root.get(f"{kv2}/subkeys/a?depth=1").data["subkeys"] == {"a": None, "b": None, "f": None}
    assert root.get(f"{kv2}/subkeys/a?depth=2").data["subkeys"] == {"a": None, "b": {"c": None, "e": None}, "f": None}
    assert root.get(f"{kv2}/subkeys/a?version=1").data["metadata"]["version"] == 1
    assert root.get(f"{kv2}/subkeys/a?version=9").json == {"errors": []}
    assert root.get(f"{kv2}/subkeys/none").status == 404
    assert root.get(f"{kv2}/subkeys/a?depth=x").status == 400
    root.delete(f"{kv2}/data/a")
    answer = root.get(f"{kv2}/subkeys/a")
    assert (answer.status, answer.data["subkeys"]) == (404, None)


@pytest.mark.parametrize(
    ("method", "path", "command"),
    [("GET", "a", "get"), ("PUT", "a", "put"), ("DELETE", "a", "delete"), ("LIST", "a", "list"), ("GET", "", "get"), ("LIST", "", "list")],
)
def test_paths_without_their_prefix_say_so(root: Wire, kv2: str, method: str, path: str, command: str) -> None:
    """A 404 with a warning that names the right command."""
    answer = root.send(method, f"{kv2}/{path}".rstrip("/"), {"k": "v"} if method == "PUT" else None)
    assert answer.status == 404
    assert answer.json["data"] is None
    assert WRONG_PATH in answer.json["warnings"][0]
    assert f"kv {command}' for this operation" in answer.json["warnings"][0]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("LIST", "data/"), ("GET", "delete/a"), ("GET", "undelete/a"), ("GET", "destroy/a"), ("DELETE", "config"), ("PUT", "subkeys/a"),
        ("GET", "detailed-metadata/a"), ("LIST", "subkeys/a"),
    ],
)  # fmt: skip
def test_known_paths_refuse_other_operations(root: Wire, kv2: str, method: str, path: str) -> None:
    """The path is there, the operation is not."""
    answer = root.send(method, f"{kv2}/{path}", {"versions": [1]} if method == "PUT" else None)
    assert answer.status == 405
    assert "unsupported operation" in answer.errors[0]


def test_rights_of_each_prefix_are_separate(root: Wire, kv2: str, holder: Any) -> None:
    """Rights to data give none to metadata, versions or destruction."""
    write(root, f"{kv2}/data/a", k=1)
    me = holder(f'path "{kv2}/data/*" {{ capabilities = ["create", "read", "update", "delete", "list", "patch"] }}')
    assert me.get(f"{kv2}/data/a").status == 200
    for method, path in (
        ("GET", "metadata/a"),
        ("DELETE", "metadata/a"),
        ("LIST", "metadata"),
        ("PUT", "destroy/a"),
        ("PUT", "delete/a"),
        ("PUT", "undelete/a"),
        ("GET", "subkeys/a"),
        ("GET", "config"),
    ):
        assert me.send(method, f"{kv2}/{path}", {"versions": [1]} if method == "PUT" else None).status == 403, (method, path)
