"""auth/token/roles and creation by role."""

from __future__ import annotations

from typing import Any

import hvac
import hvac.exceptions
import pytest

from tests.compat.wire import Wire

DEFAULTS: dict[str, Any] = {
    "allowed_entity_aliases": None,
    "allowed_policies": [],
    "allowed_policies_glob": [],
    "disallowed_policies": [],
    "disallowed_policies_glob": [],
    "explicit_max_ttl": 0,
    "orphan": False,
    "path_suffix": "",
    "period": 0,
    "renewable": True,
    "token_explicit_max_ttl": 0,
    "token_no_default_policy": False,
    "token_period": 0,
    "token_type": "default-service",
}


def test_role_has_its_defaults_and_keeps_what_is_set(root: Wire, name: str) -> None:
    """An empty role shows all defaults; an update changes only what it names; the name keeps its case."""
    path = f"auth/token/roles/{name}"
    assert root.get(path).status == 404
    assert root.post(path, {}).status == 204
    assert root.get(path).data == {**DEFAULTS, "name": name}
    root.post(path, {"allowed_policies": "a,b", "token_period": "1h", "token_num_uses": 3, "token_bound_cidrs": ["10.0.0.0/8"]})
    root.post(path, {"orphan": True, "path_suffix": "suffix"})
    role = root.get(path).data
    assert role["allowed_policies"] == ["a", "b"]
    assert (role["token_period"], role["orphan"], role["path_suffix"]) == (3600, True, "suffix")
    assert (role["token_num_uses"], role["token_bound_cidrs"]) == (3, ["10.0.0.0/8"])
    assert name in root.list("auth/token/roles").data["keys"]
    assert root.get(path.replace(name, name.upper())).status == 404
    assert root.delete(path).status == 204
    assert root.delete(path).status == 204
    assert root.get(path).status == 404


# fields of the role, body of the creation, what `auth` says or the text of the refusal
BY_ROLE: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any] | str]] = [
    ({"allowed_policies": ["a"]}, {}, {"policies": ["a", "default"]}),
    ({"allowed_policies": ["a"]}, {"policies": ["a"]}, {"policies": ["a", "default"]}),
    ({"allowed_policies": ["a"]}, {"policies": ["b"]}, "must be subset of the role's allowed policies"),
    ({"allowed_policies": ["a"]}, {"policies": ["root"]}, "must be subset of the role's allowed policies"),
    ({"allowed_policies_glob": ["dev-*"]}, {"policies": ["dev-x"]}, {"policies": ["default", "dev-x"]}),
    ({"allowed_policies_glob": ["dev-*"]}, {"policies": ["ops"]}, "must be subset of the role's allowed policies"),
    ({"disallowed_policies": ["no"]}, {"policies": ["no"]}, 'token policy "no" is disallowed by this role'),
    ({"disallowed_policies_glob": ["n*"]}, {"policies": ["no"]}, 'token policy "no" is disallowed by this role'),
    ({"orphan": True}, {"policies": ["a"]}, {"orphan": True}),
    ({"orphan": False}, {"policies": ["a"]}, {"orphan": False}),
    ({"renewable": False}, {"policies": ["a"]}, {"renewable": False}),
    ({"token_period": "1h"}, {"policies": ["a"]}, {"lease_duration": 3600}),
    ({"token_explicit_max_ttl": "3h"}, {"policies": ["a"], "ttl": "99h"}, {"lease_duration": 10800}),
    ({"token_num_uses": 4}, {"policies": ["a"]}, {"num_uses": 4}),
    ({"token_type": "batch", "orphan": True, "renewable": False}, {"policies": ["a"]}, {"token_type": "batch", "accessor": ""}),
    ({"token_type": "default-batch"}, {"policies": ["a"]}, {"token_type": "batch"}),
    ({"token_type": "service"}, {"policies": ["a"], "type": "batch"}, {"token_type": "service"}),
    ({}, {"policies": ["a"], "entity_alias": "x"}, "invalid 'entity_alias' value"),
]


@pytest.mark.parametrize(("role", "body", "expected"), BY_ROLE, ids=str)
def test_creation_by_role_follows_the_role(
    root: Wire, name: str, role: dict[str, Any], body: dict[str, Any], expected: dict[str, Any] | str
) -> None:
    """The role decides policies, kind, lifetime and uses."""
    assert root.post(f"auth/token/roles/{name}", role).status == 204
    answer = root.post(f"auth/token/create/{name}", body)
    if isinstance(expected, str):
        assert answer.status == 400, answer.body
        assert expected in answer.errors[0]
        return
    assert answer.status == 200, answer.body
    assert {key: answer.auth[key] for key in expected} == expected
    found = root.post("auth/token/lookup", {"token": answer.auth["client_token"]}).data
    assert found["role"] == name
    assert found["path"] == f"auth/token/create/{name}"


def test_path_suffix_ends_the_token_path(root: Wire, name: str) -> None:
    """The suffix follows the role's name in the path, so that leases can be revoked by it."""
    root.post(f"auth/token/roles/{name}", {"path_suffix": "suf"})
    token = root.post(f"auth/token/create/{name}", {"policies": ["a"]}).auth["client_token"]
    assert root.post("auth/token/lookup", {"token": token}).data["path"] == f"auth/token/create/{name}/suf"


def test_deleting_a_role_keeps_its_tokens_until_renewal(root: Wire, name: str) -> None:
    """A token outlives its role but cannot be renewed."""
    root.post(f"auth/token/roles/{name}", {})
    token = root.post(f"auth/token/create/{name}", {"policies": ["default"], "ttl": "1h"}).auth["client_token"]
    root.delete(f"auth/token/roles/{name}")
    me = root.with_token(token)
    assert me.get("auth/token/lookup-self").status == 200
    assert me.post("auth/token/renew-self").status >= 400


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"token_type": "nosuch"}, "invalid 'token_type' value"),
    ({"token_type": "batch"}, "'token_type' cannot be 'batch' when role is set to generate non-orphan tokens"),
    ({"path_suffix": "a/b"}, "given role path suffix contains invalid characters"),
    ({"token_bound_cidrs": ["x"]}, "error parsing"),
    ({"token_period": "x"}, ""),
    ({"token_period": -5}, ""),
    ({"token_explicit_max_ttl": "x"}, ""),
    ({"token_num_uses": -5}, "'token_num_uses' cannot be negative"),
    ({"token_num_uses": "x"}, ""),
    ({"orphan": "x"}, ""),
]


@pytest.mark.parametrize(("body", "text"), REFUSED, ids=str)
def test_bad_roles_are_refused_and_not_stored(root: Wire, name: str, body: dict[str, Any], text: str) -> None:
    """A bad field is a 400 with a reason."""
    answer = root.post(f"auth/token/roles/{name}", body)
    assert answer.status == 400
    assert text in answer.errors[0]
    assert root.get(f"auth/token/roles/{name}").status == 404


def test_unknown_role_is_refused(root: Wire) -> None:
    """Creation by a role that does not exist."""
    assert root.post("auth/token/create/nosuch").errors == ["unknown role nosuch"]


def test_hvac_manages_roles(client: hvac.Client, name: str) -> None:
    """The client's role methods end to end."""
    client.auth.token.create_or_update_role(name, allowed_policies="a,b", orphan=True, renewable=False, token_period="1h")
    assert client.auth.token.read_role(name)["data"]["allowed_policies"] == ["a", "b"]
    assert name in client.auth.token.list_roles()["data"]["keys"]
    assert client.auth.token.create(role_name=name, policies=["a"])["auth"]["orphan"] is True
    client.auth.token.delete_role(name)
    with pytest.raises(hvac.exceptions.InvalidPath):
        client.auth.token.read_role(name)
