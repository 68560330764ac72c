"""sys/leases: what token leases show of lookup, list, renew, revoke, prefix, force, tidy, count."""

from __future__ import annotations

from typing import Any

import hvac
import hvac.exceptions
import pytest

from tests.compat.command import Command
from tests.compat.conftest import Holder
from tests.compat.wire import Wire

LIST_ALL = 'path "sys/leases/lookup/*" { capabilities = ["list", "sudo"] }'


@pytest.fixture
def leased(root: Wire, name: str) -> dict[str, Any]:
    """Return the `auth` of a token whose lease lies below its own role."""
    root.post(f"auth/token/roles/{name}", {})
    answer = root.post(f"auth/token/create/{name}", {"policies": ["default"], "ttl": "1h"})
    made: dict[str, Any] = answer.auth
    return {**made, "prefix": f"auth/token/create/{name}"}


def lease_id(root: Wire, prefix: str) -> str:
    """Return the id of the only lease below a prefix."""
    (key,) = root.list(f"sys/leases/lookup/{prefix}").data["keys"]
    return f"{prefix}/{key}"


def test_leases_are_listed_by_folder(root: Wire, leased: dict[str, Any]) -> None:
    """Each level lists its children, folders with a slash; an empty prefix is a 404."""
    assert "auth/" in root.list("sys/leases/lookup/").data["keys"]
    assert "token/" in root.list("sys/leases/lookup/auth/").data["keys"]
    assert "create/" in root.list("sys/leases/lookup/auth/token").data["keys"]
    assert len(root.list(f"sys/leases/lookup/{leased['prefix']}").data["keys"]) == 1
    assert root.list("sys/leases/lookup/nosuch").json == {"errors": []}


def test_lookup_tells_the_lease(root: Wire, leased: dict[str, Any], client: hvac.Client) -> None:
    """A lease has times, lifetime and whether it is renewable."""
    found = client.sys.read_lease(lease_id(root, leased["prefix"]))["data"]
    assert found["id"] == lease_id(root, leased["prefix"])
    assert found["issue_time"]
    assert found["expire_time"]
    assert 3590 <= found["ttl"] <= 3600
    assert found["last_renewal"] is None
    assert (found["renewable"], found["path"]) == (True, leased["prefix"])


def test_token_lease_is_renewed_through_the_token_only(root: Wire, leased: dict[str, Any]) -> None:
    """The lease path refuses; after a renewal of the token the lease tells it."""
    identifier = lease_id(root, leased["prefix"])
    refused = root.put("sys/leases/renew", {"lease_id": identifier, "increment": 60})
    assert (refused.status, refused.errors) == (400, ["tokens cannot be renewed through this endpoint"])
    root.post("auth/token/renew", {"token": leased["client_token"], "increment": 60})
    found = root.put("sys/leases/lookup", {"lease_id": identifier}).data
    assert found["last_renewal"]
    assert found["ttl"] <= 60


REFUSALS: list[tuple[str, dict[str, Any], str]] = [
    ("lookup", {"lease_id": "nosuch"}, "invalid lease"),
    ("lookup", {"lease_id": "a/b/c"}, "invalid lease"),
    ("lookup", {"lease_id": ""}, "lease_id must be specified"),
    ("lookup", {}, "lease_id must be specified"),
    ("renew", {"lease_id": "nosuch"}, "lease not found"),
    ("renew", {}, "lease_id must be specified"),
    ("renew", {"lease_id": "x", "increment": "abc"}, ""),
    ("renew", {"lease_id": "x", "increment": -1}, ""),
    ("revoke", {}, "lease_id must be specified"),
    ("revoke", {"lease_id": "x", "sync": "maybe"}, ""),
]


@pytest.mark.parametrize(("verb", "body", "text"), REFUSALS, ids=str)
def test_bad_lease_requests_are_refused(root: Wire, verb: str, body: dict[str, Any], text: str) -> None:
    """Missing and unknown ids are a 400 with a reason."""
    answer = root.put(f"sys/leases/{verb}", body)
    assert answer.status == 400
    assert text in answer.errors[0]


def test_unknown_lease_can_be_revoked_without_error(root: Wire) -> None:
    """Revocation of what is not there is done."""
    for path, body in (
        ("revoke", {"lease_id": "nosuch"}),
        ("revoke/nosuch", None),
        ("revoke-prefix/nosuch", None),
        ("revoke-force/nosuch", None),
    ):
        assert root.put(f"sys/leases/{path}", body).status == 204, path


def test_revoking_a_prefix_kills_what_is_below(root: Wire, leased: dict[str, Any]) -> None:
    """Tokens whose lease lies below the prefix are refused at once."""
    assert root.with_token(leased["client_token"]).get("auth/token/lookup-self").status == 200
    assert root.put(f"sys/leases/revoke-prefix/{leased['prefix']}", {"sync": True}).status == 204
    assert root.with_token(leased["client_token"]).get("auth/token/lookup-self").status == 403
    assert root.list(f"sys/leases/lookup/{leased['prefix']}").status == 404


def test_revoking_with_force_kills_what_is_below(root: Wire, leased: dict[str, Any]) -> None:
    """revoke-force does the same and ignores errors of the engine."""
    assert root.put(f"sys/leases/revoke-force/{leased['prefix']}").status == 204
    assert root.with_token(leased["client_token"]).get("auth/token/lookup-self").status == 403


def test_revoking_the_lease_revokes_the_token(root: Wire, leased: dict[str, Any]) -> None:
    """The lease of a token and the token are one."""
    identifier = lease_id(root, leased["prefix"])
    assert root.put("sys/leases/revoke", {"lease_id": identifier, "sync": True}).status == 204
    assert root.with_token(leased["client_token"]).get("auth/token/lookup-self").status == 403
    assert root.put("sys/leases/lookup", {"lease_id": identifier}).errors == ["invalid lease"]


def test_count_and_irrevocable_lists(root: Wire) -> None:
    """Both know only type=irrevocable, and nothing is irrevocable here."""
    assert root.get("sys/leases/count?type=irrevocable").data == {"lease_count": 0, "counts": {}}
    assert root.get("sys/leases?type=irrevocable").data == {"lease_count": 0, "leases": []}
    assert root.get("sys/leases/count").status == 404
    assert root.get("sys/leases").status == 404


def test_tidy_starts_in_the_background(root: Wire) -> None:
    """Tidy answers 202 with a warning."""
    answer = root.put("sys/leases/tidy")
    assert (answer.status, bool(answer.json["warnings"])) == (202, True)


def test_lease_paths_need_their_rights(root: Wire, holder: Holder, leased: dict[str, Any]) -> None:
    """The default policy looks up and renews; listing and prefixes need sudo; old aliases are gone."""
    me = root.with_token(leased["client_token"])
    assert me.put("sys/leases/lookup", {"lease_id": "nosuch"}).status == 400
    assert me.put("sys/leases/revoke", {"lease_id": "nosuch"}).status == 403
    assert me.list("sys/leases/lookup/").status == 403
    assert holder(LIST_ALL.replace(', "sudo"', "")).list("sys/leases/lookup/auth/").status == 403
    assert holder(LIST_ALL).list("sys/leases/lookup/auth/").status == 200
    for alias in ("renew", "revoke", "revoke-prefix/x", "revoke-force/x"):
        assert root.put(f"sys/{alias}", {"lease_id": "x"}).status == 404


def test_hvac_and_the_command_handle_leases(client: hvac.Client, cli: Command, leased: dict[str, Any], root: Wire) -> None:
    """Both clients list, look up and revoke."""
    prefix = leased["prefix"]
    assert len(client.sys.list_leases(prefix)["data"]["keys"]) == 1
    with pytest.raises(hvac.exceptions.InvalidRequest):
        client.sys.renew_lease("nosuch")
    assert cli.json("lease", "lookup", lease_id(root, prefix))["data"]["id"] == lease_id(root, prefix)
    for words, text in ((("lookup", "nosuch"), "invalid lease"), (("renew", "nosuch"), "lease not found")):
        done = cli.run("lease", *words)
        assert (done.code, text in done.err) == (2, True)
    cli.run("lease", "revoke", "nosuch").ok()
    cli.run("lease", "revoke", "-prefix", "-sync", prefix).ok()
    assert root.with_token(leased["client_token"]).get("auth/token/lookup-self").status == 403
    client.sys.revoke_prefix("nosuch")
    client.sys.revoke_lease("nosuch")
