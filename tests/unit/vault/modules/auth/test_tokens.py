"""The token store: what is stored, what is found, and which spellings are the token."""

import base64
import hashlib
from typing import Any

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, PermissionDenied, Sealed
from vault.logical.token import Token, TokenKind
from vault.modules.auth.tokens import ACCESSOR_CHARACTERS, BATCH_PREFIX, ID_CHARACTERS, SERVICE_PREFIX, walk_tree
from vault.secret import Secret


def find(world: World, token: str) -> Token | None:
    """Return the live token with an id."""
    return world.first.tokens.find(world.first.store.read(), Secret(token))


def test_id_is_nowhere_in_storage(world: World) -> None:
    """Neither the id nor a plain hash of it, in paths or in values."""
    tokens = [world.issue("default") for _ in range(20)]
    stored = b"".join(path.encode() + row.value for path, row in world.rows.rows.items())
    for token in tokens:
        plain = hashlib.sha256(token.encode()).hexdigest()
        for text in (token, token.removeprefix(SERVICE_PREFIX), plain, base64.b64encode(token.encode()).decode()):
            assert text.encode() not in stored


def test_ids_have_the_form_that_clients_know(world: World) -> None:
    """A prefix and enough chance."""
    token = world.issue("default")
    assert token.startswith(SERVICE_PREFIX)
    assert len(token) == len(SERVICE_PREFIX) + ID_CHARACTERS
    assert token.removeprefix(SERVICE_PREFIX).isalnum()
    assert len(world.accessor(token)) == ACCESSOR_CHARACTERS


def test_accessor_is_no_token_and_token_no_accessor(world: World) -> None:
    """Each opens only its own door."""
    token = world.issue("default")
    accessor = world.accessor(token)
    assert find(world, accessor) is None
    assert find(world, SERVICE_PREFIX + accessor) is None
    reader = world.first.store.read()
    for name in (token, "", "/", f"{accessor}/", f"../accessor/{accessor}", accessor.swapcase(), "x" * 5000):
        assert world.first.tokens.find_accessor(reader, name) is None
    found = world.first.tokens.find_accessor(reader, accessor)
    assert found is not None
    assert found.key == world.first.tokens.hash_id(token)


@pytest.mark.parametrize("change", [{"uses_left": 0}, {"revoked": True}, {"expires_at": 0.0}])
def test_dead_tokens_are_not_found(world: World, change: dict[str, Any]) -> None:
    """By id, key and accessor; only their rows are."""
    token = world.issue("default", **change)
    key, accessor, reader = world.first.tokens.hash_id(token), world.accessor(token), world.first.store.read()
    assert find(world, token) is None
    assert world.first.tokens.find_key(reader, key) is None
    assert world.first.tokens.find_accessor(reader, accessor) is None
    assert world.first.tokens.find_row(reader, key) is not None


def test_hash_depends_on_the_key_of_the_server(world: World) -> None:
    """And there is none while sealed."""
    other = World()
    assert world.first.tokens.hash_id("x") != other.first.tokens.hash_id("x")
    assert world.first.tokens.hash_id("a\ud800") != world.first.tokens.hash_id("a?")
    world.first.seal.seal()
    assert not world.first.seal.is_open()
    with pytest.raises(Sealed):
        world.first.tokens.hash_id("x")


def test_spent_is_not_unlimited(world: World) -> None:
    """Zero uses left and no limit are two things."""
    tokens, store = world.first.tokens, world.first.store
    limited, unlimited = (tokens.hash_id(world.issue("default", **fields)) for fields in ({"uses_left": 1}, {}))
    assert store.run(lambda transaction: tokens.spend_use(transaction, limited)).uses_left == 0
    for key in (limited, unlimited, "nosuch"):
        with pytest.raises(PermissionDenied):
            store.run(lambda transaction, key=key: tokens.spend_use(transaction, key))  # type: ignore[misc]


def test_same_id_is_not_given_twice(world: World) -> None:
    """Not even that of a token that is being revoked."""
    world.write("auth/token/create", id="custom")
    with pytest.raises(InvalidRequest, match="duplicate"):
        world.write("auth/token/create", id="custom")
    world.first.store.run(lambda transaction: world.first.tokens.mark_revoked(transaction, world.first.tokens.hash_id("custom")))
    with pytest.raises(InvalidRequest, match="duplicate"):
        world.write("auth/token/create", id="custom")


# -- batch tokens -------------------------------------------------------------------------------------------------------


def test_batch_token_is_not_stored(world: World) -> None:
    """It carries itself, and has neither accessor nor cubbyhole."""
    before = set(world.rows.rows)
    token = world.issue("default", kind=TokenKind.BATCH)
    assert set(world.rows.rows) == before
    found = find(world, token)
    assert found is not None
    assert (found.key, found.accessor, found.cubbyhole, found.policies) == ("", "", "", ("default",))
    assert b"default" not in base64.urlsafe_b64decode(token.removeprefix(BATCH_PREFIX) + "==")
    for call in (
        lambda: world.read("cubbyhole/x", token=token),
        lambda: world.write("cubbyhole/x", token=token, a="b"),
        lambda: world.list("cubbyhole", token=token),
    ):
        with pytest.raises(InvalidRequest, match="only supported by 'service'"):
            call()


def test_altered_batch_tokens_are_refused(world: World) -> None:
    """Every flipped bit, every other spelling of the same bytes, every cut and addition."""
    token = world.issue("default", kind=TokenKind.BATCH)
    body = token.removeprefix(BATCH_PREFIX)
    raw = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    for position in range(len(raw)):
        changed = raw[:position] + bytes([raw[position] ^ 1 << position % 8]) + raw[position + 1 :]
        assert find(world, BATCH_PREFIX + base64.urlsafe_b64encode(changed).rstrip(b"=").decode()) is None
    last = [
        body[:-1] + character for character in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" if character != body[-1]
    ]
    spellings = [
        body + "=",
        body + "==",
        body + "A",
        body[:-1],
        body[:20],
        "",
        "A",
        body + "\n",
        " " + body,
        body.replace("-", "+").replace("_", "/") + "/",
        body[:10] + "\u00e9",
    ]
    for text in (*last, *spellings):
        assert find(world, BATCH_PREFIX + text) is None
    assert find(world, SERVICE_PREFIX + body) is None
    assert find(world, token) is not None


def test_batch_token_ends_with_time_and_parent(world: World) -> None:
    """Nobody can revoke it alone."""
    parent = world.issue("default", ttl=1000)
    child = world.issue("default", ttl=60, kind=TokenKind.BATCH, parent=world.first.tokens.hash_id(parent))
    orphan = world.issue("default", ttl=60, kind=TokenKind.BATCH)
    stranger = world.issue("default", kind=TokenKind.BATCH, parent="nosuch")
    assert find(world, child) is not None
    assert find(world, stranger) is None
    world.first.revoker.revoke_tree(world.first.tokens.hash_id(parent))
    assert find(world, child) is None
    assert find(world, orphan) is not None
    world.clock.advance(60)
    assert find(world, orphan) is None


def test_batch_token_of_another_server_is_unknown(world: World) -> None:
    """It is sealed by the barrier of the server that made it."""
    assert find(World(), world.issue("default", kind=TokenKind.BATCH)) is None


# -- trees --------------------------------------------------------------------------------------------------------------


def test_tree_is_walked_children_first() -> None:
    """Whatever its depth: without recursion."""
    tree = {"r": ("a", "b"), "a": ("c", "d"), "d": ("e",)}
    assert list(walk_tree(lambda key: tree.get(key, ()), "r")) == ["c", "e", "d", "a", "b", "r"]
    chain = list(walk_tree(lambda key: (str(int(key) + 1),) if int(key) < 20_000 else (), "0"))
    assert chain == [str(number) for number in range(20_000, -1, -1)]
