"""auth/token: renewal, revocation, uses, bound addresses, batch tokens."""

from __future__ import annotations

from typing import Any

import hvac
import hvac.exceptions
import pytest

from tests.compat.server_process import Server
from tests.compat.wire import Wire

GONE = ["permission denied"]


def create(wire: Wire, **body: Any) -> dict[str, Any]:
    """Create a token, by default with the default policy, and return its `auth`."""
    answer = wire.post("auth/token/create", {"policies": ["default"], **body})
    assert answer.status == 200, answer.body
    made: dict[str, Any] = answer.auth
    return made


def renew_self(wire: Wire, token: str, body: Any) -> Any:
    """Renew by the token itself."""
    return wire.with_token(token).post("auth/token/renew-self", body)


RENEWALS: list[tuple[dict[str, Any], Any, int]] = [
    ({"ttl": "1h"}, None, 3600),
    ({"ttl": "1h"}, {"increment": "30m"}, 1800),
    ({"ttl": "1h"}, {"increment": 60}, 60),
    ({"ttl": "1h"}, {"increment": "90"}, 90),
    ({"ttl": "1h"}, {"increment": "0"}, 3600),
    ({"ttl": "1h"}, {"increment": ""}, 3600),
    ({"ttl": "1h"}, {"increment": "3h"}, 10800),
    ({"ttl": "1h", "explicit_max_ttl": "2h"}, {"increment": "5h"}, 7200),
    ({"period": "1h"}, {"increment": "5h"}, 3600),
    ({"period": "1h"}, {"increment": "5m"}, 3600),
    ({"period": "1h", "explicit_max_ttl": "90m"}, None, 3600),
    ({"ttl": "1h"}, {"increment": "99999h"}, 2764800),
]


@pytest.mark.parametrize(("options", "body", "seconds"), RENEWALS, ids=str)
def test_renewal_gives_the_lifetime_asked_for_within_the_bounds(root: Wire, options: dict[str, Any], body: Any, seconds: int) -> None:
    """renew-self, renew and renew-accessor give the same lifetime."""
    made = create(root, **options)
    token, accessor = made["client_token"], made["accessor"]
    more = body or {}
    answers = (
        root.with_token(token).post("auth/token/renew-self", body),
        root.post("auth/token/renew", {"token": token, **more}),
        root.post("auth/token/renew-accessor", {"accessor": accessor, **more}),
    )
    for answer in answers:
        assert answer.status == 200
        assert abs(answer.auth["lease_duration"] - seconds) <= 2
        assert answer.auth["renewable"] is True
    assert answers[0].auth["client_token"] == answers[1].auth["client_token"] == token
    assert answers[2].auth["client_token"] == ""
    found = root.with_token(token).get("auth/token/lookup-self").data
    assert abs(found["ttl"] - seconds) <= 2
    assert found["last_renewal"]
    assert isinstance(found["last_renewal_time"], int)


REFUSED_RENEWALS: list[tuple[str, dict[str, Any], int, str]] = [
    ("renew", {"token": "nosuch"}, 400, "token not found"),
    ("renew", {}, 400, "missing token ID"),
    ("renew-accessor", {"accessor": "nosuch"}, 400, "invalid accessor"),
    ("renew-accessor", {}, 400, "missing accessor"),
    ("renew-self", {}, 400, "lease is not renewable"),
    ("renew-self", {"increment": "abc"}, 400, ""),
    ("renew-self", {"increment": -5}, 400, ""),
    ("renew-self", {"increment": [1]}, 400, ""),
    ("renew-self", {"increment": True}, 400, ""),
    ("renew-self", {"increment": 9223372036854775807}, 400, ""),
]


@pytest.mark.parametrize(("path", "body", "status", "text"), REFUSED_RENEWALS, ids=str)
def test_bad_renewals_are_refused(root: Wire, path: str, body: dict[str, Any], status: int, text: str) -> None:
    """Unknown subjects, bad increments and the root token cannot be renewed."""
    answer = root.post(f"auth/token/{path}", body)
    assert answer.status == status
    assert text in answer.errors[0]


def test_token_made_not_renewable_stays_so(root: Wire) -> None:
    """renewable=false is refused in every form."""
    made = create(root, renewable=False, ttl="1h")
    assert renew_self(root, made["client_token"], None).errors == ["lease is not renewable"]
    assert root.post("auth/token/renew", {"token": made["client_token"]}).errors == ["lease is not renewable"]


@pytest.mark.parametrize("form", ["revoke", "revoke-self", "revoke-accessor", "revoke-orphan"])
def test_revoked_token_is_refused_at_once(root: Wire, form: str) -> None:
    """Each form of revocation holds for the next requests on every worker."""
    made = create(root)
    token = made["client_token"]
    me = root.with_token(token)
    assert me.get("auth/token/lookup-self").status == 200
    bodies: dict[str, tuple[Wire, dict[str, Any]]] = {
        "revoke": (root, {"token": token}),
        "revoke-self": (me, {}),
        "revoke-accessor": (root, {"accessor": made["accessor"]}),
        "revoke-orphan": (root, {"token": token}),
    }
    sender, body = bodies[form]
    answer = sender.post(f"auth/token/{form}", body)
    assert (answer.status, answer.body) == (204, b"")
    for _ in range(6):
        refused = me.get("auth/token/lookup-self")
        assert (refused.status, refused.errors) == (403, GONE)
    assert root.post("auth/token/lookup", {"token": token}).errors == ["bad token"]
    assert root.post("auth/token/lookup-accessor", {"accessor": made["accessor"]}).status == 400


def test_revoking_a_parent_kills_the_tree(root: Wire, name: str) -> None:
    """Children and grandchildren die with their ancestor; orphans and batch children behave as documented."""
    root.put(f"sys/policies/acl/{name}", {"policy": 'path "auth/token/*" { capabilities = ["create", "update", "sudo"] }'})
    parent = create(root, policies=[name])["client_token"]
    child = create(root.with_token(parent), policies=[name])["client_token"]
    grandchild = create(root.with_token(child))["client_token"]
    orphan = root.with_token(child).post("auth/token/create-orphan").auth["client_token"]
    batch = create(root.with_token(child), type="batch")["client_token"]
    assert root.post("auth/token/revoke", {"token": parent}).status == 204
    for token in (parent, child, grandchild, batch):
        assert root.with_token(token).get("auth/token/lookup-self").status == 403
    assert root.with_token(orphan).get("auth/token/lookup-self").status == 200


def test_revoke_orphan_spares_the_children(root: Wire, name: str) -> None:
    """The children of a token revoked that way are orphans, and live."""
    root.put(f"sys/policies/acl/{name}", {"policy": 'path "auth/token/*" { capabilities = ["create", "update"] }'})
    parent = create(root, policies=[name])["client_token"]
    child = create(root.with_token(parent))["client_token"]
    assert root.post("auth/token/revoke-orphan", {"token": parent}).status == 204
    assert root.with_token(parent).get("auth/token/lookup-self").status == 403
    assert root.with_token(child).get("auth/token/lookup-self").data["orphan"] is True


def test_revoking_what_is_unknown(root: Wire) -> None:
    """An unknown token is no error, an unknown accessor a warning, a missing argument a refusal."""
    assert root.post("auth/token/revoke", {"token": "nosuch"}).status == 204
    answer = root.post("auth/token/revoke-accessor", {"accessor": "nosuch"})
    assert (answer.status, answer.json["warnings"]) == (200, ["No token found with this accessor"])
    assert root.post("auth/token/revoke", {}).errors == ["missing token ID"]
    assert root.post("auth/token/revoke-orphan", {"token": "nosuch"}).errors == ["token to revoke not found"]


@pytest.mark.parametrize("uses", [1, 3])
def test_token_with_uses_works_that_often(root: Wire, uses: int) -> None:
    """Every authenticated request counts, also a denied one."""
    token = create(root, num_uses=uses)["client_token"]
    me = root.with_token(token)
    for left in range(uses - 1, 0, -1):
        assert me.get("auth/token/lookup-self").data["num_uses"] == left
    assert me.get("sys/mounts").status == 403
    for _ in range(6):
        assert me.get("auth/token/lookup-self").errors == GONE


def test_token_with_uses_cannot_have_children(root: Wire, server: Server, name: str) -> None:
    """A use-limited parent is refused, at the last use and before."""
    root.put(f"sys/policies/acl/{name}", {"policy": 'path "auth/token/create" { capabilities = ["update"] }'})
    restricted = "restricted use token cannot generate child tokens"
    for uses, text in ((1, restricted if server.is_ours else "parent token lookup failed: no parent found"), (5, restricted)):
        token = create(root, policies=[name], num_uses=uses)["client_token"]
        answer = root.with_token(token).post("auth/token/create")
        assert (answer.status, answer.errors) == (400, [text])


def test_batch_token_lives_by_its_own_rules(root: Wire) -> None:
    """No accessor, no renewal, no revocation, no cubbyhole."""
    batch = create(root, type="batch", ttl="1h")["client_token"]
    me = root.with_token(batch)
    found = me.get("auth/token/lookup-self").data
    assert (found["accessor"], found["type"], found["renewable"], found["id"]) == ("", "batch", False, batch)
    assert me.post("auth/token/renew-self").errors == ["batch tokens cannot be renewed"]
    assert me.post("auth/token/revoke-self").errors == ["batch tokens cannot be revoked"]
    assert root.post("auth/token/revoke", {"token": batch}).errors == ["batch tokens cannot be revoked"]
    assert me.get("cubbyhole/x").errors == ["cubbyhole operations are only supported by 'service' type tokens"]


@pytest.mark.usefixtures("ours_only")
def test_altered_batch_token_is_refused_like_any_unknown_token(root: Wire) -> None:
    """A shortened, lengthened or altered batch token is a 403; the reference fails on some of them."""
    batch = create(root, type="batch", ttl="1h")["client_token"]
    for altered in (batch[:-2], batch + "A", batch[:-1] + ("A" if batch[-1] != "A" else "B"), "hvb.", batch.upper()):
        refused = root.with_token(altered).get("auth/token/lookup-self")
        assert (refused.status, refused.errors) == (403, GONE)


def test_bound_addresses_of_a_role_are_enforced(root: Wire, name: str) -> None:
    """A token bound to another network is refused from here."""
    root.post(f"auth/token/roles/{name}", {"token_bound_cidrs": ["127.0.0.0/8"]})
    token = root.post(f"auth/token/create/{name}", {"policies": ["default"]}).auth["client_token"]
    found = root.with_token(token).get("auth/token/lookup-self").data
    assert found["bound_cidrs"] == ["127.0.0.0/8"]
    root.post(f"auth/token/roles/{name}", {"token_bound_cidrs": ["10.9.8.0/24"]})
    elsewhere = root.post(f"auth/token/create/{name}", {"policies": ["default"]}).auth["client_token"]
    refused = root.with_token(elsewhere).get("auth/token/lookup-self")
    assert refused.status == 403
    assert "permission denied" in refused.errors[0]


def test_hvac_creates_renews_and_revokes(client: hvac.Client, server: Any) -> None:
    """The client's token methods end to end."""
    made = client.auth.token.create(policies=["default"], ttl="1h", meta={"k": "v"}, num_uses=10)["auth"]
    other = hvac.Client(url=server.url, token=made["client_token"])
    assert other.is_authenticated()
    assert other.auth.token.renew_self(increment="30m")["auth"]["lease_duration"] == 1800
    assert client.auth.token.renew(made["client_token"])["auth"]["client_token"] == made["client_token"]
    assert client.auth.token.renew_accessor(made["accessor"])["auth"]["accessor"] == made["accessor"]
    orphan = client.auth.token.create_orphan(policies=["default"])["auth"]
    assert orphan["orphan"] is True
    client.auth.token.revoke_accessor(orphan["accessor"])
    client.auth.token.revoke_and_orphan_children(client.auth.token.create(policies=["default"])["auth"]["client_token"])
    other.auth.token.revoke_self()
    assert not other.is_authenticated()
    with pytest.raises(hvac.exceptions.Forbidden):
        client.auth.token.lookup(made["client_token"])
