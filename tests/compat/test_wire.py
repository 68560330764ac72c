"""Rules that hold for every answer: envelope, headers, error shapes, tokens in headers, bodies, aliases of paths."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import requests

from tests.compat.server_process import ROOT_TOKEN, Server
from tests.compat.wire import Wire

ENVELOPE = {"request_id", "lease_id", "renewable", "lease_duration", "data", "wrap_info", "warnings", "auth"}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
DENIED = {"errors": ["permission denied"]}
EMPTY: dict[str, list[str]] = {"errors": []}
DOUBLED = [
    "sys/mounts",
    "sys/auth",
    "sys/policy",
    "sys/mounts/secret",
    "sys/mounts/secret/tune",
    "sys/auth/token/tune",
    "sys/policy/default",
]
SINGLE = ["sys/policies/acl/default", "auth/token/lookup-self", "sys/internal/ui/mounts", "sys/host-info"]
BARE = ["sys/health", "sys/seal-status", "sys/init", "sys/leader", "sys/internal/specs/openapi"]
BODY_MAX_BYTES = 32 * 1024 * 1024


@pytest.mark.parametrize("path", [*DOUBLED, *SINGLE])
def test_success_has_the_whole_envelope(root: Wire, path: str) -> None:
    """All members are there, also the empty ones, and each answer has an id of its own."""
    first, second = root.get(path), root.get(path)
    assert first.status == 200
    assert first.json.keys() >= ENVELOPE
    assert UUID.fullmatch(first.json["request_id"])
    assert first.json["request_id"] != second.json["request_id"]
    assert (first.json["lease_id"], first.json["renewable"], first.json["wrap_info"], first.json["auth"]) == ("", False, None, None)


@pytest.mark.parametrize("path", DOUBLED)
def test_old_paths_repeat_data_at_top_level(root: Wire, path: str) -> None:
    """The group that old clients read without looking into data."""
    body = root.get(path).json
    assert body["data"]
    assert {key: body[key] for key in body["data"]} == body["data"]


@pytest.mark.parametrize("path", SINGLE)
def test_newer_paths_do_not_repeat_data(root: Wire, path: str) -> None:
    """Everything else has the envelope's members only."""
    assert root.get(path).json.keys() - {"mount_type"} == ENVELOPE


@pytest.mark.parametrize("path", BARE)
def test_status_pages_are_bare_and_public(anonymous: Wire, path: str) -> None:
    """No envelope, no token."""
    answer = anonymous.get(path)
    assert answer.status == 200
    assert not answer.json.keys() & {"request_id", "data", "wrap_info"}


@pytest.mark.parametrize(
    ("method", "path", "token", "status"),
    [
        ("GET", "sys/health", False, 200),
        ("GET", "sys/mounts", True, 200),
        ("GET", "sys/mounts", False, 403),
        ("GET", "secret/data/none", True, 404),
        ("GET", "nosuch/x", True, 404),
        ("PUT", "sys/policies/acl/root", True, 400),
        ("FOO", "sys/mounts", True, 405),
        ("GET", "sys/seal", True, 405),
        ("PUT", "sys/unseal", False, 400),
    ],
)
def test_headers_of_every_answer(server: Server, method: str, path: str, token: bool, status: int) -> None:
    """Content-Type is exactly application/json, nothing may be cached, the length is right."""
    answer = (server.root if token else server.anonymous).send(method, path, {} if method == "PUT" else None)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers.get("content-length", str(len(answer.body))) == str(len(answer.body))
    json.loads(answer.body)


def test_empty_answers_have_no_body(root: Wire, kv1: str) -> None:
    """A 204 has no body and may not be cached."""
    for answer in (root.put(f"{kv1}/a", {"k": "v"}), root.delete(f"{kv1}/a"), root.post(f"sys/mounts/{kv1}/tune", {"description": "x"})):
        assert (answer.status, answer.body) == (204, b"")
        assert answer.headers["cache-control"] == "no-store"


@pytest.mark.usefixtures("ours_only")
def test_empty_answers_have_no_content_type(root: Wire, kv1: str) -> None:
    """Decided difference: a 204 names no type, or a web client would parse the empty body."""
    for answer in (root.put(f"{kv1}/a", {"k": "v"}), root.delete(f"{kv1}/a"), root.post("auth/token/revoke", {"token": "nosuch"})):
        assert answer.status == 204
        assert "content-type" not in answer.headers


def test_requests_library_sees_the_same(server: Server) -> None:
    """The ordinary HTTP client of Python decodes answers and errors."""
    url = f"{server.url}/v1"
    with requests.Session() as session:
        session.headers["X-Vault-Token"] = ROOT_TOKEN
        assert session.get(f"{url}/sys/mounts", timeout=30).json()["data"]["secret/"]["type"] == "kv"
        assert session.put(f"{url}/secret/data/requests", json={"data": {"k": "v"}}, timeout=30).status_code == 200
        assert session.get(f"{url}/secret/data/requests", timeout=30).json()["data"]["data"] == {"k": "v"}
        assert session.request("LIST", f"{url}/secret/metadata", timeout=30).json()["data"]["keys"]
        assert session.delete(f"{url}/secret/metadata/requests", timeout=30).status_code == 204
        missing = session.get(f"{url}/secret/data/requests", timeout=30)
        assert (missing.status_code, missing.json()) == (404, EMPTY)


def test_token_is_taken_from_either_header(anonymous: Wire) -> None:
    """X-Vault-Token or `Authorization: Bearer`, nothing else."""
    assert anonymous.send("GET", "sys/mounts", headers={"Authorization": f"Bearer {ROOT_TOKEN}"}).status == 200
    for value in (f"Basic {ROOT_TOKEN}", ROOT_TOKEN, "Bearer nosuch", "Bearer "):
        assert anonymous.send("GET", "sys/mounts", headers={"Authorization": value}).json == DENIED, value
    assert anonymous.send("GET", "sys/mounts", headers={"X_Vault_Token": ROOT_TOKEN}).status == 403
    assert anonymous.send("GET", f"sys/mounts?token={ROOT_TOKEN}").status == 403
    assert anonymous.send("GET", "sys/mounts", {"token": ROOT_TOKEN}).status == 403


@pytest.mark.parametrize(
    "token", ["nosuch", "s.nosuch", "hvs.nosuch", "hvb.nosuch", "b.nosuch", "", "x" * 200, ROOT_TOKEN.upper(), ROOT_TOKEN + ".", "Root"]
)
def test_unknown_tokens_are_all_the_same_refusal(root: Wire, token: str) -> None:
    """403 and one text, whatever the path."""
    for path in ("sys/mounts", "secret/data/x", "nosuch/x", "sys/nosuch", "auth/token/lookup-self"):
        answer = root.with_token(token).get(path)
        assert (answer.status, answer.json) == (403, DENIED), path


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "LIST", "PATCH"])
@pytest.mark.parametrize(
    "path",
    [
        "sys/initX",
        "sys/healthX",
        "sys/health/x",
        "sys/seal-status/x",
        "sys/mounts",
        "auth/token/lookup-accessor",
        "auth/token/create",
        "secret/data/x",
        "nosuch",
    ],
)
def test_nothing_but_the_public_paths_answers_without_a_token(anonymous: Wire, method: str, path: str) -> None:
    """Neither a neighbour of a public path nor any other path is open."""
    answer = anonymous.send(method, path, {"k": "v"} if method in ("PUT", "POST", "PATCH") else None)
    assert answer.status == 403


ERRORS: list[tuple[str, str, Any, int, list[str] | None]] = [
    ("GET", "nosuch/x", None, 404, ['no handler for route "nosuch/x". route entry not found.']),
    ("GET", "sys/nosuch", None, 404, None),
    ("GET", "secret/data/none", None, 404, []),
    ("LIST", "secret/metadata/none", None, 404, []),
    ("GET", "sys/policies/acl/none", None, 404, []),
    ("GET", "sys/tools/random", None, 405, None),
    ("DELETE", "auth/token/create", None, 405, None),
    ("FOO", "secret/data/x", None, 405, []),
    ("get", "secret/data/x", None, 405, []),
    ("PROPFIND", "secret/data/x", None, 405, []),
    ("PUT", "secret/data/x/", {"data": {}}, 400, ["cannot write to a path ending in '/'"]),
    ("PUT", "secret/data/x", b"{", 400, None),
    ("PUT", "secret/data/x", b"[1]", 400, None),
    ("PUT", "secret/data/x", b"5", 400, None),
    ("PUT", "secret/data/x", b'{"data":{"a":1},}', 400, None),
    ("PUT", "secret/data/x", b'{"data":{"a":NaN}}', 400, None),
    ("PUT", "secret/data/x", b'{"data":{"a":1e9999999}}', 400, None),
    ("GET", "secret/metadata/?list=maybe", None, 400, []),
]


@pytest.mark.parametrize("row", ERRORS, ids=str)
def test_errors_have_one_shape(root: Wire, row: tuple[str, str, Any, int, list[str] | None]) -> None:
    """An object with `errors`, a list of texts, and the right status."""
    method, path, body, status, texts = row
    answer = root.send(method, path, body)
    assert answer.status == status
    assert answer.json.keys() == {"errors"}
    assert all(answer.errors)
    if texts is not None:
        assert answer.errors == texts
    else:
        assert answer.errors


@pytest.mark.parametrize("path", ["secret/data/%2e%2e/x", "secret/%2e%2e/sys/mounts", "secret/data/a%00", "secret/data/a%0a"])
def test_relative_and_unprintable_paths_are_refused(root: Wire, path: str) -> None:
    """They are a bad request, whoever asks."""
    assert root.get(path).status == 400


ALIASES = [
    "secret//data/alias",
    "secret/./data/alias",
    "secret/data/../data/alias",
    "/v1//secret/data/alias",
    "secret/data//alias",
    "sys/../secret/data/alias",
]


@pytest.mark.parametrize("path", ALIASES)
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_aliases_of_a_path_are_never_another_decision(root: Wire, anonymous: Wire, method: str, path: str) -> None:
    """A path that is not canonical is redirected or refused, with and without a token, and writes nothing."""
    for sender in (root, anonymous):
        answer = sender.send(method, path, {"data": {"k": "v"}} if method == "PUT" else None)
        assert answer.status in (307, 400, 403), answer
    assert root.get("secret/data/alias").status == 404


def test_body_over_the_limit_is_refused(root: Wire, kv1: str) -> None:
    """More than 32 MiB is a 413 and stores nothing."""
    body = b'{"k":"' + b"x" * BODY_MAX_BYTES + b'"}'
    answer = root.send("PUT", f"{kv1}/big", body, {"Content-Type": "application/json"})
    assert answer.status == 413
    assert answer.errors
    assert root.get(f"{kv1}/big").status == 404


def test_large_body_below_the_limit_is_kept(root: Wire, kv1: str) -> None:
    """A secret of several hundred KiB survives."""
    value = "x" * 700_000
    assert root.put(f"{kv1}/big", {"k": value}).status == 204
    assert root.get(f"{kv1}/big").data == {"k": value}


def test_namespace_header_of_an_unknown_namespace_is_not_found(root: Wire) -> None:
    """The header names a realm; root and / are the one that is always there."""
    answer = root.get("sys/mounts", X_Vault_Namespace="nosuch")
    assert answer.status == 404
    for known in ("root", "/", ""):
        assert root.get("sys/mounts", X_Vault_Namespace=known).status == 200


def test_warnings_turn_an_empty_answer_into_an_envelope(root: Wire, name: str) -> None:
    """Where a 204 would be, a warning makes it a 200 with the envelope."""
    answer = root.put(f"sys/policy/{name}", {"rules": 'path "a" { capabilities = ["read"] }'})
    assert (answer.status, answer.data, len(answer.json["warnings"])) == (200, None, 1)
    root.delete(f"sys/policy/{name}")
