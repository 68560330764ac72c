"""Compiled policies follow what is stored."""

from typing import Any

import msgspec
import pytest

from tests.unit.vault.modules.system.world import World
from vault import limits
from vault.errors import InvalidRequest
from vault.logical.operation import Operation
from vault.logical.request import EMPTY
from vault.modules.policy.acl import Acl
from vault.modules.policy.document import parse_policy
from vault.modules.policy.store import PREFIX, Policy, PolicyStore, default_policies, parse_policy_name

READ = 'path "a/*" { capabilities = ["read"] }'


@pytest.fixture
def world() -> World:
    """Return a fresh server."""
    return World()


def acl_of(world: World, *names: str) -> Acl:
    """Return the compiled policies as the next request gets them."""
    return world.first.policies.acl(world.first.store.read(), names)


def may_read(world: World, acl: Acl, path: str) -> bool:
    """Tell whether reading is allowed."""
    return acl.decide(Operation.READ, path, EMPTY, None, world.clock.now()).allowed


BAD_NAMES = [
    "", " ", "a\nb", "a/", "/a", "a//b", "../a", "\ufb00", "\uff52\uff4f\uff4f\uff54", "r\u043e\u043et", "e\u0301", "a\u202eb", "x" * 257,
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_name_refuses_what_looks_like_another(name: str) -> None:
    """Look-alikes, invisible characters and path tricks are no names."""
    with pytest.raises(InvalidRequest):
        parse_policy_name(name)


@pytest.mark.parametrize(
    ("name", "expected"), [("A", "a"), (" a b ", "a b"), ("team/ops", "team/ops"), ("é", "é"), ("ночь", "ночь"), ("dot.", "dot.")]
)
def test_name_has_one_spelling(name: str, expected: str) -> None:
    """Names in one script are fine, in lower case."""
    assert parse_policy_name(name) == expected


def test_missing_policies_grant_nothing(world: World) -> None:
    """A name without a policy is no error and no right."""
    acl = acl_of(world, "nosuch", "neither")
    assert not may_read(world, acl, "a/x")
    assert not may_read(world, acl, "nosuch")


def test_root_is_root_only_alone(world: World) -> None:
    """Root beside other policies is not root."""
    assert acl_of(world, "root").is_root
    assert not acl_of(world, "default", "root").is_root


def test_compiled_policies_are_kept_while_nothing_changes(world: World) -> None:
    """Two requests share one compilation; it costs no reading of the database."""
    world.write("sys/policies/acl/p", policy=READ)
    first = acl_of(world, "p", "default", "nosuch")
    reads = world.rows.reads
    assert acl_of(world, "p", "default", "nosuch") is first
    assert world.rows.reads == reads


def test_unrelated_change_keeps_what_is_compiled(world: World) -> None:
    """Only the policies that an ACL was made from decide whether it is still good."""
    world.write("sys/policies/acl/p", policy=READ)
    first = acl_of(world, "p")
    world.write("sys/policies/acl/q", policy=READ)
    assert acl_of(world, "p") is first


def test_change_by_another_worker_holds_at_once(world: World) -> None:
    """Written, changed, deleted and written again by one worker: the next request of another decides by it."""
    other = world.worker()
    for text, allowed in ((READ, True), ('path "a/*" { capabilities = ["deny"] }', False), (None, False), (READ, True)):
        if text is None:
            world.delete("sys/policies/acl/p")
        else:
            world.write("sys/policies/acl/p", policy=text)
        for worker in (world.first, other):
            worker.seal.require_open()
            acl = worker.policies.acl(worker.store.read(), ("p", "q"))
            assert may_read(world, acl, "a/x") is allowed


def test_without_a_cache_the_same_content_is_not_compiled_again(world: World) -> None:
    """Where every read makes new entries, equal content is as good as the same object; changed content is not."""
    world.write("sys/policies/acl/p", policy=READ)
    world.first.store.cache.fresh_until = float("-inf")
    first = acl_of(world, "p")
    assert acl_of(world, "p") is first
    world.write("sys/policies/acl/p", policy='path "b/*" { capabilities = ["read"] }')
    assert may_read(world, acl_of(world, "p"), "b/x")
    assert not may_read(world, acl_of(world, "p"), "a/x")


def test_text_is_not_read_to_decide(world: World) -> None:
    """What decides is the document that was parsed when the text was written."""
    policy = Policy(name="p", text="%%%", document=parse_policy(READ), version=1, modified_ns=1)
    world.first.store.run(lambda transaction: transaction.put(PREFIX + "p", msgspec.json.encode(policy)))
    assert may_read(world, acl_of(world, "p"), "a/x")


def test_compiled_policies_are_bounded_and_forgotten(world: World) -> None:
    """However many combinations are asked for, a bounded number is kept; sealing keeps none."""
    policies = PolicyStore(world.clock)
    reader = world.first.store.read()
    for number in range(limits.COMPILED_ACLS_MAX + 10):
        policies.acl(reader, (f"p{number}",))
    assert len(policies._compiled) == limits.COMPILED_ACLS_MAX
    policies.forget_compiled()
    assert not policies._compiled


def test_failed_write_leaves_nothing_compiled_behind(world: World) -> None:
    """What a transaction wrote and did not commit decides nothing afterwards."""
    world.write("sys/policies/acl/p", policy='path "b" { capabilities = ["read"] }')

    def work(transaction: Any) -> None:
        found = world.first.policies.find(transaction, "p")
        assert found is not None
        transaction.put("sys/policy/p", b"not even JSON")
        raise InvalidRequest

    with pytest.raises(InvalidRequest):
        world.first.store.run(work)
    assert may_read(world, acl_of(world, "p"), "b")


@pytest.mark.parametrize("name", ["default", "response-wrapping"])
def test_built_in_policies_parse_and_are_installed(world: World, name: str) -> None:
    """What a fresh server has is what the program says."""
    text = dict(default_policies())[name]
    assert parse_policy(text).paths
    found = world.first.store.run(lambda transaction: world.first.policies.find(transaction, name))
    assert found is not None
    assert found.text == text


def test_wrapping_policy_is_hidden_and_works(world: World) -> None:
    """Wrapping tokens may open what they wrap, and nobody sees their policy in a listing."""
    assert "response-wrapping" not in world.first.policies.list_names(world.first.store.read())
    acl = acl_of(world, "response-wrapping")
    assert acl.decide(Operation.UPDATE, "sys/wrapping/unwrap", EMPTY, None, world.clock.now()).allowed
    assert not may_read(world, acl, "cubbyhole/other")
