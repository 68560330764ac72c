"""The userpass method behind the core: users, logins, sessions."""

from typing import Any
from unittest.mock import Mock

import pyotp
import pytest

from tests.unit.vault.modules.auth.methods.userpass.method import FakeHasher, fail, log_in, look_up
from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, LoginFailed, NotFound, PermissionDenied
from vault.modules.auth.methods.userpass import user

HASH = "$2b$10$abcdefghijklmnopqrstuuDmGIYHhY4xRFcDoF1JGgPOA9yT5VbEW"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "must provide either"),
        ({"password": ""}, "must provide either"),
        ({"password_hash": ""}, "must provide either"),
        ({"password": "x", "password_hash": HASH}, "only one of"),
        ({"password_hash": "x"}, "not a valid bcrypt hash"),
        ({"password_hash": HASH.replace("10", "31")}, "exceeds"),
        ({"password": "x" * 5000}, "longer"),
        ({"password": "x", "token_policies": "root"}, "root"),
        ({"password": "x", "token_ttl": -1}, "token_ttl"),
        ({"password": "x", "token_num_uses": 1.5}, "token_num_uses"),
        ({"password": "x", "is_active": "maybe"}, "is_active"),
        ({"password": "x", "email": "x" * 513}, "512"),
    ],
)
def test_a_user_that_cannot_be_is_not_stored(world: World, fields: dict[str, Any], message: str) -> None:
    """A clear refusal, and nobody of that name afterwards."""
    with pytest.raises(InvalidRequest, match=message):
        world.write("auth/userpass/users/eve", **fields)
    assert world.list("auth/userpass/users") == ("ann",)


@pytest.mark.parametrize("name", ["a b", "-a", "a.", ".a", "a..b", "a@b", "a+b", "äbc", "?", "x" * 300])
def test_a_name_that_is_none_is_refused(world: World, name: str) -> None:
    """Only what Vault takes; a login under it fails like any other."""
    with pytest.raises(InvalidRequest, match="invalid username"):
        world.write(f"auth/userpass/users/{name}", password="x")
    fail(world, name)


def test_users_have_one_spelling(world: World) -> None:
    """Case, blanks and width make no other user."""
    world.write("auth/userpass/users/ Bob ", password="other")
    assert world.list("auth/userpass/users") == ("ann", "bob")
    entities = {log_in(world, name, "other").entity_id for name in ("bob", "BOB", " bob", "bob ", "\uff42\uff4f\uff42")}
    assert len(entities) == 1
    assert log_in(world, "BOB", "other").metadata == {"username": "bob"}
    world.delete("auth/userpass/users/BoB")
    with pytest.raises(NotFound):
        world.read("auth/userpass/users/bob")


def test_a_user_is_shown_without_its_hash(world: World) -> None:
    """In the wire's names and in those that a web client reads."""
    world.write("auth/userpass/users/ann", password="", display_name="Ann", email="ann@example.org", policies=["x"], token_policies=[])
    data = world.read("auth/userpass/users/ANN")
    assert data["username"] == "ann"
    assert data["token_policies"] == data["policies"] == ["x"]
    assert (data["display_name"], data["email"], data["is_active"]) == ("Ann", "ann@example.org", True)
    assert not any("password" in key or "%right" in str(value) for key, value in data.items())
    assert log_in(world).token_policies == ("default", "x")  # the empty password has changed nothing


def test_lists_have_pages(world: World) -> None:
    """After a name, at most so many."""
    for name in ("bob", "cid"):
        world.write(f"auth/userpass/users/{name}", password="x")
    assert world.list("auth/userpass/users", after="ann", limit=1) == ("bob",)


def test_unknown_users_cannot_be_changed(world: World) -> None:
    """Neither their password nor their policies; to delete them is no error."""
    changes: tuple[tuple[str, dict[str, Any]], ...] = (("password", {"password": "x"}), ("policies", {"policies": "x"}))
    for path, fields in changes:
        with pytest.raises(InvalidRequest, match="username does not exist"):
            world.write(f"auth/userpass/users/eve/{path}", **fields)
    world.delete("auth/userpass/users/eve")


def test_every_refusal_looks_and_costs_the_same(world: World, hasher: FakeHasher) -> None:
    """Unknown, wrong, disabled, locked: one answer, one check, at the cost of the dearest hash of the mount."""
    world.write("auth/userpass/users/cheap", password_hash=HASH)
    world.write("auth/userpass/users/off", password="right", is_active=False)
    fail(world, "locked", 5)
    hasher.checks.clear()
    fail(world, "ann")
    fail(world, "cheap")
    fail(world, "nobody")
    fail(world, "off", password="right")
    fail(world, "locked")
    assert hasher.checks == [(True, 12), (True, 12), (False, 12), (False, 12), (False, 12)]


def test_every_refusal_reads_and_decodes_as_much(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that are there and rows that are not: as many of each, whoever it is, whatever a worker knows. The first guess makes a count."""
    names = ("ann", "off", "nobody", "!odd", "locked")
    world.write("auth/userpass/users/off", password="right", is_active=False)
    for name in (*names, *("locked",) * 4):
        fail(world, name)
    decode = Mock(side_effect=user._decode)
    monkeypatch.setattr(user, "_decode", decode)
    cold = world.worker()
    cold.seal.require_open()
    fail(world, "warm-up", worker=cold)
    costs = set()
    for worker in (world.first, cold):
        for name in names:
            before = world.rows.reads, world.rows.misses
            decode.reset_mock()
            fail(world, name, worker=worker)
            costs.add((world.rows.reads - before[0], world.rows.misses - before[1], decode.call_count))
    assert len(costs) == 1
    assert {count for _, _, count in costs} == {1}


def test_a_mount_costs_what_its_dearest_hash_costs(world: World, hasher: FakeHasher) -> None:
    """Where all hashes are imported cheap ones, checks are as cheap; once there is a dearer one, they never are again."""
    world.write("sys/auth/other", type="userpass")
    written: tuple[dict[str, Any], ...] = ({"password_hash": HASH}, {"password": "right"}, {"password_hash": HASH})
    for fields in written:
        world.write("auth/other/users/bob", **fields)
        with pytest.raises(LoginFailed):
            world.write("auth/other/login/nobody", token=None, password="wrong")
    assert hasher.checks == [(False, 10), (False, 12), (False, 12)]


@pytest.mark.parametrize("fields", [{}, {"password": ""}])
def test_a_login_without_password_counts_for_nothing(world: World, hasher: FakeHasher, fields: dict[str, Any]) -> None:
    """Nobody is locked out by it, and nothing is checked."""
    for _ in range(6):
        with pytest.raises(InvalidRequest, match="missing password"):
            world.write("auth/userpass/login/ann", token=None, **fields)
    assert hasher.checks == []
    assert log_in(world).client_token


def test_a_password_that_is_changed_during_its_check_lets_nobody_in(world: World, hasher: FakeHasher) -> None:
    """The check is done before the transaction: what it saw must still hold."""
    hasher.meanwhile = lambda _: world.write("auth/userpass/users/ann/password", password="new")
    fail(world, password="right")


@pytest.mark.parametrize(
    "change",
    [
        ("auth/userpass/users/ann/password", {"password": "new"}),
        ("auth/userpass/users/ann", {"password": "right"}),
        ("auth/userpass/users/ann", {"is_active": False}),
        ("auth/userpass/users/ann", None),
    ],
)
def test_sessions_end_at_once(world: World, change: tuple[str, dict[str, Any] | None]) -> None:
    """A new password, being disabled and being deleted end every session, on every worker and with all child tokens."""
    auth, other = log_in(world), world.worker()
    world.write("sys/policies/acl/reader", policy='path "auth/token/create" { capabilities = ["update"] }')
    child = world.write("auth/token/create", token=auth.client_token.reveal()).auth
    path, fields = change
    look_up(world, auth)
    assert world.read("auth/token/lookup-self", token=child.client_token.reveal(), worker=other)
    if fields is None:
        world.delete(path)
    else:
        world.write(path, **fields)
    for token in (auth, child):
        for worker in (world.first, other):
            with pytest.raises(PermissionDenied):
                world.read("auth/token/lookup-self", token=token.client_token.reveal(), worker=worker)
            with pytest.raises(PermissionDenied):
                world.write("auth/token/renew-self", token=token.client_token.reveal(), worker=worker)


def test_other_changes_leave_sessions_alone(world: World) -> None:
    """A user that is given a name or another time goes on; renewed it gets what holds now."""
    auth = log_in(world)
    world.write("auth/userpass/users/ann", display_name="Ann", token_ttl=60)
    look_up(world, auth)
    renewed = world.write("auth/token/renew-self", token=auth.client_token.reveal()).auth
    assert renewed.lease_duration_seconds == 60


def test_a_user_with_other_policies_is_not_renewed(world: World) -> None:
    """The session goes on as it was made until it ends."""
    auth = log_in(world)
    world.write("auth/userpass/users/ann/policies", policies="other")
    look_up(world, auth)
    with pytest.raises(InvalidRequest, match="policies have changed"):
        world.write("auth/token/renew-self", token=auth.client_token.reveal())


@pytest.mark.parametrize("change", [{"password": "other"}, {"is_active": False}], ids=["password", "disabled"])
def test_a_login_that_waits_for_its_second_factor_ends_with_the_sessions(world: World, change: dict[str, Any]) -> None:
    """Who began it showed a password that is good no more."""
    entity_id = log_in(world).entity_id
    method_id = world.write("identity/mfa/method/totp", issuer="Clinic").data["method_id"]
    app = pyotp.parse_uri(world.write("identity/mfa/method/totp/admin-generate", method_id=method_id, entity_id=entity_id).data["url"])
    assert isinstance(app, pyotp.TOTP)
    world.write("identity/mfa/login-enforcement/all", mfa_method_ids=[method_id], auth_method_types=["userpass"])
    requirement = log_in(world).mfa_requirement
    assert requirement is not None
    world.write("auth/userpass/users/ann", **change)
    before = world.list("auth/token/accessors")
    code = app.at(int(world.clock.now()))
    with pytest.raises(PermissionDenied):
        world.write("sys/mfa/validate", token=None, mfa_request_id=requirement["mfa_request_id"], mfa_payload={method_id: [code]})
    assert world.list("auth/token/accessors") == before
