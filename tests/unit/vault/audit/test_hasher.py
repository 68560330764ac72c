import hashlib
import hmac
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.audit.hasher import MEMBERS_MAX, MEMO_ENTRIES_MAX, Hasher
from vault.logical.args import Number
from vault.secret import Secret

SALT = b"s" * 32


def _hmac(text: str, salt: bytes = SALT) -> str:
    return "hmac-sha256:" + hmac.new(salt, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


@given(salt=st.binary(max_size=200), text=st.text(st.characters(codec=None), max_size=200))
def test_hash_text_is_hmac_sha256(salt: bytes, text: str) -> None:
    """Whatever the length of the key and the text, the hash is the standard's."""
    assert Hasher(salt).hash_text(text) == _hmac(text, salt)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("v", "v"), ("", ""), (True, "true"), (False, "false"), (0, "0"), (-7, "-7"), (10**30, str(10**30)), (1.5, "1.5"),
        (Number("1.10"), "1.10"), (Number("1e400"), "1e400"), (Secret("token"), "token"), ("\udc80", "\udc80"), (b"raw", "b'raw'"),
    ],
)  # fmt: skip
def test_data_hashes_every_kind_of_leaf(value: Any, text: str) -> None:
    """Strings, numbers, bools and secrets become the hash of their text, at any depth; nothing of them stays."""
    hashed = Hasher(SALT).data({"a": value, "b": [value, {"c": (value,)}], "m": MappingProxyType({"d": value})}, ())
    assert hashed == {"a": _hmac(text), "b": [_hmac(text), {"c": [_hmac(text)]}], "m": {"d": _hmac(text)}}


def test_data_keeps_shape_and_null() -> None:
    """Containers, keys and null tell nothing secret and stay."""
    assert Hasher(SALT).data({"a": {}, "b": [], "c": None, "d": [[{}]]}, ()) == {"a": {}, "b": [], "c": None, "d": [[{}]]}
    assert Hasher(SALT).data(None, ()) is None


def test_data_of_different_devices_differs() -> None:
    """The same value cannot be followed from one device's log to another's."""
    assert Hasher(b"one").hash_text("v") != Hasher(b"two").hash_text("v")


def test_data_leaves_clear_what_stands_directly_under_a_clear_key() -> None:
    """As Vault does: at any depth, through lists, but not what lies in an object below."""
    data = {"foo": "v", "l": ["p", 2, {"foo": "in", "q": "r"}], "o": {"k": "vv"}, "n": 3, "s": Secret("token")}
    assert Hasher(SALT).data(data, ("foo", "l", "o", "n", "s")) == {
        "foo": "v",
        "l": ["p", 2, {"foo": "in", "q": _hmac("r")}],
        "o": {"k": _hmac("vv")},
        "n": 3,
        "s": _hmac("token"),
    }


def test_data_is_clear_with_log_raw() -> None:
    """Where an operator asked for it, data is written as it is."""
    data = {"a": "v", "b": [1, {"c": Secret("s")}], "n": Number("1.10")}
    assert Hasher(SALT, log_raw=True).data(data, ()) == {"a": "v", "b": [1, {"c": "s"}], "n": Number("1.10")}
    assert Hasher(SALT, log_raw=True).secret(Secret("token")) == _hmac("token")


def test_accessor_is_clear_only_where_asked_for() -> None:
    """An accessor is hashed unless the device says otherwise; none stays none."""
    assert Hasher(SALT).accessor("a") == _hmac("a")
    assert Hasher(SALT, hmac_accessor=False).accessor("a") == "a"
    assert Hasher(SALT).accessor("") == ""
    assert Hasher(SALT).secret(None) == ""


def test_memory_holds_no_values() -> None:
    """Only short numbers and bools are remembered, and only so many."""
    hasher = Hasher(SALT)
    hasher.data({"password": "hunter2", "long": 10**40, "b": True, "s": Secret("x")}, ())
    hasher.secret(Secret("token"))
    hasher.accessor("acc")
    assert set(hasher._scalars) == {"true"}
    for number in range(MEMO_ENTRIES_MAX + 10):
        assert hasher.data({"n": number}, ()) == {"n": _hmac(str(number))}
    assert len(hasher._scalars) <= MEMO_ENTRIES_MAX


def test_data_hashes_a_huge_listing_as_one_text() -> None:
    """A million names cost one hash and not a million."""
    names = [str(number) for number in range(MEMBERS_MAX + 1)]
    assert Hasher(SALT).data({"keys": names}, ()) == {"keys": _hmac(str(names))}


def test_data_takes_the_deepest_body_that_is_accepted() -> None:
    """300 levels and the envelope around them, far down in the stack of a server."""
    value: Any = "leaf"
    for _ in range(302):
        value = [value]
    found = Hasher(SALT).data({"a": value}, ())["a"]
    for _ in range(302):
        found = found[0]
    assert found == _hmac("leaf")
