"""What user interfaces and the CLI ask first: internal/ui/*, OpenAPI, ?help=1."""

from __future__ import annotations

import pytest

from tests.compat.conftest import Holder
from tests.compat.wire import Wire


def test_anonymous_listing_shows_only_public_mounts(root: Wire, anonymous: Wire, kv1: str) -> None:
    """Without a token only mounts with listing_visibility=unauth are seen, with three members each."""
    assert f"{kv1}/" not in anonymous.get("sys/internal/ui/mounts").data["secret"]
    root.post(f"sys/mounts/{kv1}/tune", {"listing_visibility": "unauth"})
    listed = anonymous.get("sys/internal/ui/mounts").data
    assert listed["secret"][f"{kv1}/"] == {"type": "kv", "description": "", "options": {"version": "1"}}
    assert "secret/" not in listed["secret"]
    assert listed["auth"] == {}
    root.post(f"sys/mounts/{kv1}/tune", {"listing_visibility": "hidden"})
    assert f"{kv1}/" not in anonymous.get("sys/internal/ui/mounts").data["secret"]


def test_listing_of_a_token_shows_the_mounts_it_may_touch(root: Wire, holder: Holder, kv1: str, kv2: str) -> None:
    """A token sees the mounts its policies reach; root sees all."""
    reader = holder(f'path "{kv1}/a" {{ capabilities = ["read"] }}')
    seen = reader.get("sys/internal/ui/mounts").data["secret"]
    assert f"{kv1}/" in seen
    assert f"{kv2}/" not in seen
    everything = root.get("sys/internal/ui/mounts").data
    assert {f"{kv1}/", f"{kv2}/", "sys/", "cubbyhole/", "identity/"} <= everything["secret"].keys()
    assert "token/" in everything["auth"]


def test_preflight_of_a_path_names_mount_and_version(root: Wire, anonymous: Wire, holder: Holder, kv2: str) -> None:
    """Every kv command asks which mount and version a path belongs to; no right to it is a 403 with its own text."""
    for path in (kv2, f"{kv2}/", f"{kv2}/deep/er"):
        data = root.get(f"sys/internal/ui/mounts/{path}").data
        assert (data["path"], data["type"], data["options"]) == (f"{kv2}/", "kv", {"version": "2"})
    reader = holder(f'path "{kv2}/data/a" {{ capabilities = ["read"] }}')
    assert reader.get(f"sys/internal/ui/mounts/{kv2}/a").data["path"] == f"{kv2}/"
    stranger = holder('path "elsewhere/*" { capabilities = ["read"] }')
    for path in (f"{kv2}/a", "nosuch/a"):
        refused = stranger.get(f"sys/internal/ui/mounts/{path}")
        assert refused.status == 403
        assert refused.errors[0].startswith("preflight capability check returned 403, please ensure client's policies grant access to path")
    assert anonymous.get(f"sys/internal/ui/mounts/{kv2}").errors == ["permission denied"]


def test_resultant_acl_lists_the_policies_of_the_caller(root: Wire, anonymous: Wire, holder: Holder) -> None:
    """Root gets `root: true`; others their exact and glob paths with capabilities."""
    assert root.get("sys/internal/ui/resultant-acl").data == {"root": True}
    assert anonymous.get("sys/internal/ui/resultant-acl").status == 403
    some = holder(
        """
        path "sys/internal/ui/resultant-acl" { capabilities = ["read"] }
        path "some/exact" { capabilities = ["create", "read"] }
        path "some/glob/*" { capabilities = ["list"] }
        path "some/+/segment" { capabilities = ["read"] }
        path "some/none/*" { capabilities = ["deny"] }
        """
    )
    data = some.get("sys/internal/ui/resultant-acl").data
    assert data["root"] is False
    assert data["exact_paths"]["some/exact"]["capabilities"] == ["create", "read"]
    assert data["glob_paths"]["some/glob/"]["capabilities"] == ["list"]
    assert data["glob_paths"]["some/none/"]["capabilities"] == ["deny"]


def test_namespaces_listing_answers_without_namespaces(root: Wire) -> None:
    """A server without namespaces has none to show."""
    assert root.get("sys/internal/ui/namespaces").data == {}


def test_openapi_describes_the_paths_the_token_may_use(root: Wire, anonymous: Wire) -> None:
    """The document is bare JSON, and empty for a caller without a token."""
    document = root.get("sys/internal/specs/openapi").json
    assert document["openapi"].startswith("3.0")
    assert document["info"]["title"]
    for path in ("/sys/mounts", "/sys/mounts/{path}", "/auth/token/create", "/sys/policies/acl/{name}", "/sys/wrapping/wrap"):
        assert path in document["paths"], path
    create = document["paths"]["/auth/token/create"]["post"]
    assert "requestBody" in create
    assert "data" not in document
    assert anonymous.get("sys/internal/specs/openapi").json["paths"] == {}


@pytest.mark.parametrize(
    "path", ["sys/mounts", "sys/policies/acl/x", "auth/token/create", "secret/data/x", "cubbyhole/x", "sys/wrapping/wrap"]
)
def test_help_of_a_path_carries_an_openapi_fragment(root: Wire, path: str) -> None:
    """?help=1 is bare JSON: text, related paths, and the fragment that web clients draw forms from."""
    body = root.get(f"{path}?help=1").json
    assert {"help", "see_also", "openapi"} <= body.keys()
    assert body["help"]
    assert body["openapi"]["openapi"].startswith("3.0")
    assert body["openapi"]["paths"]


def test_help_needs_a_token_and_a_route(root: Wire, anonymous: Wire) -> None:
    """Help is not public, and an unknown mount has none."""
    assert anonymous.get("sys/mounts?help=1").status == 403
    assert root.get("nosuch/x?help=1").status == 404


def test_help_of_a_write_path_describes_its_fields(root: Wire) -> None:
    """The fragment names the type of each field of the body."""
    paths = root.get("auth/token/create?help=1").json["openapi"]["paths"]
    (path,) = [value for key, value in paths.items() if key.endswith("create")]
    content = path["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert content
