"""Leases, all of which belong to tokens."""

import pytest
from msgspec import structs

from tests.unit.vault.modules.system.world import World
from vault.errors import DeniedByPolicy, InvalidRequest, NotFound, PermissionDenied
from vault.leases import ATTEMPTS_MAX, LeaseRecord
from vault.logical.operation import Operation
from vault.storage.transaction import Transaction


def lease_of(world: World, token: str) -> str:
    """Return the lease id of a token."""
    return f"auth/token/create/h{world.first.tokens.hash_id(token)}"


@pytest.mark.parametrize(
    ("path", "text"), [("lookup", "invalid lease"), ("renew", "lease not found")],
)  # fmt: skip
def test_unknown_leases_are_all_the_same(world: World, path: str, text: str) -> None:
    """Unknown and foreign ids get one answer, which tells nothing."""
    for lease_id in ("nosuch", "a/b/c", "auth/token/create/", "auth//x", "core/mounts", "../core/mounts"):
        with pytest.raises(InvalidRequest) as refusal:
            world.write(f"sys/leases/{path}", lease_id=lease_id)
        assert str(refusal.value) == text


@pytest.mark.parametrize("path", ["lookup", "renew", "revoke"])
@pytest.mark.parametrize(
    ("value", "text"), [("", "lease_id must be specified"), (None, "lease_id must be specified"), (5, "invalid lease ID")]
)
def test_lease_id_is_a_text(world: World, path: str, value: object, text: str) -> None:
    """An id that is missing or no text is refused."""
    with pytest.raises(InvalidRequest, match=text):
        world.write(f"sys/leases/{path}", lease_id=value)


def test_lookup_describes_a_lease(world: World) -> None:
    """A lease tells its times and its path."""
    token = world.issue("default", ttl=600)
    world.clock.advance(100)
    answer = world.write("sys/leases/lookup", lease_id=lease_of(world, token))
    assert answer.data == {
        "id": lease_of(world, token), "path": "auth/token/create", "issue_time": "2023-11-14T22:13:20Z",
        "expire_time": "2023-11-14T22:23:20Z", "last_renewal": None, "renewable": True, "ttl": 500,
    }  # fmt: skip


def test_tokens_are_not_renewed_by_lease(world: World) -> None:
    """A token's lease is refused here with Vault's words, and lives no longer for it."""
    token = world.issue("default", ttl=600)
    for increment in (0, "9999h"):
        with pytest.raises(InvalidRequest, match="tokens cannot be renewed through this endpoint"):
            world.write("sys/leases/renew", lease_id=lease_of(world, token), increment=increment)
    fixed = world.issue("default", renewable=False)
    with pytest.raises(InvalidRequest, match="lease is not renewable"):
        world.write(f"sys/leases/renew/{lease_of(world, fixed)}")
    with pytest.raises(InvalidRequest, match="increment"):
        world.write("sys/leases/renew", lease_id="x", increment=-1)


@pytest.mark.parametrize("in_path", [True, False])
def test_revoked_lease_takes_its_token_along(world: World, in_path: bool) -> None:
    """After the answer no worker accepts the token; an unknown id is no error."""
    token = world.issue("default")
    lease_id = lease_of(world, token)
    if in_path:
        assert world.write(f"sys/leases/revoke/{lease_id}") is None
    else:
        assert world.write("sys/leases/revoke", lease_id=lease_id, sync=True) is None
    with pytest.raises(PermissionDenied):
        world.read("auth/token/lookup-self", token=token, worker=world.worker())
    assert world.write("sys/leases/revoke", lease_id="nosuch") is None


@pytest.mark.parametrize("path", ["revoke-prefix", "revoke-force"])
def test_prefix_ends_at_a_slash(world: World, path: str) -> None:
    """A prefix means whole segments: `create` does not reach `create-orphan`."""
    below, beside = world.issue("default"), world.issue("default", path="auth/token/create-orphan")
    world.write(f"sys/leases/{path}/auth/token/create")
    with pytest.raises(PermissionDenied):
        world.read("auth/token/lookup-self", token=below)
    assert world.read("auth/token/lookup-self", token=beside)


def test_many_leases_need_sudo(world: World) -> None:
    """Listing leases and revoking by prefix need sudo."""
    token = world.holder('path "*" { capabilities = ["create", "read", "update", "delete", "list"] }')
    for operation, path in (
        (Operation.UPDATE, "sys/leases/revoke-prefix/x"), (Operation.UPDATE, "sys/leases/revoke-force/x"),
        (Operation.LIST, "sys/leases/lookup/"), (Operation.READ, "sys/leases"),
    ):  # fmt: skip
        with pytest.raises(DeniedByPolicy):
            world.send(operation, path, {}, token=token)


def test_listing_walks_folders(world: World) -> None:
    """Leases are listed folder by folder, in pages."""
    tokens = [world.issue("default") for _ in range(3)]
    names = sorted(lease_of(world, token).rpartition("/")[2] for token in tokens)
    assert world.list("sys/leases/lookup") == ("auth/",)
    assert world.list("sys/leases/lookup/auth/token") == ("create/",)
    assert world.list("sys/leases/lookup/auth/token/create") == tuple(names)
    assert world.list("sys/leases/lookup/auth/token/create", after=names[0], limit=1) == (names[1],)
    assert world.list("sys/leases/lookup/nosuch") == ()


def test_irrevocable_leases_are_counted_and_listed(world: World) -> None:
    """Only leases whose revocation failed often enough count, by the accessor of their mount."""
    record = LeaseRecord(token_key="x", accessor="", issued_at=1, expires_at=2.0, last_error="TimeoutError")

    def store(transaction: Transaction) -> None:
        world.first.leases.put(transaction, "auth/token/a/1", structs.replace(record, attempts=ATTEMPTS_MAX))
        world.first.leases.put(transaction, "auth/token/a/2", record)

    world.first.store.run(store)
    accessor = world.read("sys/auth/token")["accessor"]
    assert world.read("sys/leases/count", type="irrevocable") == {"lease_count": 1, "counts": {accessor: 1}}
    listed = world.read("sys/leases", type="irrevocable", limit="none")
    assert (listed["lease_count"], listed["leases"][0]["lease_id"], listed["leases"][0]["error"]) == (1, "auth/token/a/1", "TimeoutError")
    for path in ("sys/leases", "sys/leases/count"):
        with pytest.raises(NotFound):
            world.read(path, type="all")
    for limit in ("0", "-1", "x"):
        with pytest.raises(InvalidRequest, match="limit must be"):
            world.read("sys/leases", type="irrevocable", limit=limit)


def test_tidy_removes_leases_without_token(world: World) -> None:
    """A lease whose token is gone goes; the others stay."""
    token = world.issue("default")
    record = LeaseRecord(token_key="gone", accessor="", issued_at=1, expires_at=2.0)
    world.first.store.run(lambda transaction: world.first.leases.put(transaction, "auth/token/create/stray", record))
    assert world.write("sys/leases/tidy").status == 202
    assert world.list("sys/leases/lookup/auth/token/create") == (lease_of(world, token).rpartition("/")[2],)
