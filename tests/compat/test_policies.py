"""sys/policy and sys/policies/acl: forms, names, protection, listing."""

from __future__ import annotations

import base64

import hvac
import hvac.exceptions
import pytest

from tests.compat.wire import Wire

READ = 'path "secret/*" { capabilities = ["read"] }'
READ_JSON = '{"path": {"secret/*": {"capabilities": ["read"]}}}'
BAD_TEXTS = [
    "path",
    'path "a" {',
    'path "a" { capabilities = ["fly"] }',
    'path "a" { capabilities = "read" }',
    'path "a" { policy = "nosuch" }',
    'path "a" { surplus = 1 }',
    'path "a/+*" { capabilities = ["read"] }',
    "surplus = 1",
    '{"path": {"a": {"capabilities": "read"}}}',
    "%%%",
    'path "a" { min_wrapping_ttl = "5m" max_wrapping_ttl = "1m" capabilities = ["read"] }',
    'path "a" { min_wrapping_ttl = "x" capabilities = ["read"] }',
    'path "a" { allowed_parameters = "x" capabilities = ["read"] }',
    'path "a" { expiration = "x" capabilities = ["read"] }',
]


@pytest.mark.parametrize("text", [READ, READ_JSON, base64.b64encode(READ.encode()).decode()], ids=["hcl", "json", "base64"])
def test_policy_is_stored_in_each_form(root: Wire, name: str, text: str) -> None:
    """HCL, JSON and base64 of either are accepted; both addresses show the same text."""
    assert root.put(f"sys/policies/acl/{name}", {"policy": text}).status == 204
    shown = root.get(f"sys/policies/acl/{name}").data
    plain = READ if text not in (READ, READ_JSON) else text
    assert (shown["name"], shown["policy"]) == (name, plain)
    old = root.get(f"sys/policy/{name}").json
    assert old["rules"] == old["data"]["rules"] == plain
    assert old["name"] == name
    assert root.delete(f"sys/policies/acl/{name}").status == 204
    assert root.get(f"sys/policies/acl/{name}").status == 404


def test_hvac_writes_lists_reads_and_deletes(client: hvac.Client, name: str) -> None:
    """The client's two families of methods see the same policies."""
    client.sys.create_or_update_policy(name, READ)
    assert name in client.sys.list_policies()["data"]["policies"]
    assert client.sys.read_policy(name)["data"]["rules"] == READ
    client.sys.create_or_update_acl_policy(name, {"path": {"x": {"capabilities": ["list"]}}})
    assert name in client.sys.list_acl_policies()["data"]["keys"]
    assert '"list"' in client.sys.read_acl_policy(name)["data"]["policy"]
    client.sys.delete_acl_policy(name)
    with pytest.raises(hvac.exceptions.InvalidPath):
        client.sys.read_acl_policy(name)
    client.sys.delete_policy(name)


def test_policy_names_ignore_case(root: Wire, name: str) -> None:
    """Names are stored in lower case and found in any."""
    assert root.put(f"sys/policies/acl/{name.upper()}", {"policy": READ}).status == 204
    assert root.get(f"sys/policies/acl/{name.title()}").data["name"] == name
    assert name in root.list("sys/policies/acl").data["keys"]
    assert root.delete(f"sys/policies/acl/{name.upper()}").status == 204
    assert root.get(f"sys/policies/acl/{name}").status == 404


@pytest.mark.parametrize("text", BAD_TEXTS)
def test_bad_policy_text_is_refused_and_not_stored(root: Wire, name: str, text: str) -> None:
    """A text that does not parse is a 400 that says so."""
    answer = root.put(f"sys/policies/acl/{name}", {"policy": text})
    assert answer.status == 400
    assert answer.errors[0].startswith("failed to parse policy")
    assert root.get(f"sys/policies/acl/{name}").status == 404


@pytest.mark.parametrize("body", [{}, {"policy": ""}, {"policy": None}, {"rules": READ}], ids=str)
def test_missing_policy_text_is_refused(root: Wire, name: str, body: dict[str, object]) -> None:
    """The new address knows only `policy`."""
    answer = root.put(f"sys/policies/acl/{name}", body)
    assert (answer.status, answer.errors) == (400, ["'policy' parameter not supplied or empty"])


def test_old_address_takes_rules_with_a_warning(root: Wire, name: str) -> None:
    """sys/policy accepts the old field and says that it is old."""
    answer = root.put(f"sys/policy/{name}", {"rules": READ})
    assert answer.status == 200
    assert answer.json["warnings"] == ["'rules' is deprecated, please use 'policy' instead"]
    assert root.delete(f"sys/policy/{name}").status == 204


def test_built_in_policies_are_protected(root: Wire) -> None:
    """Root cannot be written nor deleted, default can be written but not deleted, response-wrapping neither."""
    assert {"default", "root"} <= set(root.list("sys/policies/acl").data["keys"])
    assert "response-wrapping" not in root.list("sys/policies/acl").data["keys"]
    for protected in ("root", "ROOT", "response-wrapping"):
        assert root.put(f"sys/policies/acl/{protected}", {"policy": READ}).errors == [f'cannot update "{protected.lower()}" policy']
        assert root.delete(f"sys/policies/acl/{protected}").errors == [f'cannot delete "{protected.lower()}" policy']
    assert root.delete("sys/policies/acl/default").errors == ["cannot delete default policy"]
    assert root.get("sys/policies/acl/root").data["policy"] == ""
    original = root.get("sys/policies/acl/default").data["policy"]
    assert "auth/token/lookup-self" in original
    assert root.put("sys/policies/acl/default", {"policy": original}).status == 204


def test_root_is_last_in_the_list(root: Wire, name: str) -> None:
    """The list is sorted, with root at its end."""
    names = [f"{name}-c", f"{name}-a", f"{name}-b"]
    for each in names:
        root.put(f"sys/policies/acl/{each}", {"policy": READ})
    keys = root.list("sys/policies/acl").data["keys"]
    assert [key for key in keys if key in names] == sorted(names)
    assert keys[-1] == "root"
    assert root.get("sys/policies/acl?list=true").data["keys"] == keys
    for each in names:
        root.delete(f"sys/policies/acl/{each}")


@pytest.mark.usefixtures("ours_only")
def test_policy_list_is_paginated(root: Wire, name: str) -> None:
    """After and limit cut the list; limits that are no positive number never widen it."""
    names = [f"{name}-{letter}" for letter in "abcd"]
    for each in names:
        root.put(f"sys/policies/acl/{each}", {"policy": READ})
    assert root.list(f"sys/policies/acl?after={names[0]}&limit=2").data["keys"] == names[1:3]
    assert root.list(f"sys/policies/acl?after={names[2]}&limit=1").data["keys"] == names[3:4]
    for bad in ("abc", "1e3", "9223372036854775808"):
        assert root.list(f"sys/policies/acl?limit={bad}").status == 400
    for each in names:
        root.delete(f"sys/policies/acl/{each}")


def test_policy_paths_need_their_rights(root: Wire, anonymous: Wire) -> None:
    """The default policy gives no access to policies."""
    weak = root.with_token(root.post("auth/token/create", {"policies": ["default"]}).auth["client_token"])
    for sender in (anonymous, weak):
        assert sender.get("sys/policies/acl/default").status == 403
        assert sender.list("sys/policies/acl").status == 403
        assert sender.put("sys/policies/acl/mine", {"policy": READ}).status == 403
        assert sender.delete("sys/policies/acl/default").status == 403
