"""The cubbyhole."""

from typing import Any

import pytest

from tests.unit.vault.modules.engines.world import World, make_token
from vault.errors import InvalidRequest, PermissionDenied, UnsupportedOperation
from vault.logical import json
from vault.logical.operation import Operation
from vault.logical.token import TokenKind
from vault.modules.engines.cubbyhole.backend import cubbyhole

EVERY = (Operation.READ, Operation.UPDATE, Operation.DELETE, Operation.LIST)


@pytest.fixture
def world() -> World:
    """Return the cubbyhole of token one."""
    return World(cubbyhole())


@pytest.mark.parametrize("operation", EVERY)
def test_batch_tokens_have_no_cubbyhole(world: World, operation: Operation) -> None:
    """A token that is not stored has no folder, whatever it says of itself."""
    for token in (
        make_token("b", kind=TokenKind.BATCH),
        make_token("b", cubbyhole=""),
        make_token("b", kind=TokenKind.BATCH, cubbyhole=""),
    ):
        world.token = token
        with pytest.raises(InvalidRequest, match=r"^cubbyhole operations are only supported by 'service' type tokens$"):
            world.call(operation, "a", {"x": 1})
        assert not world.exists("a")
    assert not world.rows.rows


@pytest.mark.parametrize("operation", EVERY)
def test_no_token_no_cubbyhole(world: World, operation: Operation) -> None:
    """Without a token there is nothing to look into."""
    world.token = None
    with pytest.raises(PermissionDenied):
        world.call(operation, "a", {"x": 1})
    assert not world.exists("a")


@pytest.mark.parametrize(
    ("path", "fields", "message"),
    [("a", {}, "missing data fields"), ("", {"x": 1}, "missing path"), ("a/", {"x": 1}, "cannot write to a path ending in '/'")],
)
def test_write_of_nothing_or_to_nowhere_is_refused(world: World, path: str, fields: dict[str, Any], message: str) -> None:
    """A secret has a name and at least one field."""
    with pytest.raises(InvalidRequest, match=f"^{message}$"):
        world.write(path, fields)
    assert not world.rows.rows


def test_patch_and_scan_are_not_supported(world: World) -> None:
    """Four operations, no more."""
    for operation in (Operation.PATCH, Operation.SCAN):
        with pytest.raises(UnsupportedOperation):
            world.call(operation, "a", {})


@pytest.mark.parametrize("other", [make_token("two"), make_token("root", policies=("root",)), make_token("n", cubbyhole="cubby")])
def test_no_other_token_sees_it(world: World, other: Any) -> None:
    """Not even root reads, lists or deletes what another token wrote; folders whose names begin alike stay apart."""
    world.write("a", {"x": 1})
    world.token = other
    assert world.read("a") is None
    assert world.list("") == ()
    assert not world.exists("a")
    world.delete("a")
    world.write("a", {"x": 2})
    world.token = make_token("one")
    assert world.data("a") == {"x": 1}


@pytest.mark.parametrize("path", ["../cubby-two/a", "./../cubby-two/a", "cubby-two/a"])
def test_no_path_leads_out(world: World, path: str) -> None:
    """A path is a name, not a direction."""
    world.token = make_token("two")
    world.write("a", {"x": 1})
    world.token = make_token("one")
    assert world.read(path) is None


def test_secrets_come_back_as_they_were_written(world: World) -> None:
    """Free fields, no digit lost, no lease: a ttl means nothing here."""
    text = b'{"ttl":"10s","n":9007199254740993,"x":1.10,"path":"own"}'
    assert not world.exists("d/e")
    world.write("d/e", json.decode_object(text))
    response = World(cubbyhole(), world.rows).read("d/e")
    assert response is not None
    assert (json.encode(response.data), response.lease, response.warnings) == (text, None, ())
    assert world.exists("d/e")


def test_list_shows_one_folder(world: World) -> None:
    """Names in byte order, folders with a slash; paged where the reference ignores it."""
    for path in ("a", "d/e", "d/f", "ttl"):
        world.write(path, {"x": 1})
    assert world.list("") == ("a", "d/", "ttl")
    assert world.list("d/") == ("e", "f")
    assert world.list("d") == ("e", "f")
    assert world.list("", after="a", limit=1) == ("d/",)
    world.delete("d/e")
    assert world.list("d/") == ("f",)
    assert world.list("none/") == ()


def test_wrapped_response_is_read_with_a_warning(world: World) -> None:
    """Old clients open a wrapping token here; only with such a token is it the old way of unwrapping."""
    world.write("response", {"response": "{}"})
    assert world.read("response") is not None
    assert world.read("response").warnings == ()  # type: ignore[union-attr]  # asserted above
    world.token = make_token("one", policies=("response-wrapping",))
    response = world.read("response")
    assert response is not None
    assert response.data == {"response": "{}"}
    assert response.warnings[0].startswith("Reading from 'cubbyhole/response' is deprecated.")
