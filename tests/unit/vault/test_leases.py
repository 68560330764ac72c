"""Lease rows: odd ids, bounds, what a token's lease tells."""

from functools import partial

import pytest
from msgspec import structs

from tests.unit.vault.modules.system.world import World
from vault import limits
from vault.errors import InvalidRequest, PermissionDenied
from vault.leases import ATTEMPTS_MAX, LeaseRecord, LeaseStore, token_lease_id
from vault.logical.token import Token

ODD = ["a.b/c", "a%2fb", "a b/ c", "a/%/_/\\", "x" * 1000, "a/../b", "é/ü", "a;b?c=d", "'; DROP TABLE x; --"]
TOKEN = Token(
    key="k", accessor="acc", policies=("p",), path="auth/x/login", creation_time=1, issued_ns=10**9, expires_at=5.5, renewable=True
)


@pytest.mark.parametrize("lease_id", ["", "/", "a/", "a//b", "a" * (limits.PATH_BYTES_MAX + 1)])
def test_ids_that_no_lease_has_are_unknown(world: World, lease_id: str) -> None:
    """They are not even looked up: nothing of theirs is kept in memory."""
    reads = world.rows.reads
    reader = world.first.store.read()
    assert world.first.leases.find(reader, lease_id) is None
    assert world.rows.reads == reads
    with pytest.raises(InvalidRequest, match="invalid lease"):
        world.first.leases.require(reader, lease_id)


@pytest.mark.parametrize("lease_id", ODD)
def test_odd_ids_name_one_lease(world: World, lease_id: str) -> None:
    """Whatever characters an id holds, it is found, revoked with its token, and nothing else goes."""
    doomed, other = world.issue("default"), world.issue("default")
    tokens, leases, store = world.first.tokens, world.first.leases, world.first.store
    record = LeaseRecord(token_key=tokens.hash_id(doomed), accessor=world.accessor(doomed), issued_at=1, expires_at=world.clock.now() + 60)
    for name in (lease_id, lease_id + "x", "x" + lease_id):
        key = record.token_key if name == lease_id else tokens.hash_id(other)
        store.run(partial(leases.put, lease_id=name, record=structs.replace(record, token_key=key)))
    assert leases.find(store.read(), lease_id) == record
    world.write("sys/leases/revoke", lease_id=lease_id)
    assert leases.find(store.read(), lease_id) is None
    assert leases.find(store.read(), lease_id + "x") is not None
    with pytest.raises(PermissionDenied):
        world.read("auth/token/lookup-self", token=doomed)
    assert world.read("auth/token/lookup-self", token=other)


def test_lease_of_a_token_tells_its_times(world: World) -> None:
    """The record and the index hold the token's expiry; a token that never ends has no lease."""
    store, leases = world.first.store, LeaseStore()
    store.run(lambda transaction: leases.put_token(transaction, TOKEN))
    assert token_lease_id(TOKEN) == "auth/x/login/hk"
    assert leases.find(store.read(), token_lease_id(TOKEN)) == LeaseRecord(
        token_key="k", accessor="acc", issued_at=1, expires_at=5.5, renewable=True
    )
    assert store.list_expired(5.5, 10) == ()
    assert store.list_expired(5.6, 10) == ("sys/lease/auth/x/login/hk",)
    store.run(lambda transaction: leases.put_token(transaction, structs.replace(TOKEN, key="r", expires_at=None)))
    assert leases.find(store.read(), "auth/x/login/hr") is None
    store.run(lambda transaction: leases.delete_token(transaction, TOKEN))
    assert leases.find(store.read(), token_lease_id(TOKEN)) is None


@pytest.mark.parametrize(("attempts", "given_up"), [(0, False), (ATTEMPTS_MAX - 1, False), (ATTEMPTS_MAX, True)])
def test_many_failures_make_a_lease_irrevocable(attempts: int, given_up: bool) -> None:
    """As often as Vault tries."""
    assert LeaseRecord(token_key="", accessor="", issued_at=0, expires_at=0.0, attempts=attempts).irrevocable is given_up
