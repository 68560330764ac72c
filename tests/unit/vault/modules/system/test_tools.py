"""Random bytes, hashes, the machine, the releases."""

import base64
from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, PermissionDenied
from vault.version import VERSION

REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("random", {"bytes": 0}, "'bytes' cannot be less than 1"),
    ("random", {"bytes": -1}, "'bytes' cannot be less than 1"),
    ("random", {"bytes": None}, "'bytes' cannot be less than 1"),
    ("random", {"bytes": True}, "bytes"),
    ("random", {"bytes": 1.5}, "bytes"),
    ("random", {"bytes": [1]}, "bytes"),
    ("random", {"bytes": 131073}, "'bytes' should be less than 131072"),
    ("random/0", {}, "'bytes' cannot be less than 1"),
    ("random/nosuch", {}, "error parsing url-set byte count"),
    ("random/nosuch/8", {}, 'unsupported entropy source "nosuch"; must be "platform" or "seal", or "all"'),
    ("random", {"format": "octal"}, 'unsupported encoding format "octal"; must be "hex" or "base64"'),
    ("hash", {"input": "not base64!"}, "unable to decode input as base64"),
    ("hash", {"input": 5}, "unable to decode input as base64"),
    ("hash", {"input": "", "format": "x"}, 'unsupported encoding format x; must be "hex" or "base64"'),
    ("hash/md5", {"input": ""}, "unsupported algorithm md5"),
]


@pytest.mark.parametrize(("path", "fields", "text"), REFUSALS, ids=str)
def test_tools_refuse(world: World, path: str, fields: dict[str, Any], text: str) -> None:
    """A refusal says what is wrong."""
    with pytest.raises(InvalidRequest) as refusal:
        world.write(f"sys/tools/{path}", **fields)
    assert text in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "fields", "count"),
    [
        ("random", {}, 32),
        ("random", {"bytes": "7"}, 7),
        ("random/8", {"bytes": 9}, 8),
        ("random/all", {}, 32),
        ("random/platform/8", {}, 8),
    ],
)
def test_random_bytes_are_as_many_as_asked(world: World, path: str, fields: dict[str, Any], count: int) -> None:
    """The path beats the body; two answers differ."""
    first, second = (world.write(f"sys/tools/{path}", **fields).data["random_bytes"] for _ in range(2))
    assert len(base64.b64decode(first)) == count
    assert first != second
    assert len(world.write(f"sys/tools/{path}", format="hex", **fields).data["random_bytes"]) == 2 * count


def test_seal_as_source_warns(world: World) -> None:
    """There is no other source than the platform's: one is told so."""
    assert world.write("sys/tools/random/seal/8").warnings == ("no seal/entropy augmentation available, using platform entropy source",)
    assert "[source]" in world.write("sys/tools/random", source="seal").warnings[0]


@pytest.mark.parametrize(
    ("path", "fields", "total"),
    [
        ("hash", {}, "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"),
        ("hash", {"algorithm": "sha2-224"}, "ea09ae9cc6768c50fcee903ed054556e5bfc8347907f12598aa24193"),
        ("hash/sha3-224", {"algorithm": "sha2-512"}, "b87f88c72702fff1748e58b87e9141a42c0dbedc29a78cb0d4a5cd81"),
        ("hash", {"format": "base64"}, "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ="),
    ],
)
def test_hash_is_the_known_one(world: World, path: str, fields: dict[str, Any], total: str) -> None:
    """The hash of "hello" is what everybody gets."""
    assert world.write(f"sys/tools/{path}", input="aGVsbG8=", **fields).data == {"sum": total}


def test_host_is_described_to_those_who_may(world: World) -> None:
    """The machine is described in six parts, and not to everybody."""
    assert world.read("sys/host-info").keys() == {"cpu", "cpu_times", "disk", "host", "memory", "timestamp"}
    with pytest.raises(PermissionDenied):
        world.read("sys/host-info", token=world.issue("default"))


def test_version_history_names_this_release(world: World) -> None:
    """A fresh server knows one release, which came after none."""
    assert world.list("sys/version-history") == (VERSION,)
