"""The envelope around an answer."""

from typing import Any

import pytest

from vault.logical.envelope import build_envelope
from vault.logical.response import Auth, Lease, Response, Shape, WrapInfo, list_response
from vault.secret import Secret

KEYS = {"request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"}
AUTH = Auth(
    client_token=Secret("t"), accessor="a", policies=("p",), token_policies=("p",), lease_duration_seconds=5, renewable=True, orphan=False
)
WRAP = WrapInfo(token=Secret("w"), accessor="a", ttl_seconds=5, creation_time="now", creation_path="p")


def test_empty_fields_are_there() -> None:
    """Every key is always there; what is empty is null."""
    body = build_envelope(Response(data={"a": 1}), "id")
    assert body == {
        "request_id": "id", "lease_id": "", "renewable": False, "lease_duration": 0, "data": {"a": 1}, "wrap_info": None, "warnings": None,
        "auth": None,
    }  # fmt: skip


def test_wrapped_answer_shows_nothing_else() -> None:
    """Data and token are inside of the wrapping, not beside it."""
    body = build_envelope(Response(data={"a": 1}, auth=AUTH, wrap_info=WRAP), "id")
    assert body["data"] is None
    assert body["auth"] is None
    assert body["wrap_info"] == {"token": "w", "accessor": "a", "ttl": 5, "creation_time": "now", "creation_path": "p"}


def test_token_is_told_once() -> None:
    """To its holder, in the answer that makes it."""
    body = build_envelope(Response(auth=AUTH, warnings=("x",)), "id")
    assert body.keys() == KEYS - {"data"}
    assert body["auth"]["client_token"] == "t"
    assert body["warnings"] == ["x"]
    assert "'t'" not in repr(AUTH)


@pytest.mark.parametrize(
    ("shape", "expected"), [(Shape.BARE, {"a": 1, "auth": 2}), (Shape.DOUBLED, {"a": 1, "data": {"a": 1, "auth": 2}, "auth": None})]
)
def test_shapes_lay_out_data(shape: Shape, expected: dict[str, Any]) -> None:
    """Bare data is the body; doubled data never hides a key of the envelope."""
    body = build_envelope(Response(data={"a": 1, "auth": 2}, shape=shape), "id")
    assert {key: body[key] for key in expected} == expected
    assert (body.keys() == {"a", "auth"}) is (shape is Shape.BARE)


def test_lease_is_told() -> None:
    """With its id and time."""
    body = build_envelope(Response(lease=Lease(id="l", renewable=True, duration_seconds=9)), "id")
    assert (body["lease_id"], body["renewable"], body["lease_duration"]) == ("l", True, 9)


def test_empty_listing_is_no_answer() -> None:
    """Which is Vault's 404."""
    assert list_response(()) is None
    assert list_response(("a",)) == Response(data={"keys": ["a"]})
    assert list_response(("a",), {"a": {}}) == Response(data={"keys": ["a"], "key_info": {"a": {}}})
