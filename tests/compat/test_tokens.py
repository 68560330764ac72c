"""auth/token: creation in all variants, lookup, and what is refused."""

from __future__ import annotations

from typing import Any

import hvac
import hvac.exceptions
import pytest

from tests.compat.server_process import Server
from tests.compat.wire import Wire

AUTH_KEYS = {
    "client_token",
    "accessor",
    "policies",
    "token_policies",
    "metadata",
    "lease_duration",
    "renewable",
    "entity_id",
    "token_type",
    "orphan",
    "mfa_requirement",
    "num_uses",
}
LOOKUP_KEYS = {
    "accessor",
    "creation_time",
    "creation_ttl",
    "display_name",
    "entity_id",
    "expire_time",
    "explicit_max_ttl",
    "id",
    "issue_time",
    "meta",
    "num_uses",
    "orphan",
    "path",
    "policies",
    "renewable",
    "ttl",
    "type",
}
SYSTEM_MAX = 2764800
MAKER = 'path "auth/token/*" { capabilities = ["create", "update", "read"] }'

# body of the creation, what `auth` must say, what lookup must say
VARIANTS: list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = [
    ({}, {"policies": ["root"], "lease_duration": 0, "renewable": False}, {"ttl": 0, "expire_time": None, "orphan": False}),
    (
        {"policies": ["default"]},
        {"lease_duration": SYSTEM_MAX, "renewable": True},
        {"creation_ttl": SYSTEM_MAX, "path": "auth/token/create"},
    ),
    ({"policies": ["default"], "ttl": "1h"}, {"lease_duration": 3600}, {"creation_ttl": 3600}),
    ({"policies": ["default"], "ttl": 90}, {"lease_duration": 90}, {"creation_ttl": 90}),
    ({"policies": ["default"], "ttl": "1d"}, {"lease_duration": 86400}, {"creation_ttl": 86400}),
    ({"policies": ["default"], "lease": "1h"}, {"lease_duration": 3600}, {"creation_ttl": 3600}),
    ({"policies": ["default"], "explicit_max_ttl": "1h"}, {"lease_duration": 3600}, {"explicit_max_ttl": 3600}),
    ({"policies": ["default"], "ttl": "1h", "explicit_max_ttl": "2h"}, {"lease_duration": 3600}, {"explicit_max_ttl": 7200}),
    ({"policies": ["default"], "period": "1h"}, {"lease_duration": 3600, "renewable": True}, {"period": 3600}),
    ({"policies": ["default"], "num_uses": 5}, {"num_uses": 5}, {"num_uses": 5}),
    ({"policies": ["default"], "renewable": False}, {"renewable": False}, {"renewable": False}),
    ({"policies": ["default"], "no_parent": True}, {"orphan": True}, {"orphan": True}),
    ({"policies": ["default"], "display_name": "A b/c"}, {}, {"display_name": "token-A-b-c"}),
    ({"policies": ["default"], "meta": {"k": "v"}}, {"metadata": {"k": "v"}}, {"meta": {"k": "v"}}),
    (
        {"policies": ["b", "a"]},
        {"policies": ["a", "b", "default"], "token_policies": ["a", "b", "default"]},
        {"policies": ["a", "b", "default"]},
    ),
    ({"policies": "single"}, {"policies": ["default", "single"]}, {}),
    ({"policies": ["root", "other"]}, {"policies": ["root"]}, {}),
    ({"policies": ["a"], "no_default_policy": True}, {"policies": ["a"]}, {"policies": ["a"]}),
    ({"policies": ["UPPER"]}, {"policies": ["default", "upper"]}, {}),
    ({"policies": ["root"], "ttl": "1h"}, {"policies": ["root"], "lease_duration": 3600}, {"policies": ["root"]}),
    ({"policies": ["default"], "type": "service"}, {"token_type": "service"}, {"type": "service"}),
    (
        {"policies": ["default"], "type": "batch"},
        {"token_type": "batch", "accessor": "", "renewable": False},
        {"type": "batch", "accessor": ""},
    ),
]


@pytest.mark.parametrize(("body", "auth", "lookup"), VARIANTS, ids=str)
def test_token_variant_has_its_properties(root: Wire, body: dict[str, Any], auth: dict[str, Any], lookup: dict[str, Any]) -> None:
    """Each option of creation shows in the answer and in the lookup."""
    answer = root.post("auth/token/create", body)
    assert answer.status == 200
    assert answer.auth.keys() >= AUTH_KEYS
    assert {key: answer.auth[key] for key in auth} == auth
    found = root.post("auth/token/lookup", {"token": answer.auth["client_token"]}).data
    assert found.keys() >= LOOKUP_KEYS
    assert found["id"] == answer.auth["client_token"]
    for key, value in lookup.items():
        assert found[key] == value, key


@pytest.mark.usefixtures("ours_only")
def test_answers_with_auth_have_no_data_key(root: Wire) -> None:
    """Decided difference: `data` is absent, not null, next to `auth`; a web client would take it for the whole answer."""
    created = root.post("auth/token/create", {"policies": ["default"]})
    me = root.with_token(created.auth["client_token"])
    for answer in (created, me.post("auth/token/renew-self"), root.post("auth/token/create-orphan")):
        assert "data" not in answer.json
        assert answer.json.keys() >= {"request_id", "lease_id", "renewable", "lease_duration", "wrap_info", "warnings", "auth"}


@pytest.mark.usefixtures("ours_only")
def test_tokens_have_the_documented_prefixes(root: Wire) -> None:
    """Service tokens start with hvs., batch tokens with hvb."""
    assert root.post("auth/token/create", {"policies": ["default"]}).auth["client_token"].startswith("hvs.")
    assert root.post("auth/token/create", {"policies": ["default"], "type": "batch"}).auth["client_token"].startswith("hvb.")


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"policies": ["response-wrapping"]}, 'cannot assign policy "response-wrapping"'),
    ({"policies": ["a"], "ttl": "abc"}, ""),
    ({"policies": ["a"], "ttl": -5}, "ttl must be positive"),
    ({"policies": ["a"], "explicit_max_ttl": "-1h"}, "explicit_max_ttl must be positive"),
    ({"policies": ["a"], "period": "-1h"}, "period must be positive"),
    ({"policies": ["a"], "ttl": [1]}, ""),
    ({"policies": ["a"], "ttl": 9223372036854775807}, ""),
    ({"policies": ["a"], "num_uses": -1}, "number of uses cannot be negative"),
    ({"policies": ["a"], "num_uses": "x"}, ""),
    ({"policies": ["a"], "type": "nosuch"}, "invalid 'token_type' value"),
    ({"policies": ["a"], "type": "batch", "period": "1h"}, 'batch tokens cannot have "period" set'),
    ({"policies": ["a"], "type": "batch", "num_uses": 1}, 'batch tokens cannot have "num_uses" set'),
    ({"policies": ["a"], "type": "batch", "explicit_max_ttl": "1h"}, 'batch tokens cannot have "explicit_max_ttl" set'),
    ({"policies": ["root"], "type": "batch"}, "batch tokens cannot be root tokens"),
    ({"policies": ["a"], "id": "own.id"}, ""),
    ({"policies": ["a"], "id": "s.own"}, ""),
    ({"policies": ["a"], "meta": "x"}, ""),
]


@pytest.mark.parametrize(("body", "text"), REFUSED, ids=str)
def test_bad_creations_are_refused(root: Wire, body: dict[str, Any], text: str) -> None:
    """A creation that cannot be is a 400 with a reason."""
    answer = root.post("auth/token/create", body)
    assert answer.status == 400, answer.body
    assert text in answer.errors[0]


REFUSED_TO_OTHERS: list[tuple[str, dict[str, Any], str]] = [
    ("create", {"policies": ["p1", "p9"]}, "child policies must be subset of parent"),
    ("create", {"policies": ["root"]}, "child policies must be subset of parent"),
    ("create-orphan", {"policies": ["p9"]}, "child policies must be subset of parent"),
    ("create", {"no_parent": True}, "root or sudo privileges required to create orphan token"),
    ("create", {"period": "1h"}, "root or sudo privileges required to create periodic token"),
    ("create", {"id": "mine"}, "root or sudo privileges required to specify token id"),
]


@pytest.fixture
def maker(root: Wire, name: str) -> Wire:
    """Return a wire whose token may create tokens but is not root."""
    root.put(f"sys/policies/acl/{name}", {"policy": MAKER})
    return root.with_token(root.post("auth/token/create", {"policies": [name, "p1"]}).auth["client_token"])


@pytest.mark.parametrize(("path", "body", "text"), REFUSED_TO_OTHERS, ids=str)
def test_a_limited_parent_cannot_give_what_it_lacks(maker: Wire, path: str, body: dict[str, Any], text: str) -> None:
    """Policies beyond the parent's and root-only options are refused."""
    answer = maker.post(f"auth/token/{path}", body)
    assert (answer.status, answer.errors) == (400, [text])


def test_child_inherits_policies_and_parent(maker: Wire, root: Wire) -> None:
    """Without policies a child has its parent's; create-orphan cuts the tie."""
    mine = root.post("auth/token/lookup", {"token": maker.token}).data["policies"]
    child = maker.post("auth/token/create").auth
    assert (child["policies"], child["orphan"]) == (mine, False)
    orphan = maker.post("auth/token/create-orphan", {"policies": ["p1"]}).auth
    assert (orphan["policies"], orphan["orphan"]) == (["default", "p1"], True)


def test_child_cannot_gain_the_default_policy(root: Wire, name: str) -> None:
    """A parent without `default` has children without it."""
    root.put(f"sys/policies/acl/{name}", {"policy": MAKER})
    parent = root.post("auth/token/create", {"policies": [name], "no_default_policy": True}).auth["client_token"]
    child = root.with_token(parent).post("auth/token/create")
    assert child.auth["policies"] == [name]
    refused = root.with_token(parent).post("auth/token/create", {"policies": [name, "default"]})
    assert (refused.status, refused.errors) == (400, ["child policies must be subset of parent"])


def test_warnings_name_unknown_policies_and_fields(root: Wire) -> None:
    """A policy that does not exist and a field that is not known are told, and the token is made."""
    answer = root.post("auth/token/create", {"policies": ["nosuch-b", "nosuch-a"], "zzz": 1, "aaa": 2})
    warnings = answer.json["warnings"]
    assert 'Policy "nosuch-a" does not exist' in warnings
    assert 'Policy "nosuch-b" does not exist' in warnings
    assert "Endpoint ignored these unrecognized parameters: [aaa zzz]" in warnings


def test_lifetime_over_the_maximum_is_capped_with_a_warning(root: Wire) -> None:
    """A ttl over a maximum is cut, and the answer says so."""
    answer = root.post("auth/token/create", {"policies": ["default"], "ttl": "99999h"})
    assert answer.auth["lease_duration"] == SYSTEM_MAX
    assert answer.json["warnings"] == ['TTL of "99999h" exceeded the effective max_ttl of "768h"; TTL value is capped accordingly']
    answer = root.post("auth/token/create", {"policies": ["default"], "ttl": "2h", "explicit_max_ttl": "1h"})
    assert answer.auth["lease_duration"] == 3600
    assert "exceeded the effective max_ttl" in answer.json["warnings"][0]


@pytest.mark.parametrize(("names", "given"), [([""], []), ([" "], []), (["", "x"], ["x"])])
def test_blank_policy_names_do_not_mean_the_policies_of_the_parent(root: Wire, names: list[str], given: list[str]) -> None:
    """A list of blanks asks for no policy: root's child is not root."""
    assert root.post("auth/token/create", {"policies": names}).auth["policies"] == ["default", *given]


def test_chosen_id_works_once(root: Wire, server: Server, name: str) -> None:
    """Root may choose an id; a second token with it is refused. The reference warns that it hashes such ids weakly; ours does not."""
    body = {"policies": ["default"], "id": f"chosen-{name}"}
    answer = root.post("auth/token/create", body)
    assert answer.auth["client_token"] == f"chosen-{name}"
    assert any("custom ID" in warning for warning in answer.json["warnings"] or ()) is not server.is_ours
    assert root.with_token(f"chosen-{name}").get("auth/token/lookup-self").status == 200
    assert root.post("auth/token/create", body).status == 400


def test_lookup_in_each_form(root: Wire, anonymous: Wire, client: hvac.Client) -> None:
    """By token, by accessor (which hides the id) and of oneself agree; unknown ones are refused."""
    made = root.post("auth/token/create", {"policies": ["default"], "ttl": "1h", "meta": {"k": "v"}}).auth
    me = root.with_token(made["client_token"])
    mine = me.get("auth/token/lookup-self").data
    assert mine["id"] == made["client_token"]
    assert 3590 <= mine["ttl"] <= 3600
    assert client.auth.token.lookup(made["client_token"])["data"]["accessor"] == made["accessor"]
    by_accessor = client.auth.token.lookup_accessor(made["accessor"])["data"]
    assert (by_accessor["id"], by_accessor["meta"]) == ("", {"k": "v"})
    assert me.post("auth/token/lookup-self").status == 403, "the default policy lets one read, not update"
    assert root.post("auth/token/lookup", {"token": "nosuch"}).errors == ["bad token"]
    assert root.post("auth/token/lookup", {"token": made["accessor"]}).status == 403
    assert "invalid accessor" in root.post("auth/token/lookup-accessor", {"accessor": made["client_token"]}).errors[0]
    assert anonymous.post("auth/token/lookup", {"token": made["client_token"]}).status == 403
    with pytest.raises(hvac.exceptions.Forbidden):
        client.lookup_token("nosuch")


def test_accessors_are_listed_to_sudo_only(root: Wire, maker: Wire, client: hvac.Client) -> None:
    """The list holds every service token's accessor and no batch token."""
    service = root.post("auth/token/create", {"policies": ["default"]}).auth["accessor"]
    keys = client.auth.token.list_accessors()["data"]["keys"]
    assert service in keys
    assert "" not in keys
    assert maker.list("auth/token/accessors").status == 403
    root.post("auth/token/revoke-accessor", {"accessor": service})
    assert service not in root.list("auth/token/accessors").data["keys"]


def test_tidy_starts_in_the_background(root: Wire) -> None:
    """Tidy answers 202 with a warning."""
    answer = root.post("auth/token/tidy")
    assert answer.status == 202
    assert answer.json["warnings"]
