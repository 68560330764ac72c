"""`sys/raw`: not there unless asked for, for root alone, and never a way to the keys or around the audit trail."""

import base64
import gzip
from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault import limits
from vault.errors import InvalidRequest, PermissionDenied, Sealed, UnsupportedPath, VaultError
from vault.logical.operation import Operation
from vault.storage.transaction import PLAIN

PROTECTED = (
    *sorted(PLAIN),
    "core/audit",
    "core/token-key",
    "core/rekey",
    "core/generate-root",
    "core/key-uses",
    "core/rotation-config",
    "core/quotas",
    "core/cors",
)


class RawWorld(World):
    """A server whose configuration asks for it."""

    raw = True


@pytest.fixture
def raw() -> RawWorld:
    """Return a server that answers to sys/raw."""
    return RawWorld()


@pytest.mark.parametrize("operation", [Operation.READ, Operation.UPDATE, Operation.DELETE, Operation.LIST])
@pytest.mark.parametrize("path", ["sys/raw", "sys/raw/core/mounts"])
def test_path_does_not_exist_unless_asked_for(world: World, operation: Operation, path: str) -> None:
    """It answers as any other path that does not exist."""
    name = path + "/" if operation is Operation.LIST else path
    for token in ("root-token", None):
        with pytest.raises(VaultError) as refusal:
            world.send(operation, name, {}, token=token)
        with pytest.raises(VaultError) as other:
            world.send(operation, name.replace("raw", "nosuch"), {}, token=token)
        assert (type(refusal.value), str(refusal.value)) == (type(other.value), str(other.value))
    with pytest.raises(UnsupportedPath):
        world.send(operation, name, {})


def test_rows_are_for_sudo_alone(raw: RawWorld) -> None:
    """Every capability but sudo is not enough; a sealed server says nothing."""
    holder = raw.holder('path "*" { capabilities = ["create", "read", "update", "delete", "list"] }')
    for token in (holder, None):
        for operation in (Operation.READ, Operation.UPDATE, Operation.DELETE):
            for path in ("sys/raw/core/mounts", "sys/raw/new"):
                with pytest.raises(PermissionDenied):
                    raw.send(operation, path, {"value": "x"}, token=token)
        with pytest.raises(PermissionDenied):
            raw.send(Operation.LIST, "sys/raw/", {}, token=token)
    raw.first.seal.seal()
    with pytest.raises(Sealed):
        raw.read("sys/raw/core/mounts")


@pytest.mark.parametrize("path", [*PROTECTED, "core/audit/x", "core/token-key/"])
def test_protected_rows_are_out_of_reach(raw: RawWorld, path: str) -> None:
    """Neither shown, nor changed, nor deleted, whether they are there or not."""
    before = dict(raw.rows.rows)
    attempts: tuple[tuple[Operation, dict[str, Any]], ...] = (
        (Operation.READ, {}), (Operation.READ, {"encoding": "base64", "compressed": False}), (Operation.DELETE, {}),
        (Operation.UPDATE, {"value": "x"}), (Operation.UPDATE, {"value": "eA==", "encoding": "base64"}), (Operation.UPDATE, {}),
    )  # fmt: skip
    for operation, fields in attempts:
        with pytest.raises(InvalidRequest):
            raw.send(operation, f"sys/raw/{path}", fields)
    assert dict(raw.rows.rows) == before


def test_every_row_that_holds_keys_is_protected(raw: RawWorld) -> None:
    """No row that can be read shows the token key, a data key or an audit salt."""
    secrets = [raw.first.seal.token_key(), raw.page.read_seal().root_key]
    for path in raw.rows.rows:
        try:
            shown = base64.b64decode(raw.read(f"sys/raw/{path}", encoding="base64", compressed=False)["value"])
        except InvalidRequest:
            continue
        assert not any(secret in shown for secret in secrets), path


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"value": "x", "encoding": "hex"}, 'invalid encoding "hex"'),
        ({"value": "!!", "encoding": "base64"}, "illegal base64 data"),
        ({"value": "x", "compression_type": "lz4"}, 'invalid compression type "lz4"'),
        ({"value": "x", "compression_type": "none"}, 'invalid compression type "none"'),
        ({"value": {"a": 1}}, "value"),
    ],
)
def test_wrong_values_are_refused(raw: RawWorld, fields: dict[str, Any], text: str) -> None:
    """And nothing is written."""
    with pytest.raises(InvalidRequest, match=text):
        raw.write("sys/raw/test/a", **fields)
    assert "test/a" not in raw.rows.rows


def test_row_is_written_read_listed_and_deleted(raw: RawWorld) -> None:
    """In storage it is encrypted like any other."""
    assert raw.write("sys/raw/test/a", value="hello canary") is None
    assert b"canary" not in raw.rows.rows["test/a"].value
    assert raw.read("sys/raw/test/a") == {"value": "hello canary"}
    assert raw.read("sys/raw/test/a", encoding="base64") == {"value": base64.b64encode(b"hello canary").decode()}
    assert raw.list("sys/raw/test") == ("a",)
    assert "test/" in raw.list("sys/raw/")
    assert raw.send(Operation.READ, "sys/raw/test/b", {}) is None
    assert raw.delete("sys/raw/test/a") is None
    assert raw.delete("sys/raw/test/a") is None
    assert raw.send(Operation.READ, "sys/raw/test/a", {}) is None
    assert raw.list("sys/raw/test") == ()


def test_what_is_no_text_is_shown_in_base64(raw: RawWorld) -> None:
    """Without it, what cannot be shown is replaced."""
    raw.write("sys/raw/test/a", value="//4A", encoding="base64")
    assert raw.read("sys/raw/test/a", encoding="base64") == {"value": "//4A"}
    assert raw.read("sys/raw/test/a") == {"value": "\ufffd\ufffd\x00"}


def test_compression_is_kept_and_undone(raw: RawWorld) -> None:
    """In the reference server's form: a mark, then gzip."""
    raw.write("sys/raw/test/a", value="hello", compression_type="gzip")
    assert raw.read("sys/raw/test/a") == {"value": "hello"}
    stored = base64.b64decode(raw.read("sys/raw/test/a", encoding="base64", compressed=False)["value"])
    assert (stored[:1], gzip.decompress(stored[1:])) == (b"G", b"hello")
    with pytest.raises(InvalidRequest, match="the entry uses a different compression scheme"):
        raw.write("sys/raw/test/a", value="second", compression_type="lz4")
    raw.write("sys/raw/test/a", value="second")
    assert base64.b64decode(raw.read("sys/raw/test/a", encoding="base64", compressed=False)["value"])[:3] == b"G\x1f\x8b"
    assert raw.read("sys/raw/test/a") == {"value": "second"}
    raw.write("sys/raw/test/a", value="third", compressed=False)
    assert raw.read("sys/raw/test/a", compressed=False) == {"value": "third"}
    with pytest.raises(InvalidRequest, match="the entry uses a different compression scheme"):
        raw.write("sys/raw/test/a", value="fourth", compression_type="gzip")


@pytest.mark.parametrize("value", [b"G\x1f\x8b", b"G\x1f\x8b\x08" + b"x" * 50, b"G" + gzip.compress(b"hello", mtime=0)[:-4]])
def test_value_that_only_looks_compressed_is_an_error(raw: RawWorld, value: bytes) -> None:
    """It can be read as it is."""
    raw.write("sys/raw/test/a", value=base64.b64encode(value).decode(), encoding="base64")
    with pytest.raises(InvalidRequest):
        raw.read("sys/raw/test/a")
    assert base64.b64decode(raw.read("sys/raw/test/a", encoding="base64", compressed=False)["value"]) == value


def test_value_that_would_fill_the_memory_is_not_decompressed(raw: RawWorld) -> None:
    """A small row may stand for a very large value."""
    value = b"G" + gzip.compress(bytes(limits.RAW_BYTES_MAX + 1))
    raw.write("sys/raw/test/a", value=base64.b64encode(value).decode(), encoding="base64")
    with pytest.raises(InvalidRequest, match="too large"):
        raw.read("sys/raw/test/a")


def test_changed_row_is_what_the_server_goes_by(raw: RawWorld) -> None:
    """On every worker, at the next request."""
    raw.write("sys/mounts/kv", type="kv")
    raw.write("kv/a", v="1")
    other = raw.worker()
    assert raw.read("kv/a", worker=other) == {"v": "1"}
    row = next(path for path in raw.rows.rows if path.startswith("logical/") and path.endswith("/a"))
    stored = raw.read(f"sys/raw/{row}")["value"]
    raw.write(f"sys/raw/{row}", value=stored.replace('"1"', '"2"'))
    assert raw.read("kv/a", worker=other) == {"v": "2"}


def test_create_and_update_are_told_apart(raw: RawWorld) -> None:
    """A row that is there takes the update capability, another one create."""
    creator = raw.holder('path "sys/raw/*" { capabilities = ["create", "sudo"] }')
    raw.write("sys/raw/test/a", value="1", token=creator)
    with pytest.raises(PermissionDenied):
        raw.write("sys/raw/test/a", value="2", token=creator)
    assert raw.read("sys/raw/test/a") == {"value": "1"}
