"""Each clause of the ACL language, decided by real requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.compat.conftest import Holder
from tests.compat.wire import Wire

ALLOWED, DENIED = True, False
DENIAL = ["1 error occurred:\n\t* permission denied\n\n"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One request under a policy and whether the policy lets it through; `M` in the path stands for the mount."""

    method: str
    path: str
    allowed: bool
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)


def go(method: str, path: str, allowed: bool, body: Any = None, **headers: str) -> Attempt:
    """Build an attempt."""
    return Attempt(method=method, path=path, allowed=allowed, body=body, headers={k.replace("_", "-"): v for k, v in headers.items()})


V = {"k": "v"}
CLAUSES: dict[str, tuple[str, tuple[Attempt, ...]]] = {
    "exact path": (
        'path "M/a" { capabilities = ["read"] }',
        (
            go("GET", "M/a", ALLOWED),
            go("GET", "M/ab", DENIED),
            go("GET", "M/a/b", DENIED),
            go("PUT", "M/a", DENIED, V),
            go("DELETE", "M/a", DENIED),
        ),
    ),
    "trailing star": (
        'path "M/a*" { capabilities = ["read"] }',
        (go("GET", "M/a", ALLOWED), go("GET", "M/ab", ALLOWED), go("GET", "M/a/b", ALLOWED), go("GET", "M/b", DENIED)),
    ),
    "folder star": (
        'path "M/a/*" { capabilities = ["read"] }',
        (go("GET", "M/a/b", ALLOWED), go("GET", "M/a/b/c", ALLOWED), go("GET", "M/a", DENIED), go("GET", "M/ab", DENIED)),
    ),
    "one segment": (
        'path "M/+/x" { capabilities = ["read"] }',
        (
            go("GET", "M/a/x", ALLOWED),
            go("GET", "M/b/x", ALLOWED),
            go("GET", "M/a/b/x", DENIED),
            go("GET", "M/a/y", DENIED),
            go("GET", "M/x", DENIED),
        ),
    ),
    "segment and star": (
        'path "M/+/x/*" { capabilities = ["read"] }',
        (go("GET", "M/a/x/y", ALLOWED), go("GET", "M/a/x/y/z", ALLOWED), go("GET", "M/a/x", DENIED), go("GET", "M/a/b/x/y", DENIED)),
    ),
    "exact beats glob": (
        'path "M/*" { capabilities = ["read"] } path "M/a" { capabilities = ["list"] }',
        (go("GET", "M/b", ALLOWED), go("GET", "M/a", DENIED)),
    ),
    "longer glob beats shorter": (
        'path "M/*" { capabilities = ["read"] } path "M/a/*" { capabilities = ["list"] }',
        (go("GET", "M/b/x", ALLOWED), go("GET", "M/a/x", DENIED)),
    ),
    "later wildcard beats earlier": (
        'path "M/+/x" { capabilities = ["list"] } path "M/a/*" { capabilities = ["read"] }',
        (go("GET", "M/a/x", ALLOWED), go("GET", "M/b/x", DENIED)),
    ),
    "no star beats star at the same wildcard": (
        'path "M/+/x" { capabilities = ["read"] } path "M/+/*" { capabilities = ["deny"] }',
        (go("GET", "M/a/x", ALLOWED), go("GET", "M/a/y", DENIED)),
    ),
    "deny beats everything on the same path": (
        'path "M/a" { capabilities = ["read", "deny"] } path "M/*" { capabilities = ["read"] }',
        (go("GET", "M/a", DENIED), go("GET", "M/b", ALLOWED)),
    ),
    "same path twice is a union": (
        'path "M/a" { capabilities = ["read"] } path "M/a" { capabilities = ["update"] }',
        (go("GET", "M/a", ALLOWED), go("PUT", "M/a", ALLOWED, V)),
    ),
    "create is not update": (
        'path "M/*" { capabilities = ["create"] }',
        (go("PUT", "M/new", ALLOWED, V), go("PUT", "M/new", DENIED, V), go("GET", "M/new", DENIED)),
    ),
    "update is not create": (
        'path "M/*" { capabilities = ["update"] }',
        (go("PUT", "M/new", DENIED, V), go("PUT", "M/a", ALLOWED, V)),
    ),
    "delete": (
        'path "M/*" { capabilities = ["delete"] }',
        (go("DELETE", "M/a", ALLOWED), go("GET", "M/a", DENIED), go("PUT", "M/a", DENIED, V)),
    ),
    "list needs list, in each form": (
        'path "M/*" { capabilities = ["list"] }',
        (
            go("LIST", "M/", ALLOWED),
            go("GET", "M/?list=true", ALLOWED),
            go("LIST", "M/d", ALLOWED),
            go("LIST", "M/d/", ALLOWED),
            go("GET", "M/a", DENIED),
        ),
    ),
    "read is not list": (
        'path "M/*" { capabilities = ["read"] }',
        (
            go("LIST", "M/", DENIED),
            go("GET", "M/?list=true", DENIED),
            go("GET", "M/?list=1", DENIED),
            go("LIST", "M/d", DENIED),
            go("GET", "M/d/x", ALLOWED),
        ),
    ),
    "list granted with a trailing slash": (
        'path "M/d/" { capabilities = ["list"] }',
        (go("LIST", "M/d/", ALLOWED), go("LIST", "M/d", ALLOWED), go("LIST", "M/", DENIED)),
    ),
    "list granted without a trailing slash": (
        'path "M/d" { capabilities = ["list"] }',
        (go("LIST", "M/d", ALLOWED), go("LIST", "M/d/", ALLOWED)),
    ),
    "deny of a folder beats list of its parent": (
        'path "M/*" { capabilities = ["list"] } path "M/d/*" { capabilities = ["deny"] }',
        (
            go("LIST", "M/", ALLOWED),
            go("LIST", "M/d/", DENIED),
            go("LIST", "M/d", DENIED),
            go("GET", "M/d?list=true", DENIED),
            go("GET", "M/d/?list=true", DENIED),
        ),
    ),
    "allowed parameters": (
        'path "M/*" { capabilities = ["create", "update"] allowed_parameters = { "k" = ["v", "w*"] "free" = [] } }',
        (
            go("PUT", "M/a", ALLOWED, {"k": "v"}),
            go("PUT", "M/a", ALLOWED, {"k": "wide"}),
            go("PUT", "M/a", ALLOWED, {"free": "x"}),
            go("PUT", "M/a", DENIED, {"k": "x"}),
            go("PUT", "M/a", DENIED, {"k": "v", "other": 1}),
            go("PUT", "M/a", DENIED, {"other": 1}),
        ),
    ),
    "allowed parameters with a star": (
        'path "M/*" { capabilities = ["create", "update"] allowed_parameters = { "k" = ["v"] "*" = [] } }',
        (go("PUT", "M/a", ALLOWED, {"other": 1}), go("PUT", "M/a", ALLOWED, {"k": "v"}), go("PUT", "M/a", DENIED, {"k": "x"})),
    ),
    "denied parameters": (
        'path "M/*" { capabilities = ["create", "update"] denied_parameters = { "bad" = [] "k" = ["x", "*y"] } }',
        (
            go("PUT", "M/a", ALLOWED, {"k": "v"}),
            go("PUT", "M/a", DENIED, {"bad": 1}),
            go("PUT", "M/a", DENIED, {"k": "x"}),
            go("PUT", "M/a", DENIED, {"k": "my"}),
            go("PUT", "M/a", ALLOWED, {"other": "x"}),
        ),
    ),
    "denied beats allowed": (
        'path "M/*" { capabilities = ["create", "update"] allowed_parameters = { "*" = [] } denied_parameters = { "bad" = [] } }',
        (go("PUT", "M/a", ALLOWED, {"k": 1}), go("PUT", "M/a", DENIED, {"k": 1, "bad": 1})),
    ),
    "deny every parameter": (
        'path "M/*" { capabilities = ["create", "update"] denied_parameters = { "*" = [] } }',
        (go("PUT", "M/a", DENIED, {"k": 1}),),
    ),
    "required parameters": (
        'path "M/*" { capabilities = ["create", "update"] required_parameters = ["one", "two"] }',
        (go("PUT", "M/a", ALLOWED, {"one": 1, "two": 2, "three": 3}), go("PUT", "M/a", DENIED, {"one": 1}), go("PUT", "M/a", DENIED, {})),
    ),
    "wrapping bounds": (
        'path "M/*" { capabilities = ["read"] min_wrapping_ttl = "1m" max_wrapping_ttl = "10m" }',
        (
            go("GET", "M/a", DENIED),
            go("GET", "M/a", DENIED, X_Vault_Wrap_TTL="30"),
            go("GET", "M/a", DENIED, X_Vault_Wrap_TTL="11m"),
            go("GET", "M/a", ALLOWED, X_Vault_Wrap_TTL="1m"),
            go("GET", "M/a", ALLOWED, X_Vault_Wrap_TTL="10m"),
        ),
    ),
    "maximum wrapping time alone": (
        'path "M/*" { capabilities = ["read"] max_wrapping_ttl = "10m" }',
        (go("GET", "M/a", ALLOWED, X_Vault_Wrap_TTL="5m"), go("GET", "M/a", DENIED, X_Vault_Wrap_TTL="11m")),
    ),
    "old form": (
        'path "M/r" { policy = "read" } path "M/w/*" { policy = "write" } path "M/d/*" { policy = "deny" }',
        (
            go("GET", "M/r", ALLOWED),
            go("PUT", "M/r", DENIED, V),
            go("PUT", "M/w/x", ALLOWED, V),
            go("DELETE", "M/w/x", ALLOWED),
            go("GET", "M/d/x", DENIED),
        ),
    ),
    "expired rule": (
        'path "M/*" { capabilities = ["read"] expiration = "2001-01-01T00:00:00Z" }',
        (go("GET", "M/a", DENIED),),
    ),
    "rule that expires later": (
        'path "M/*" { capabilities = ["read"] expiration = "2099-01-01T00:00:00Z" }',
        (go("GET", "M/a", ALLOWED),),
    ),
    "sudo paths need sudo even under a star": (
        'path "*" { capabilities = ["create", "read", "update", "delete", "list"] }',
        (
            go("GET", "sys/mounts", ALLOWED),
            go("LIST", "auth/token/accessors", DENIED),
            go("GET", "sys/audit", DENIED),
            go("PUT", "sys/seal", DENIED),
            go("PUT", "sys/leases/revoke-prefix/nosuch", DENIED),
            go("PUT", "sys/remount", DENIED, {}),
            go("PUT", "sys/auth/nosuch", DENIED, {"type": "x"}),
        ),
    ),
    "sudo": (
        'path "auth/token/accessors/*" { capabilities = ["list", "sudo"] } path "sys/audit" { capabilities = ["read", "sudo"] }',
        (go("LIST", "auth/token/accessors", ALLOWED), go("GET", "sys/audit", ALLOWED)),
    ),
}


@pytest.mark.parametrize("clause", CLAUSES)
def test_clause_decides_requests(root: Wire, holder: Holder, kv1: str, clause: str) -> None:
    """Each clause lets through and refuses exactly what it says."""
    for path in ("a", "ab", "b", "a/b", "a/x", "a/y", "b/x", "a/x/y", "d/x", "r", "w/x"):
        root.put(f"{kv1}/{path}", {"k": "v"})
    policy, attempts = CLAUSES[clause]
    sender = holder(policy.replace("M/", f"{kv1}/"))
    for attempt in attempts:
        answer = sender.send(attempt.method, attempt.path.replace("M/", f"{kv1}/"), attempt.body, attempt.headers)
        if attempt.allowed:
            assert answer.status != 403, attempt
        else:
            assert (answer.status, answer.errors) == (403, DENIAL), attempt


def test_deny_in_one_policy_beats_another_policy(root: Wire, kv1: str, name: str) -> None:
    """A token with several policies has their union, except where one denies."""
    root.put(f"sys/policies/acl/{name}-a", {"policy": f'path "{kv1}/*" {{ capabilities = ["create", "read"] }}'})
    root.put(f"sys/policies/acl/{name}-b", {"policy": f'path "{kv1}/no" {{ capabilities = ["deny"] }}'})
    root.put(f"sys/policies/acl/{name}-c", {"policy": f'path "{kv1}/*" {{ capabilities = ["update"] }}'})
    token = root.post("auth/token/create", {"policies": [f"{name}-{x}" for x in "abc"]}).auth["client_token"]
    sender = root.with_token(token)
    assert sender.put(f"{kv1}/x", V).status == 204
    assert sender.put(f"{kv1}/x", V).status == 204
    assert sender.get(f"{kv1}/x").status == 200
    assert sender.get(f"{kv1}/no").status == 403
    for each in "abc":
        root.delete(f"sys/policies/acl/{name}-{each}")


def test_policy_change_holds_for_the_next_request(root: Wire, holder: Holder, kv1: str, name: str) -> None:
    """Writing or deleting a policy changes what its tokens may do, on every worker, at once."""
    sender = holder(f'path "{kv1}/*" {{ capabilities = ["create", "read"] }}')
    policy = f"{name}-0"
    assert sender.put(f"{kv1}/a", V).status == 204
    for capability, status in (("list", 403), ("read", 200), ("deny", 403), ("read", 200)) * 5:
        root.put(f"sys/policies/acl/{policy}", {"policy": f'path "{kv1}/*" {{ capabilities = ["{capability}"] }}'})
        assert [sender.get(f"{kv1}/a").status for _ in range(4)] == [status] * 4
    root.delete(f"sys/policies/acl/{policy}")
    assert [sender.get(f"{kv1}/a").status for _ in range(4)] == [403] * 4


def test_patch_needs_patch(root: Wire, holder: Holder, kv2: str) -> None:
    """PATCH is its own capability; update does not give it, and it does not give update."""
    root.put(f"{kv2}/data/a", {"data": V})
    patcher = holder(f'path "{kv2}/data/*" {{ capabilities = ["patch"] }}')
    updater = holder(f'path "{kv2}/data/*" {{ capabilities = ["create", "update"] }}')
    assert patcher.patch(f"{kv2}/data/a", {"data": {"x": 1}}).status == 200
    assert patcher.put(f"{kv2}/data/a", {"data": {"x": 1}}).status == 403
    assert updater.patch(f"{kv2}/data/a", {"data": {"x": 1}}).status == 403
    assert updater.put(f"{kv2}/data/a", {"data": {"x": 1}}).status == 200


def test_default_policy_grants_what_every_client_relies_on(root: Wire) -> None:
    """A token with the default policy may look after itself, its cubbyhole and wrapped answers."""
    me = root.with_token(root.post("auth/token/create", {"policies": ["default"]}).auth["client_token"])
    assert me.get("auth/token/lookup-self").status == 200
    assert me.post("auth/token/renew-self").status == 200
    assert me.post("sys/capabilities-self", {"paths": ["secret/x"]}).status == 200
    assert me.put("cubbyhole/a", V).status == 204
    assert me.get("cubbyhole/a").status == 200
    assert me.list("cubbyhole").status == 200
    assert me.get("sys/internal/ui/resultant-acl").status == 200
    assert me.put("sys/tools/hash", {"input": "aGk="}).status == 200
    wrapped = me.post("sys/wrapping/wrap", V, X_Vault_Wrap_TTL="60")
    assert me.post("sys/wrapping/unwrap", {"token": wrapped.json["wrap_info"]["token"]}).data == V
    assert me.put("sys/leases/lookup", {"lease_id": "x"}).status == 400
    assert me.get("secret/data/x").status == 403
    assert me.post("auth/token/revoke-self").status == 204
    assert me.get("auth/token/lookup-self").errors == ["permission denied"]
