"""Logins: from whom an auth method recognises to a token."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from msgspec import structs

from tests.unit.vault.fault import RefusingBroker
from tests.unit.vault.modules.system.world import ROOT, World
from vault.errors import AuditFailed, InvalidRequest, LoginFailed, PermissionDenied, VaultError
from vault.logical.args import STRING, arg
from vault.logical.backend import Backend, Endpoint, path
from vault.logical.context import Context
from vault.logical.login import Login, TokenParameters
from vault.logical.operation import Operation
from vault.logical.response import Auth, Response
from vault.logical.token import Token
from vault.modules.auth.renewal import require_same_policies
from vault.storage.transaction import Transaction


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What the door asks."""

    name: str = arg(STRING, "Who comes.")
    word: str = arg(STRING, "The word.", default="")


class Door:
    """An auth method that lets those in who know the word."""

    def __init__(self) -> None:
        self.login = Login(alias="ann", display_name="ann", metadata={"name": "ann"})
        self.checks = 0
        self.gone = False
        self.meanwhile: Callable[[], object] = lambda: None  # what happens during the slow work

    def check(self, context: Context, args: Word) -> bool:
        """Count the slow work."""
        self.checks += 1
        self.meanwhile()
        return args.word == "friend"

    def enter(self, context: Context, args: Word) -> Response:
        """Recognise the caller."""
        if not context.prepared:
            raise LoginFailed("invalid word")
        return Response(login=self.login)

    def renew(self, context: Context, token: Token) -> Login:
        """Recognise the caller once more."""
        if self.gone:
            raise InvalidRequest("who are you")
        require_same_policies(self.login, token)
        return self.login


@pytest.fixture
def door() -> Door:
    """Return the method."""
    return Door()


@pytest.fixture
def world(door: Door) -> World:
    """Return a host with the method."""
    rows = (path("login/{name}", help="Enter.", update=Endpoint(handler=door.enter, args=Word, public=True, prepare=door.check)),)
    backend = Backend(kind="door", paths=rows, renew=door.renew)

    class Built(World):
        backends = {("auth", "door"): {"": backend}}  # noqa: RUF012 - a table of the test

    world = Built()
    world.write("sys/auth/main/door", type="door")
    return world


def enter(world: World, word: str = "friend", **more: Any) -> Auth:
    """Log in."""
    response = world.send(Operation.UPDATE, "auth/main/door/login/ann", {"word": word}, token=None, **more)
    assert response is not None
    assert response.auth is not None
    return response.auth


def renew(world: World, auth: Auth, **fields: Any) -> Auth:
    """Renew a token by itself."""
    response = world.send(Operation.UPDATE, "auth/token/renew-self", fields, token=auth.client_token.reveal())
    assert response is not None
    assert response.auth is not None
    return response.auth


def test_a_failed_login_leaves_nothing(world: World, door: Door) -> None:
    """No token, no entity; the slow work was done once."""
    rows = len(world.rows.rows)
    with pytest.raises(LoginFailed, match="invalid word"):
        enter(world, "foe")
    assert len(world.rows.rows) == rows
    assert door.checks == 1


def test_a_login_makes_one_token_of_one_entity(world: World) -> None:
    """The second login of an alias meets the entity of the first."""
    first, second = enter(world), enter(world)
    assert first.entity_id == second.entity_id != ""
    assert first.client_token.reveal() != second.client_token.reveal()
    assert first.policies == ("default",)
    assert (first.display_name, first.orphan, first.renewable) == ("main-door-ann", True, True)
    found = world.send(Operation.READ, "auth/token/lookup-self", {}, token=first.client_token.reveal())
    assert found is not None
    assert found.data is not None
    assert found.data["path"] == "auth/main/door/login/ann"
    assert found.data["meta"] == {"name": "ann"}


def test_an_address_that_is_not_allowed_gets_no_token(world: World, door: Door) -> None:
    """Bound addresses hold for the login as well as for the token."""
    door.login = structs.replace(door.login, parameters=TokenParameters(token_bound_cidrs=("10.0.0.0/8",)))
    with pytest.raises(PermissionDenied):
        enter(world, address="192.0.2.1")
    assert enter(world, address="10.1.2.3").client_token


def test_a_token_may_be_bound_to_the_address_that_logs_in(world: World, door: Door) -> None:
    """Elsewhere it is refused."""
    door.login = structs.replace(door.login, parameters=TokenParameters(token_strictly_bind_ip=True))
    token = enter(world, address="192.0.2.1").client_token.reveal()
    world.send(Operation.READ, "auth/token/lookup-self", {}, token=token, address="192.0.2.1")
    with pytest.raises(PermissionDenied):
        world.send(Operation.READ, "auth/token/lookup-self", {}, token=token, address="192.0.2.2")


@pytest.mark.parametrize("name", ["root", "ROOT", " root "])
def test_no_login_makes_a_root_token(world: World, door: Door, name: str) -> None:
    """Whatever the method says."""
    door.login = structs.replace(door.login, policies=(name,))
    with pytest.raises(InvalidRequest, match="root"):
        enter(world)


def test_parameters_shape_the_token(world: World, door: Door) -> None:
    """Policies, uses, times."""
    door.login = structs.replace(
        door.login,
        policies=("extra",),
        parameters=TokenParameters(token_policies=("own",), token_no_default_policy=True, token_num_uses=2, token_ttl=60, token_max_ttl=90),
    )
    auth = enter(world)
    assert auth.token_policies == ("extra", "own")
    assert (auth.num_uses, auth.lease_duration_seconds) == (2, 60)


@pytest.mark.parametrize(
    ("mount", "asked", "made"),
    [
        ("default-service", "default", "service"),
        ("default-batch", "default", "batch"),
        ("default-batch", "service", "service"),
        ("batch", "service", "batch"),
        ("service", "batch", "service"),
    ],
)
def test_the_mount_decides_about_the_kind_of_token(world: World, door: Door, mount: str, asked: str, made: str) -> None:
    """A fixed kind beats the role, a default one is beaten by it."""
    world.write("sys/auth/main/door/tune", token_type=mount)
    door.login = structs.replace(door.login, parameters=TokenParameters(token_type=asked))
    assert enter(world).token_type == made


def test_a_renewal_asks_the_method_again(world: World, door: Door) -> None:
    """With the times of now; refused once the caller is gone or has other policies."""
    door.login = structs.replace(door.login, parameters=TokenParameters(token_ttl=60, token_max_ttl=600))
    auth = enter(world)
    assert renew(world, auth, increment=300).lease_duration_seconds == 300
    world.clock.advance(100)
    door.login = structs.replace(door.login, parameters=TokenParameters(token_ttl=50, token_max_ttl=120))
    assert renew(world, auth).lease_duration_seconds == 20
    door.login = structs.replace(door.login, policies=("more",))
    with pytest.raises(InvalidRequest, match="policies have changed"):
        renew(world, auth)
    door.login, door.gone = structs.replace(door.login, policies=()), True
    with pytest.raises(InvalidRequest, match="who are you"):
        renew(world, auth)


def test_a_wrapped_login_hides_the_token(world: World) -> None:
    """What comes is a wrapping token, with the accessor of what it wraps."""
    response = world.send(Operation.UPDATE, "auth/main/door/login/ann", {"word": "friend"}, token=None, wrap=60)
    assert response is not None
    assert response.auth is None
    assert response.wrap_info is not None
    assert response.wrap_info.wrapped_accessor


FAULTS: dict[str, dict[str, Any]] = {
    "address": {"parameters": TokenParameters(token_bound_cidrs=("10.0.0.0/8",))},
    "root": {"policies": ("root",)},
    "name": {"alias": "x" * 10_000},
    "session": {"session": "none"},
}


@pytest.mark.parametrize("wrap", [None, 60])
@pytest.mark.parametrize("fault", [*FAULTS, "disabled", "quota", "request", "response"])
def test_a_login_that_answers_an_error_leaves_nothing(world: World, door: Door, fault: str, wrap: int | None) -> None:
    """No token, accessor, lease, entity or alias (T18), however late it fails."""
    if fault == "disabled":
        world.write(f"identity/entity/id/{enter(world).entity_id}", disabled=True)
    if fault == "quota":
        world.write("sys/quotas/lease-count/q", path="auth/main/door/", max_leases=1)
        enter(world)
    if fault in {"request", "response"}:
        object.__setattr__(world.first.core, "audit", RefusingBroker(fault))
    door.login = structs.replace(door.login, alias="bob" if fault != "disabled" else "ann")
    door.login = structs.replace(door.login, **FAULTS.get(fault, {}))
    before = dict(world.rows.rows)
    for _ in range(3):
        with pytest.raises((VaultError, AuditFailed)):
            enter(world, wrap=wrap)
    assert dict(world.rows.rows) == before


@pytest.mark.parametrize("goes", ["moved", "disabled", "made anew"])
def test_a_login_that_outlives_its_mount_makes_no_token(world: World, door: Door, goes: str) -> None:
    """The revocation of the mount's tokens has passed by then: nothing would end this one. Nor does it leave an entity."""

    def go() -> None:
        if goes == "moved":
            world.send(Operation.UPDATE, "sys/remount", {"from": "auth/main/door", "to": "auth/side"})
            return
        world.delete("sys/auth/main/door")
        if goes == "made anew":
            world.write("sys/auth/main/door", type="door")

    door.meanwhile = go
    with pytest.raises(VaultError):
        enter(world)
    assert world.list("auth/token/accessors") == (world.accessor(ROOT),)
    assert world.list("identity/entity/id") == ()


def test_a_token_whose_mount_is_gone_is_not_renewed(world: World, door: Door) -> None:
    """Nobody could be asked whether its holder is still there."""
    door.login = structs.replace(door.login, parameters=TokenParameters(token_period=60))
    key = world.first.tokens.hash_id(enter(world).client_token.reveal())
    tokens = world.first.tokens

    def stray(transaction: Transaction) -> None:
        token = tokens.find_row(transaction, key)
        assert token is not None
        tokens.update(transaction, structs.replace(token, path="auth/gone/login/ann"))

    world.first.store.run(stray)
    accessor = world.list("auth/token/accessors")
    for name in accessor:
        if name != world.accessor(ROOT):
            with pytest.raises(InvalidRequest):
                world.write("auth/token/renew-accessor", accessor=name)
