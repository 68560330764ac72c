"""What clients ask first."""

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import PermissionDenied


@pytest.mark.parametrize("path", ["mounts", "mounts/kv", "namespaces", "resultant-acl"])
def test_bad_token_is_refused(world: World, path: str) -> None:
    """A token that is no good gets nothing, also where no token would."""
    with pytest.raises(PermissionDenied):
        world.read(f"sys/internal/ui/{path}", token="nosuch")


@pytest.mark.parametrize("path", ["mounts/kv", "namespaces", "resultant-acl"])
def test_most_answers_need_a_token(world: World, path: str) -> None:
    """Without a token only the listing of mounts answers."""
    with pytest.raises(PermissionDenied):
        world.read(f"sys/internal/ui/{path}", token=None)


def test_anonymous_listing_shows_open_mounts_in_short(world: World) -> None:
    """Only mounts that say so are seen without a token, with three members."""
    world.write("sys/mounts/open", type="kv", config={"listing_visibility": "unauth"})
    world.write("sys/mounts/closed", type="kv")
    assert world.read("sys/internal/ui/mounts", token=None) == {
        "auth": {},
        "secret": {"open/": {"type": "kv", "description": "", "options": {}}},
    }


def test_listing_of_a_token_shows_what_it_reaches(world: World) -> None:
    """A token sees the mounts below which something is granted; root sees all."""
    for name in ("a", "b", "c"):
        world.write(f"sys/mounts/{name}", type="kv")
    token = world.holder(
        'path "a/deep/x" { capabilities = ["read"] } path "+/y" { capabilities = ["list"] } path "b/*" { capabilities = ["deny"] }'
    )
    assert {"a/", "c/"} <= world.read("sys/internal/ui/mounts", token=token)["secret"].keys()
    everything = world.read("sys/internal/ui/mounts")
    assert {"a/", "b/", "c/", "sys/", "identity/", "cubbyhole/"} == everything["secret"].keys()
    assert everything["auth"].keys() == {"token/"}


def test_preflight_names_the_mount_of_a_path(world: World) -> None:
    """The mount of a path is told to whom it grants something; a missing one is refused alike."""
    world.write("sys/mounts/kv/two", type="kv-v2")
    for path in ("kv/two", "kv/two/deep/er"):
        found = world.read(f"sys/internal/ui/mounts/{path}")
        assert (found["path"], found["options"]) == ("kv/two/", {"version": "2"})
    assert world.read("sys/internal/ui/mounts/auth/token")["path"] == "token/"
    stranger = world.issue("default")
    for path in ("kv/two/x", "nosuch/x"):
        with pytest.raises(PermissionDenied) as refusal:
            world.read(f"sys/internal/ui/mounts/{path}", token=stranger)
        assert str(refusal.value) == (
            f'preflight capability check returned 403, please ensure client\'s policies grant access to path "{path}/"'
        )


def test_resultant_acl_lists_patterns(world: World) -> None:
    """Exact patterns and prefixes are told apart; patterns with a plus have no place here; root is root."""
    assert world.read("sys/internal/ui/resultant-acl") == {"root": True}
    token = world.holder(
        """
        path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }
        path "a/exact" { capabilities = ["read", "create"] }
        path "a/prefix/*" { capabilities = ["list"] }
        path "a/+/x" { capabilities = ["read"] }
        path "a/none/*" { capabilities = ["deny"] }
        """
    )
    data = world.read("sys/internal/ui/resultant-acl", token=token)
    assert data == {
        "root": False,
        "exact_paths": {"sys/internal/ui/resultant-acl": {"capabilities": ["read"]}, "a/exact": {"capabilities": ["create", "read"]}},
        "glob_paths": {"a/prefix/": {"capabilities": ["list"]}, "a/none/": {"capabilities": ["deny"]}},
    }


def test_there_are_no_namespaces(world: World) -> None:
    """Every token may ask; there are none."""
    assert world.read("sys/internal/ui/namespaces", token=world.issue("nothing")) == {}
