"""Logins by role id and secret id: refused in the same words whatever is wrong, and from the same rows."""

from collections.abc import Callable
from unittest.mock import Mock

import pytest

from tests.unit.vault.modules.auth.methods.approle.machine import ANYTHING, ROLES, log_in, make_role, make_secret, require_refused
from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, PermissionDenied, StorageUnavailable
from vault.logical.operation import Operation
from vault.modules.auth.methods.approle.upkeep import INTERVAL_SECONDS
from vault.storage.physical import Row

HERE, THERE = "10.0.0.1", "192.0.2.1"


def _unknown_role(world: World) -> tuple[str, str]:
    return "NOBODY", make_secret(world)[0]


def _wrong_secret(_: World) -> tuple[str, str]:
    return "WEB", ANYTHING


def _no_secret(_: World) -> tuple[str, str]:
    return "WEB", ""


def _secret_of_another_role(world: World) -> tuple[str, str]:
    make_role(world, "other")
    return "WEB", make_secret(world, "other")[0]


def _spent(world: World) -> tuple[str, str]:
    secret, _ = make_secret(world, num_uses=1)
    log_in(world, "WEB", secret)
    return "WEB", secret


def _expired(world: World) -> tuple[str, str]:
    secret, _ = make_secret(world, ttl=10)
    world.clock.advance(10)
    return "WEB", secret


def _expired_after_the_background_work(world: World) -> tuple[str, str]:
    secret, _ = make_secret(world, ttl=10)
    world.clock.advance(INTERVAL_SECONDS)
    world.write("auth/approle/tidy/secret-id")
    return "WEB", secret


def _destroyed(world: World) -> tuple[str, str]:
    secret, _ = make_secret(world)
    world.write(f"{ROLES}/WEB/secret-id/destroy", secret_id=secret)
    return "WEB", secret


def _destroyed_by_accessor(world: World) -> tuple[str, str]:
    secret, accessor = make_secret(world)
    world.write(f"{ROLES}/Web/secret-id-accessor/destroy", secret_id_accessor=accessor)
    return "WEB", secret


def _elsewhere_by_role(world: World) -> tuple[str, str]:
    secret, _ = make_secret(world)
    world.write(f"{ROLES}/web", secret_id_bound_cidrs="192.0.2.0/24")
    return "WEB", secret


def _elsewhere_by_secret(world: World) -> tuple[str, str]:
    return "WEB", make_secret(world, cidr_list="192.0.2.0/24")[0]


def _elsewhere_by_token(world: World) -> tuple[str, str]:
    return "WEB", make_secret(world, token_bound_cidrs="192.0.2.0/24")[0]


def _role_narrowed_since(world: World) -> tuple[str, str]:
    secret, _ = make_secret(world, token_bound_cidrs="10.0.0.0/8")
    world.write(f"{ROLES}/web", token_bound_cidrs="10.0.0.0/24")
    return "WEB", secret


def _deleted_role(world: World) -> tuple[str, str]:
    secret, _ = make_secret(world)
    world.delete(f"{ROLES}/WEB")
    return "WEB", secret


def _role_made_anew(world: World) -> tuple[str, str]:
    secret, _ = make_secret(world)
    world.delete(f"{ROLES}/Web")
    return make_role(world), secret


def _former_role_id(world: World) -> tuple[str, str]:
    secret, _ = make_secret(world)
    world.write(f"{ROLES}/web/role-id", role_id="NEW")
    return "WEB", secret


@pytest.mark.parametrize(
    "prepare",
    [
        *(_unknown_role, _wrong_secret, _no_secret, _secret_of_another_role, _spent, _expired, _expired_after_the_background_work),
        *(_destroyed, _destroyed_by_accessor, _elsewhere_by_role, _elsewhere_by_secret, _elsewhere_by_token, _role_narrowed_since),
        *(_deleted_role, _role_made_anew, _former_role_id),
    ],
)
def test_whatever_is_wrong_is_refused_in_the_same_words(world: World, prepare: Callable[[World], tuple[str, str]]) -> None:
    """A02: a bad role id, a bad secret id, one that is spent, expired, destroyed or used elsewhere: the same answer, and no token."""
    make_role(world)
    require_refused(world, *prepare(world), address=HERE)


@pytest.mark.parametrize("disabled", [True, False])
def test_failed_logins_cost_the_same_reads_whatever_is_cached(world: World, disabled: bool) -> None:
    """A02: of a role id that nobody has, that is in use or was never tried, by a worker that has read all of it or none."""
    config = {"lockout_disable": disabled, "lockout_threshold": 100}
    world.write("sys/auth/approle/tune", user_lockout_config=config)
    for name in ("web", "idle"):
        make_role(world, name)
    log_in(world, "WEB", make_secret(world)[0])
    bound, _ = make_secret(world, cidr_list="10.9.9.9/32")
    cold = world.worker()
    cold.seal.require_open()
    require_refused(world, "WARM", "up", worker=cold)
    counts = []
    for worker in (world.first, cold):
        for number, role_id in enumerate(("WEB", "NOBODY", "IDLE", "NOBODY", "ELSE", "WEB", "IDLE")):
            before = world.rows.reads
            require_refused(world, role_id, f"wrong-{number}", worker=worker)
            counts.append(world.rows.reads - before)
        before = world.rows.reads
        require_refused(world, "WEB", bound, worker=worker)
        counts.append(world.rows.reads - before)
    assert set(counts) == {counts[0]}


def test_a_failure_that_cannot_be_counted_does_not_pass_for_one_that_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database refuses the count: so does the answer."""
    world.write("sys/auth/approle/tune", user_lockout_config={"lockout_disable": False})
    make_role(world)
    with monkeypatch.context() as broken:
        broken.setattr(world.rows, "prepare", Mock(side_effect=StorageUnavailable))
        with pytest.raises(StorageUnavailable):
            log_in(world, "WEB", ANYTHING)
    require_refused(world, "WEB", ANYTHING)


def test_a_failure_is_counted_though_its_time_cannot_be_levelled(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads that only take their time may fail: five failures lock all the same."""
    world.write("sys/auth/approle/tune", user_lockout_config={"lockout_disable": False})
    make_role(world)
    secret, _ = make_secret(world)
    original, broken = world.rows.get, []

    def get(path: str) -> Row | None:
        if path.startswith("nowhere/"):
            broken.append(path)
            raise StorageUnavailable
        return original(path)

    monkeypatch.setattr(world.rows, "get", get)
    for _ in range(5):
        require_refused(world, "WEB", ANYTHING)
    assert broken
    with pytest.raises(PermissionDenied):
        log_in(world, "WEB", secret)


def test_reads_do_not_grow_with_the_number_of_secret_ids(world: World) -> None:
    """A11: a worker that knows nothing reads as many rows with one secret id as with two hundred."""
    make_role(world)
    secret, _ = make_secret(world)
    log_in(world, "WEB", secret)
    counts = []
    for more in (0, 200):
        for _ in range(more):
            make_secret(world)
        other = world.worker()
        other.seal.require_open()
        before = world.rows.reads
        log_in(world, "WEB", secret, worker=other)
        counts.append(world.rows.reads - before)
    assert counts[0] == counts[1]


def test_uses_end(world: World) -> None:
    """A secret id is good for as many logins as it says; then nothing is left of it."""
    make_role(world, secret_id_num_uses=3)
    secret, accessor = make_secret(world)
    for left in (2, 1):
        log_in(world, "WEB", secret)
        shown = world.write(f"{ROLES}/web/secret-id-accessor/lookup", secret_id_accessor=accessor).data
        assert shown["secret_id_num_uses"] == left
    log_in(world, "WEB", secret)
    require_refused(world, "WEB", secret)
    assert world.list(f"{ROLES}/web/secret-id") == ()


def test_a_token_has_what_role_and_secret_id_say(world: World) -> None:
    """Policies and times of the role, metadata and addresses of the secret id; nobody writes the role's name into the metadata."""
    make_role(world, token_policies="a,b", token_ttl=60, token_num_uses=4)
    secret, _ = make_secret(world, metadata='{"host":"h1","role_name":"root"}', token_bound_cidrs="10.0.0.0/8")
    auth = log_in(world, "WEB", secret, address=HERE)
    assert (auth.policies, auth.lease_duration_seconds, auth.num_uses) == (("a", "b", "default"), 60, 4)
    assert auth.metadata == {"host": "h1", "role_name": "web"}
    assert auth.display_name == "approle"
    token = auth.client_token.reveal()
    shown = world.send(Operation.READ, "auth/token/lookup-self", {}, token=token, address=HERE)
    assert shown is not None
    assert shown.data is not None
    assert shown.data["bound_cidrs"] == ["10.0.0.0/8"]


def test_a_role_without_secret_ids_asks_for_none(world: World) -> None:
    """Its addresses are what it asks for; what is said as a secret id does not matter."""
    make_role(world, bind_secret_id=False, secret_id_bound_cidrs="10.0.0.0/8")
    assert log_in(world, "WEB", address=HERE).metadata == {"role_name": "web"}
    log_in(world, "WEB", ANYTHING, address=HERE)
    require_refused(world, "WEB", address=THERE)


def test_all_logins_of_a_role_are_one_entity(world: World) -> None:
    """The role id is the alias."""
    make_role(world)
    first, second = (log_in(world, "WEB", make_secret(world)[0]) for _ in range(2))
    assert first.entity_id
    assert first.entity_id == second.entity_id


def test_renewal_asks_the_role(world: World) -> None:
    """What the role says now holds; a deleted role renews nothing, nor does another of its name."""
    make_role(world, token_ttl=60)
    token = log_in(world, "WEB", make_secret(world)[0]).client_token.reveal()
    world.write(f"{ROLES}/web", token_ttl=120)
    assert world.write("auth/token/renew-self", token=token).auth.lease_duration_seconds == 120
    world.delete(f"{ROLES}/web")
    for _ in range(2):
        with pytest.raises(InvalidRequest, match="does not exist"):
            world.write("auth/token/renew-self", token=token)
        make_role(world)
