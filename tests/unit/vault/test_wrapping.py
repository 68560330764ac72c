"""Wrapped answers: opened once by one, and good for nothing else."""

from typing import Any

import orjson
import pytest

from tests.unit.vault.modules.system.world import ROOT, World
from tests.unit.vault.test_mounts import in_parallel
from vault.errors import DeniedByPolicy, InvalidRequest, PermissionDenied
from vault.logical.operation import Operation
from vault.logical.response import Response

EVERYTHING = 'path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }'


def wrap(world: World, ttl: int = 60, **fields: Any) -> str:
    """Wrap some fields; return the wrapping token."""
    answer = world.send(Operation.UPDATE, "sys/wrapping/wrap", fields, wrap=ttl)
    assert answer is not None
    assert answer.wrap_info is not None
    return answer.wrap_info.token.reveal()


def unwrap(world: World, token: str, *, named: bool, worker: Any = None) -> Response | None:
    """Open a wrapping token, named by the root token's holder or used as the caller's own."""
    if named:
        return world.send(Operation.UPDATE, "sys/wrapping/unwrap", {"token": token}, worker=worker)
    return world.send(Operation.UPDATE, "sys/wrapping/unwrap", {}, token=token, worker=worker)


def body_of(response: Response | None) -> Any:
    """Return the answer that was wrapped."""
    assert response is not None
    assert response.body is not None
    return orjson.loads(response.body)


def left_over(world: World) -> list[str]:
    """Return the rows of tokens and cubbyholes beside root's."""
    mine = (world.first.tokens.hash_id(ROOT), world.accessor(ROOT))
    prefixes = ("sys/token/", "sys/lease/", world.first.wrapping.cubbyhole_prefix(world.first.store.read()))
    return [path for path in world.rows.rows if path.startswith(prefixes) and not path.endswith(mine)]


@pytest.mark.parametrize("named", [False, True])
def test_wrapping_token_opens_once(world: World, named: bool) -> None:
    """The second time it is unknown, and nothing of it is left in storage."""
    token = wrap(world, a=1)
    assert body_of(unwrap(world, token, named=named))["data"] == {"a": 1}
    for again in (False, True):
        with pytest.raises(InvalidRequest, match="not valid or does not exist"):
            unwrap(world, token, named=again)
    assert left_over(world) == []


def test_wrapping_token_opens_once_under_concurrency(world: World) -> None:
    """Of many callers on several workers, by name and as their own token, exactly one gets the answer."""
    workers = [world.first, world.worker(), world.worker()]
    for worker in workers:
        worker.seal.require_open()
    for _ in range(3):
        token = wrap(world, a=1)
        results = in_parallel([
            (lambda index=index: unwrap(world, token, named=index % 2 == 0, worker=workers[index % 3]))  # type: ignore[misc]  # noqa: B023
            for index in range(24)
        ])  # fmt: skip
        opened = [result for result in results if isinstance(result, Response)]
        assert len(opened) == 1
        assert all(isinstance(result, InvalidRequest | PermissionDenied) for result in results if result is not opened[0])
    assert left_over(world) == []


def test_lookup_and_rewrap_move_nothing_but_the_token(world: World) -> None:
    """Looking does not open; rewrapping kills the old token and keeps path, time to live and content."""
    token = wrap(world, 77, a=1)
    for _ in range(3):
        found = world.send(Operation.UPDATE, "sys/wrapping/lookup", {"token": token}, token=None)
        assert found is not None
        assert found.data is not None
        assert (found.data["creation_path"], found.data["creation_ttl"]) == ("sys/wrapping/wrap", 77)
    moved = world.send(Operation.UPDATE, "sys/wrapping/rewrap", {"token": token})
    assert moved is not None
    assert moved.wrap_info is not None
    assert (moved.wrap_info.ttl_seconds, moved.wrap_info.creation_path) == (77, "sys/wrapping/wrap")
    for path in ("lookup", "unwrap", "rewrap"):
        with pytest.raises(InvalidRequest):
            world.send(Operation.UPDATE, f"sys/wrapping/{path}", {"token": token})
    assert body_of(unwrap(world, moved.wrap_info.token.reveal(), named=True))["data"] == {"a": 1}


def test_wrapping_token_ends_with_its_time(world: World) -> None:
    """After its time the answer is lost for good."""
    token = wrap(world, 60, a=1)
    world.clock.advance(60)
    for named in (False, True):
        with pytest.raises(InvalidRequest):
            unwrap(world, token, named=named)
    world.clock.advance(1)
    world.work()
    assert left_over(world) == []


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (Operation.READ, "auth/token/lookup-self"), (Operation.UPDATE, "auth/token/renew-self"), (Operation.UPDATE, "auth/token/create"),
        (Operation.READ, "cubbyhole/wrapped"), (Operation.READ, "kv/x"), (Operation.UPDATE, "sys/wrapping/rewrap"),
        (Operation.LIST, "cubbyhole/"), (Operation.UPDATE, "sys/seal"),
    ],
)  # fmt: skip
def test_wrapping_token_opens_nothing_else(world: World, operation: Operation, path: str) -> None:
    """Everything else is refused, and costs its only use."""
    token = wrap(world, a=1)
    with pytest.raises(DeniedByPolicy):
        world.send(operation, path, {}, token=token)
    with pytest.raises(InvalidRequest):
        unwrap(world, token, named=True)
    assert left_over(world) == []


def test_other_tokens_are_no_wrapping_tokens(world: World) -> None:
    """Neither root nor a token with all rights holds an answer to be opened, nor an accessor, nor garbage."""
    token = wrap(world, a=1)
    for other in (ROOT, world.holder(EVERYTHING), world.accessor(token), token + "x", token.swapcase(), token[:-1], "hvb.AAAA", "x" * 9000):
        for path in ("lookup", "unwrap", "rewrap"):
            with pytest.raises(InvalidRequest, match="not valid or does not exist"):
                world.send(Operation.UPDATE, f"sys/wrapping/{path}", {"token": other})
    assert body_of(unwrap(world, token, named=True))["data"] == {"a": 1}


@pytest.mark.parametrize("names", [["response-wrapping"], ["Response-Wrapping "], ["control-group"]])
def test_hidden_policy_is_given_to_nobody(world: World, names: list[str]) -> None:
    """Not even by root."""
    with pytest.raises(InvalidRequest, match="cannot assign policy"):
        world.write("auth/token/create", policies=names)


def test_old_clients_read_the_answer_from_the_cubbyhole(world: World) -> None:
    """One read of cubbyhole/response is the one use."""
    token = wrap(world, a=1)
    assert orjson.loads(world.read("cubbyhole/response", token=token)["response"])["data"] == {"a": 1}
    with pytest.raises(InvalidRequest):
        unwrap(world, token, named=True)


def test_wrapped_login_tells_its_accessor(world: World) -> None:
    """A wrapped token shows only its accessor outside, and is whole inside."""
    answer = world.send(Operation.UPDATE, "auth/token/create", {"policies": ["default"]}, wrap=60)
    assert answer is not None
    assert answer.auth is None
    assert answer.data is None
    assert answer.wrap_info is not None
    auth = body_of(unwrap(world, answer.wrap_info.token.reveal(), named=True))["auth"]
    assert auth["accessor"] == answer.wrap_info.wrapped_accessor
    assert world.read("auth/token/lookup-self", token=auth["client_token"])


def test_empty_answers_and_public_ones_are_not_wrapped(world: World) -> None:
    """There is nothing to hide in them, and who has no token leaves no rows behind."""
    assert world.send(Operation.UPDATE, "sys/policies/acl/x", {"policy": 'path "x" {}'}, wrap=60) is None
    before = dict(world.rows.rows)
    for path in ("sys/seal-status", "sys/internal/ui/mounts"):
        answer = world.send(Operation.READ, path, {}, token=None, wrap=60)
        assert answer is not None
        assert answer.wrap_info is None
    assert dict(world.rows.rows) == before


@pytest.mark.parametrize("ttl", [59, 121, None])
def test_policy_bounds_the_time_of_a_wrapping(world: World, ttl: int | None) -> None:
    """Outside of the policy's bounds, or without wrapping, the request is refused."""
    policy = 'path "kv/*" { capabilities = ["read"] min_wrapping_ttl = "1m" max_wrapping_ttl = "2m" }'
    world.write("sys/mounts/kv", type="kv")
    world.write("kv/a", x="1")
    token = world.holder(policy)
    with pytest.raises(DeniedByPolicy):
        world.send(Operation.READ, "kv/a", {}, token=token, wrap=ttl)
    for good in (60, 120):
        answer = world.send(Operation.READ, "kv/a", {}, token=token, wrap=good)
        assert answer is not None
        assert answer.wrap_info is not None
        assert body_of(unwrap(world, answer.wrap_info.token.reveal(), named=True))["data"] == {"x": "1"}


def test_wrap_needs_a_time(world: World) -> None:
    """The wrap path is for wrapping only."""
    with pytest.raises(InvalidRequest, match="requires response wrapping"):
        world.write("sys/wrapping/wrap", a=1)


def test_cubbyhole_of_another_token_is_no_wrapping(world: World) -> None:
    """What a holder writes into its own cubbyhole, under the names that wrapping uses, is not taken for a wrapped answer."""
    token = world.holder(EVERYTHING)
    forged = {"body": '{"auth":{"client_token":"x"}}', "creation_path": "x", "creation_time": "x", "ttl_seconds": 5}
    for name in ("wrapped", "response"):
        world.send(Operation.UPDATE, f"cubbyhole/{name}", forged, token=token)
    for path in ("lookup", "unwrap", "rewrap"):
        for fields, caller in (({"token": token}, ROOT), ({}, token)):
            with pytest.raises(InvalidRequest, match="not valid or does not exist"):
                world.send(Operation.UPDATE, f"sys/wrapping/{path}", fields, token=caller)
