"""Token roles: what they refuse, and that they widen nothing which they do not name."""

from typing import Any

import pytest

from tests.unit.vault.modules.auth.methods.token.test_create import caller, create, refuse
from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest, NotFound


def define(world: World, **fields: Any) -> None:
    """Write the role `r`."""
    world.write("auth/token/roles/r", **fields)


@pytest.mark.parametrize(
    "fields",
    [
        {"allowed_policies": "root"}, {"allowed_policies": ["a", " ROOT"]}, {"allowed_policies": ["\uff52oot"]},
        {"allowed_policies_glob": ["root"]}, {"allowed_policies": ["response-wrapping"]},
        {"token_num_uses": -1}, {"token_num_uses": True}, {"token_num_uses": 0.5}, {"token_num_uses": "x"}, {"token_num_uses": 2**63},
        {"token_period": -1}, {"token_period": "x"}, {"period": -1}, {"token_explicit_max_ttl": -1}, {"explicit_max_ttl": 1e308},
        {"token_bound_cidrs": ["x"]}, {"bound_cidrs": "10.0.0.0/99"}, {"token_type": "x"}, {"token_type": "batch"},
        {"token_type": "batch", "orphan": True}, {"path_suffix": "a/b"}, {"path_suffix": "../x"}, {"path_suffix": "/"},
        {"path_suffix": "é"},
        {"path_suffix": "a\nb"}, {"orphan": "maybe"}, {"renewable": 2}, {"allowed_policies": {"a": 1}},
    ],
)  # fmt: skip
def test_bad_roles_are_not_stored(world: World, fields: dict[str, Any]) -> None:
    """Neither as a new role nor over an old one."""
    for _ in range(2):
        before = dict(world.rows.rows)
        with pytest.raises(InvalidRequest):
            define(world, **fields)
        assert dict(world.rows.rows) == before
        define(world)


def test_role_without_policies_widens_nothing(world: World) -> None:
    """A caller without sudo gets from it no policy that it lacks, the default one included."""
    token = caller(world)
    define(world, orphan=True)
    refuse(world, "subset of parent", token, path="create/r", policies=["other"])
    refuse(world, "subset of parent", token, path="create/r", policies=["default"])
    assert create(world, token, path="create/r").policies == ("maker",)
    assert create(world, token, path="create/r", policies=["maker"]).policies == ("maker",)
    assert create(world, caller(world, sudo=True), path="create/r", policies=["other"]).policies == ("default", "other")


def test_allowed_policies_bound_the_role(world: World) -> None:
    """They are given without being asked for, and nothing else is, whatever the caller has."""
    token = caller(world, "rich")
    define(world, allowed_policies="a,b")
    assert create(world, token, path="create/r").policies == ("a", "b", "default")
    assert create(world, token, path="create/r", policies=["A "]).policies == ("a", "default")
    assert create(world, token, path="create/r", no_default_policy=True).policies == ("a", "b")
    for name in ("rich", "root", "maker", "ab", "a*"):
        refuse(world, "must be subset of the role's allowed policies", token, path="create/r", policies=[name])
    refuse(world, "must be subset", token, path="create/r", policies=["default"], no_default_policy=True)


@pytest.mark.parametrize(
    ("glob", "name", "good"),
    [
        ("dev-*", "dev-a", True),
        ("DEV-*", "dev-a", True),
        ("dev-*", "dev", False),
        ("*", "x", True),
        ("a?c", "abc", False),
        ("[ab]", "a", False),
        ("*-x-*", "a-x-b", True),
        ("a*", "root", False),
    ],
)
def test_globs_know_only_the_star(world: World, glob: str, name: str, good: bool) -> None:
    """In any case of letters."""
    define(world, allowed_policies_glob=[glob])
    token = caller(world)
    if good:
        assert create(world, token, path="create/r", policies=[name]).policies == tuple(sorted({name, "default"}))
    else:
        refuse(world, "must be subset", token, path="create/r", policies=[name])


def test_star_gives_no_root(world: World) -> None:
    """To nobody but root."""
    define(world, allowed_policies_glob="*")
    for token in (caller(world), caller(world, sudo=True)):
        refuse(world, "without parent token being root", token, path="create/r", policies=["root"])


def test_disallowed_policies_win(world: World) -> None:
    """By name and by glob, whatever else is allowed; a disallowed default policy is not added."""
    token = caller(world)
    define(world, allowed_policies_glob="*", disallowed_policies="bad", disallowed_policies_glob=["SECRET-*"])
    for name in ("bad", "BAD", "secret-x"):
        refuse(world, "is disallowed by this role", token, path="create/r", policies=["a", name])
    assert create(world, token, path="create/r", policies=["a"]).policies == ("a", "default")
    define(world, allowed_policies_glob="", disallowed_policies="default", disallowed_policies_glob="")
    assert create(world, token, path="create/r", policies=["a"]).policies == ("a",)
    refuse(world, "disallowed", token, path="create/r", policies=["default"])
    refuse(world, "disallowed", caller(world, "default"), path="create/r")


def test_role_without_default_policy(world: World) -> None:
    """It adds none to what it gives."""
    token = caller(world)
    define(world, allowed_policies="a", token_no_default_policy=True)
    assert create(world, token, path="create/r").policies == ("a",)
    refuse(world, "must be subset", token, path="create/r", policies=["default"])


@pytest.mark.parametrize("fields", [{"period": 60}, {"id": "abc"}])
def test_role_is_no_sudo(world: World, fields: dict[str, Any]) -> None:
    """What needs sudo needs it under a role too."""
    define(world)
    refuse(world, "root or sudo privileges required", caller(world), path="create/r", **fields)


def test_role_decides_about_orphans(world: World) -> None:
    """The caller does not: neither way."""
    define(world)
    assert create(world, caller(world), path="create/r", no_parent=True).orphan is False
    define(world, orphan=True)
    assert create(world, caller(world), path="create/r", no_parent=False).orphan is True


def test_role_limits_times_and_uses(world: World) -> None:
    """The lesser of what the role says and what is asked for."""
    token = caller(world, sudo=True)
    define(world, token_period="60", token_num_uses=3, token_explicit_max_ttl=100)
    made = create(world, token, path="create/r", num_uses=9, period=90)
    assert (made.num_uses, made.lease_duration_seconds) == (3, 60)
    made = create(world, token, path="create/r", num_uses=2, period=30)
    assert (made.num_uses, made.lease_duration_seconds) == (2, 30)
    define(world, token_period=0, token_num_uses=0, renewable=False)
    made = create(world, token, path="create/r", ttl="1h")
    assert (made.num_uses, made.lease_duration_seconds, made.renewable) == (0, 100, False)


@pytest.mark.parametrize(
    ("role_type", "asked", "kind"),
    [
        ("service", "batch", "service"),
        ("default-service", "batch", "batch"),
        ("default-service", "", "service"),
        ("default-batch", "", "batch"),
        ("default-batch", "service", "service"),
    ],
)
def test_role_decides_about_the_kind(world: World, role_type: str, asked: str, kind: str) -> None:
    """A default may be overridden, anything else may not."""
    define(world, token_type=role_type)
    assert create(world, caller(world), path="create/r", type=asked).token_type == kind


def test_batch_tokens_of_a_role_have_no_limit_that_nobody_counts(world: World) -> None:
    """A limit of uses is refused rather than ignored; a period is left out."""
    define(world, token_type="default-batch", token_num_uses=3)
    refuse(world, "batch tokens cannot have", caller(world), path="create/r")
    define(world, token_num_uses=0, token_period=60)
    assert create(world, caller(world), path="create/r").lease_duration_seconds == 768 * 3600


def test_role_binds_addresses_and_names_the_lease(world: World) -> None:
    """As the suffix says."""
    define(world, token_bound_cidrs=["10.0.0.1/8"], path_suffix="suf")
    made = create(world, caller(world), path="create/r")
    found = world.first.tokens.find(world.first.store.read(), made.client_token)
    assert found is not None
    assert (found.bound_cidrs, found.path, found.role) == (("10.0.0.0/8",), "auth/token/create/r/suf", "r")
    assert world.list("sys/leases/lookup/auth/token/create/r") == ("suf/",)


@pytest.mark.parametrize("name", ["nosuch", "R", "r ", "../roles/r", "r/x", "r%2f"])
def test_other_names_are_other_roles(world: World, name: str) -> None:
    """No spelling of a name leads to another role."""
    define(world, allowed_policies_glob="*")
    with pytest.raises(Exception, match=r"unknown role|unsupported path") as refusal:
        create(world, path=f"create/{name}")
    assert "allowed" not in str(refusal.value)


def test_deleted_role_makes_nothing(world: World) -> None:
    """And its tokens are not renewed any more."""
    define(world, allowed_policies="a")
    made = create(world, path="create/r")
    world.delete("auth/token/roles/r")
    with pytest.raises(NotFound):
        world.read("auth/token/roles/r")
    refuse(world, "unknown role", path="create/r")
    with pytest.raises(InvalidRequest, match="cannot be renewed"):
        world.write("auth/token/renew-accessor", accessor=made.accessor)


def test_role_keeps_what_is_not_given(world: World) -> None:
    """And is read back as it was written, older names included."""
    define(world, allowed_policies="b,a", period="1h")
    define(world, orphan=True)
    role = world.read("auth/token/roles/r")
    assert (role["allowed_policies"], role["token_period"], role["period"], role["orphan"]) == (("a", "b"), 3600, 3600, True)
    assert world.list("auth/token/roles") == ("r",)
