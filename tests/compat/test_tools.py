"""sys/tools/random and sys/tools/hash."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from tests.compat.wire import Wire

ALGORITHMS = {
    "sha2-224": "sha224",
    "sha2-256": "sha256",
    "sha2-384": "sha384",
    "sha2-512": "sha512",
    "sha3-224": "sha3_224",
    "sha3-256": "sha3_256",
    "sha3-384": "sha3_384",
    "sha3-512": "sha3_512",
}
RANDOMS: list[tuple[str, dict[str, Any], int]] = [
    ("sys/tools/random", {}, 32),
    ("sys/tools/random", {"bytes": 1}, 1),
    ("sys/tools/random", {"bytes": "7"}, 7),
    ("sys/tools/random/16", {}, 16),
    ("sys/tools/random/platform/8", {}, 8),
    ("sys/tools/random/all", {}, 32),
    ("sys/tools/random/all/5", {"bytes": 9}, 5),
    ("sys/tools/random", {"bytes": 131072}, 131072),
]
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("sys/tools/random", {"bytes": 0}, "'bytes' cannot be less than 1"),
    ("sys/tools/random", {"bytes": -1}, ""),
    ("sys/tools/random", {"bytes": 131073}, "'bytes' should be less than 131072"),
    ("sys/tools/random", {"bytes": "x"}, ""),
    ("sys/tools/random", {"format": "octal"}, 'unsupported encoding format "octal"; must be "hex" or "base64"'),
    ("sys/tools/random/nosuch/8", {}, 'unsupported entropy source "nosuch"'),
    ("sys/tools/hash", {"input": "not base64!"}, "unable to decode input as base64"),
    ("sys/tools/hash", {"input": "aGk=", "format": "x"}, "unsupported encoding format"),
    ("sys/tools/hash/md5", {"input": "aGk="}, "unsupported algorithm md5"),
]


@pytest.mark.parametrize(("path", "body", "size"), RANDOMS, ids=str)
def test_random_gives_that_many_bytes(root: Wire, path: str, body: dict[str, Any], size: int) -> None:
    """The count comes from path or body, the path first; both formats; never the same twice."""
    first = base64.b64decode(root.post(path, body).data["random_bytes"])
    second = bytes.fromhex(root.post(path, {**body, "format": "hex"}).data["random_bytes"])
    assert len(first) == len(second) == size
    assert size < 8 or first != second


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_hash_equals_the_standard_library(root: Wire, algorithm: str) -> None:
    """Each algorithm, in the path and in the body, in both formats."""
    text = b"hello"
    expected = hashlib.new(ALGORITHMS[algorithm], text).digest()
    body = {"input": base64.b64encode(text).decode()}
    assert root.post(f"sys/tools/hash/{algorithm}", body).data["sum"] == expected.hex()
    answer = root.post("sys/tools/hash", {**body, "algorithm": algorithm, "format": "base64"})
    assert base64.b64decode(answer.data["sum"]) == expected
    assert root.post("sys/tools/hash", body).data["sum"] == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize(("path", "body", "text"), REFUSED, ids=str)
def test_bad_tool_requests_are_refused(root: Wire, path: str, body: dict[str, Any], text: str) -> None:
    """Bad counts, formats, sources and algorithms are a 400 with a reason."""
    answer = root.post(path, body)
    assert answer.status == 400
    assert text in answer.errors[0]


def test_tools_need_a_token(anonymous: Wire) -> None:
    """Tools are not public."""
    assert anonymous.post("sys/tools/random").status == 403
    assert anonymous.post("sys/tools/hash", {"input": ""}).status == 403
