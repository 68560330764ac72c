"""States of logins through a web page, where they may return to, and what a glob takes."""

from dataclasses import replace

import pytest

from tests.unit.vault.modules.system.world import World
from vault import limits
from vault.errors import InvalidRequest
from vault.logical.mount import Mount
from vault.modules.auth.methods.jwt.claims import check_bound_claims, find_claim
from vault.modules.auth.methods.jwt.redirect import is_allowed
from vault.modules.auth.methods.jwt.role import Role
from vault.modules.auth.methods.jwt.state import Handed, State, States, make_state, spend
from vault.storage.view import View

MOUNT = Mount(path="auth/oidc/", kind="oidc", uuid="one", accessor="a")
STATE = make_state(role="r", redirect_uri="https://a.example/", client_nonce="", now=1000.0)


@pytest.fixture
def world() -> World:
    """Return a host."""
    return World()


@pytest.fixture
def states(world: World) -> States:
    """Return what seals."""
    return States(world.first.seal)


def test_state_opens_on_its_mount_in_its_time(states: States) -> None:
    """Nowhere else, not changed, not as something else, not before and not after."""
    text = states.seal(MOUNT, STATE)
    assert states.open(MOUNT, text, 1000 + limits.OIDC_FLOW_SECONDS - 1) == STATE
    handed = states.seal(MOUNT, Handed(id=STATE.id, code="c"))
    assert states.find_handed(MOUNT, handed) == Handed(id=STATE.id, code="c")
    assert states.find_handed(MOUNT, text) is None
    for mount, changed, now in (
        (replace(MOUNT, uuid="two"), text, 1000),
        (MOUNT, text, 1000 + limits.OIDC_FLOW_SECONDS),
        (MOUNT, text, 999),
        (MOUNT, handed, 1000),
        (MOUNT, text[:-5], 1000),
        (MOUNT, "é", 1000),
        (MOUNT, "", 1000),
    ):
        with pytest.raises(InvalidRequest, match="Expired or missing"):
            states.open(mount, changed, now)


def take(world: World, state: State, now: float) -> None:
    """Spend a state in a transaction of its own."""
    world.first.store.run(lambda transaction: spend(View(transaction, "logical/one/"), state, now))


def test_marks_take_a_bounded_place_and_are_forgotten(world: World) -> None:
    """Whatever comes back: a fixed number of rows, each with a bounded number of marks, until their time is over."""
    same = [replace(STATE, id=str(number)) for number in range(3000)]
    for state in same:
        take(world, state, 1000)
    rows = [path for path in world.rows.rows if path.startswith("logical/one/spent/")]
    assert len(rows) <= min(limits.OIDC_SPENT_ROWS, len(same))
    with pytest.raises(InvalidRequest, match="Expired or missing"):
        take(world, same[0], 1000 + limits.OIDC_FLOW_SECONDS - 1)
    take(world, replace(same[0], begun_at=5000), 5000)


@pytest.mark.parametrize(
    ("uri", "allowed", "fits"),
    [
        ("https://a.example/cb", ("https://a.example/cb",), True),
        ("https://a.example/cb", (), False),
        ("https://a.example/cb?x=1", ("https://a.example/cb",), False),
        ("https://a.example:444/cb", ("https://a.example/cb",), False),
        ("https://A.example/cb", ("https://a.example/cb",), False),
        ("http://localhost:1/cb", ("http://localhost:8250/cb",), True),
        ("http://127.0.0.1:1/cb", ("http://localhost:8250/cb",), False),
        ("http://[::1]:1/cb", ("http://[::1]:2/cb",), True),
        ("http://localhost:1/cb?x", ("http://localhost/cb",), False),
        ("http://localhost:1/cb#x", ("http://localhost/cb",), False),
        ("http://evil@localhost:1/cb", ("http://localhost/cb",), False),
        ("http://localhost:99999/cb", ("http://localhost/cb",), False),
        ("http://localhost:x/cb", ("http://localhost/cb",), False),
        ("http://localhost\\@evil/cb", ("http://localhost\\@evil/cb",), False),
        ("javascript:alert(1)", ("http://localhost/cb",), False),
        ("https://a.example/\n", ("https://a.example/\n",), False),
        ("https://[", ("https://[",), False),
    ],
)
def test_redirect_uri(uri: str, allowed: tuple[str, ...], fits: bool) -> None:
    """Exact, but for the port of loopback."""
    assert is_allowed(uri, allowed) is fits


@pytest.mark.parametrize(
    ("glob", "value", "fits"),
    [
        ("a*b*c", "a__b__b_c", True),
        ("a*b*c", "acb", False),
        ("*a", "aaa", True),
        ("a*", "a", True),
        ("*", "", True),
        ("a.c", "abc", False),
        ("*ab*ab*", "abab", True),
        ("ab*ba", "aba", False),
        ("**a", "ba", True),
    ],
)
def test_glob(glob: str, value: str, fits: bool) -> None:
    """A star is any text; all else is itself."""
    role = Role(bound_claims_type="glob", bound_claims={"x": glob})
    if fits:
        check_bound_claims({"x": value}, role)
    else:
        with pytest.raises(InvalidRequest, match="does not match"):
            check_bound_claims({"x": value}, role)


def test_glob_is_quick_on_any_input() -> None:
    """Many stars and a long value that nearly fits: no search explodes (the test's time limit would notice)."""
    role = Role(bound_claims_type="glob", bound_claims={"x": "*a" * 30 + "*b"})
    with pytest.raises(InvalidRequest, match="does not match"):
        check_bound_claims({"x": "a" * 20_000}, role)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("/a/b", 1),
        ("/l/0", "x"),
        ("/l/01", None),
        ("/l/-1", None),
        ("/l/9", None),
        ("/s~1h/t~0", 2),
        ("/a/b/c", None),
        ("/", 3),
        ("/a", {"b": 1}),
        ("zz", None),
    ],
)
def test_json_pointer(name: str, found: object) -> None:
    """As RFC 6901 says; what is not there is not there."""
    claims = {"a": {"b": 1}, "l": ["x"], "s/h": {"t~": 2}, "": 3}
    assert find_claim(claims, name) == found
