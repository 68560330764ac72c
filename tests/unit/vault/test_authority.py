"""Who may: one answer for every refusal, uses counted exactly, sudo on top."""

from typing import Any

import pytest

from tests.unit.vault.modules.system.world import ROOT, World
from tests.unit.vault.test_mounts import in_parallel
from vault.errors import DeniedByPolicy, InvalidRequest, NotFound, PermissionDenied, VaultError
from vault.logical.operation import Operation

EVERYTHING = 'path "*" { capabilities = ["create", "read", "update", "delete", "list"] }'


def refusal_of(world: World, token: str | None, **fields: Any) -> tuple[type, str]:
    """Return class and words of the refusal of a token."""
    with pytest.raises(VaultError) as refusal:
        world.send(Operation.READ, "auth/token/lookup-self", {}, token=token, **fields)
    return type(refusal.value), str(refusal.value)


def test_every_unusable_token_gets_one_answer(world: World) -> None:
    """None, unknown, expired, revoked, spent, bound elsewhere, an accessor, altered, too long: all the same."""
    expired, revoked, spent = world.issue("default", ttl=1), world.issue("default"), world.issue("default", uses_left=1)
    bound, good = world.issue("default", bound_cidrs=("10.0.0.0/8",)), world.issue("default")
    world.send(Operation.UPDATE, "auth/token/revoke", {"token": revoked})
    world.read("auth/token/lookup-self", token=spent)
    world.clock.advance(1)
    altered = [
        good.upper(),
        good.swapcase(),
        f" {good}",
        f"{good} ",
        f"{good}\n",
        f"{good}.",
        good[:-1],
        good + "A",
        good.replace("hvs.", "s."),
        f"{good},{good}",
    ]
    unusable = [
        None,
        "",
        "x",
        expired,
        revoked,
        spent,
        bound,
        world.accessor(good),
        *altered,
        "x" * 8000,
        "hvb.",
        "hvb.AAAA",
        "hvb.é",
        "\ud800",
    ]
    answers = {refusal_of(world, token) for token in unusable}
    assert answers == {(PermissionDenied, "permission denied")}
    assert world.read("auth/token/lookup-self", token=good)


@pytest.mark.parametrize(
    "path", ["nosuch/x", "sys/nosuch", "auth/nosuch/login", "auth/token/nosuch", "sys/initX", "sys/init/x", "sys/healthz", "kv"]
)
def test_unknown_paths_tell_nothing_without_a_token(world: World, path: str) -> None:
    """Whether a path exists is told only to those who may know."""
    world.write("sys/mounts/kv", type="kv")
    for operation in (Operation.READ, Operation.UPDATE, Operation.DELETE, Operation.HELP):
        for token in (None, "x"):
            with pytest.raises(PermissionDenied):
                world.send(operation, path, {}, token=token)
    poor = world.issue("default")
    with pytest.raises(DeniedByPolicy):
        world.read(path, token=poor)


def test_unsupported_operations_of_public_paths_need_a_token(world: World) -> None:
    """The list of what is public is exact: method and path."""
    for operation, path in (
        (Operation.DELETE, "sys/seal-status"),
        (Operation.DELETE, "sys/init"),
        (Operation.READ, "sys/unseal"),
        (Operation.PATCH, "sys/health"),
        (Operation.LIST, "sys/leader/"),
        (Operation.HELP, "sys/init"),
    ):
        with pytest.raises(PermissionDenied):
            world.send(operation, path, {}, token=None)


def test_sudo_paths_need_sudo_even_under_a_star(world: World) -> None:
    """All rights on all paths are not sudo."""
    token = world.holder(EVERYTHING)
    for operation, path in (
        (Operation.LIST, "auth/token/accessors/"),
        (Operation.UPDATE, "sys/seal"),
        (Operation.UPDATE, "sys/remount"),
        (Operation.READ, "sys/audit"),
        (Operation.UPDATE, "sys/auth/x"),
        (Operation.READ, "sys/leases"),
    ):
        with pytest.raises(DeniedByPolicy):
            world.send(operation, path, {}, token=token)


def test_denials_do_not_name_rules_or_policies(world: World) -> None:
    """The same words whatever denied."""
    texts = set()
    for policy in ('path "kv/secret" { capabilities = ["deny"] }', 'path "kv/*" { capabilities = ["list"] }', 'path "x" {}'):
        token = world.holder(policy)
        with pytest.raises(DeniedByPolicy) as refusal:
            world.read("kv/secret", token=token)
        texts.add(str(refusal.value))
    assert texts == {DeniedByPolicy.message}


@pytest.mark.parametrize(
    ("address", "good"), [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("11.0.0.1", False), ("", False), ("x", False), ("::1", False)]
)
def test_bound_token_is_good_only_from_its_addresses(world: World, address: str, good: bool) -> None:
    """An address that is not understood is no address; one that IPv6 wraps is."""
    token = world.issue("default", bound_cidrs=("10.0.0.0/8",))
    if good:
        assert world.send(Operation.READ, "auth/token/lookup-self", {}, token=token, address=address)
    else:
        assert refusal_of(world, token, address=address)[0] is PermissionDenied


# -- uses -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("uses", [1, 2, 5])
def test_every_request_costs_one_use(world: World, uses: int) -> None:
    """Allowed, denied, not found, invalid: each costs one; after the last one the token and all of it are gone at once."""
    token = world.issue("default", uses_left=uses)
    attempts = [
        lambda: world.read("auth/token/lookup-self", token=token),
        lambda: world.read("sys/mounts", token=token),
        lambda: world.read("nosuch/x", token=token),
        lambda: world.write("auth/token/renew-self", token=token, increment="x"),
        lambda: world.write("cubbyhole/x", token=token, a="b"),
    ]
    for left in range(uses, 0, -1):
        row = world.first.tokens.find_row(world.first.store.read(), world.first.tokens.hash_id(token))
        assert row is not None
        assert row.uses_left == left
        try:
            attempts[left - 1]()
        except (DeniedByPolicy, NotFound, InvalidRequest):
            continue
    assert refusal_of(world, token) == (PermissionDenied, "permission denied")
    key = world.first.tokens.hash_id(token)
    assert not [path for path in world.rows.rows if key in path]
    assert not [path for path in world.rows.rows if path.startswith(world.first.wrapping.cubbyhole_prefix(world.first.store.read()))]


@pytest.mark.parametrize("uses", [1, 5])
def test_uses_are_counted_exactly_over_workers(world: World, uses: int) -> None:
    """Of many concurrent requests, allowed and denied, on several workers, as many are let in as there are uses, and none later."""
    workers = [world.first, world.worker(), world.worker()]
    for worker in workers:
        worker.seal.require_open()
    token = world.issue("default", uses_left=uses)
    paths = ("auth/token/lookup-self", "sys/mounts")
    results = in_parallel([
        (lambda index=index: world.read(paths[index % 2], token=token, worker=workers[index % 3]))  # type: ignore[misc]
        for index in range(4 * uses + 16)
    ])  # fmt: skip
    accepted = [result for result in results if not isinstance(result, Exception) or isinstance(result, DeniedByPolicy)]
    assert len(accepted) == uses
    assert all(type(result) is PermissionDenied for result in results if not any(result is other for other in accepted))
    for worker in workers:
        assert refusal_of(world, token, worker=worker)[0] is PermissionDenied


def test_public_paths_cost_no_use(world: World) -> None:
    """A token that comes along where none is needed is not charged."""
    token = world.issue("default", uses_left=1)
    world.read("sys/health", token=token)
    world.read("sys/internal/ui/mounts", token=token)
    assert world.read("auth/token/lookup-self", token=token)


def test_renewal_does_not_give_uses_back(world: World) -> None:
    """A renewal writes the token as it is stored by then."""
    token = world.issue("default", uses_left=10)
    key = world.first.tokens.hash_id(token)
    other = world.worker()
    other.seal.require_open()
    inner = world.first.core.authority.authorize

    def authorize(*arguments: Any) -> Any:
        for _ in range(3):
            other.store.run(lambda transaction: other.tokens.spend_use(transaction, key))
        return inner(*arguments)

    world.first.core.authority.authorize = authorize  # type: ignore[assignment,method-assign]  # requests of others at the worst moment
    world.write("auth/token/renew-self", token=token)
    row = world.first.tokens.find_row(world.first.store.read(), key)
    assert row is not None
    assert row.uses_left == 10 - 1 - 3


def test_renewal_does_not_raise_the_dead(world: World) -> None:
    """A token that is revoked while its own renewal is under way stays revoked."""
    token = world.issue("default")
    other = world.worker()
    other.seal.require_open()
    inner = world.first.core.authority.authorize

    def authorize(*arguments: Any) -> Any:
        principal = inner(*arguments)
        other.revoker.revoke_tree(world.first.tokens.hash_id(token))
        return principal

    world.first.core.authority.authorize = authorize  # type: ignore[assignment,method-assign]  # requests of others at the worst moment
    with pytest.raises(InvalidRequest, match="token not found"):
        world.write("auth/token/renew-self", token=token)
    assert world.first.tokens.find_row(world.first.store.read(), world.first.tokens.hash_id(token)) is None


def test_root_token_needs_no_rules(world: World) -> None:
    """It may all, sudo paths included."""
    assert world.accessor(ROOT) in world.list("auth/token/accessors")


def test_create_and_update_are_told_apart(world: World) -> None:
    """Where a path can tell, a new object needs create and an old one needs update."""
    world.write("sys/mounts/kv", type="kv")
    creator = world.holder('path "kv/*" { capabilities = ["create"] }')
    updater = world.holder('path "kv/*" { capabilities = ["update"] }')
    with pytest.raises(DeniedByPolicy):
        world.write("kv/a", token=updater, x="1")
    world.write("kv/a", token=creator, x="1")
    with pytest.raises(DeniedByPolicy):
        world.write("kv/a", token=creator, x="2")
    world.write("kv/a", token=updater, x="3")
    assert world.read("kv/a") == {"x": "3"}
