import json
from typing import Any

import pytest
from msgspec import structs

from api.vault.codec import Answer, decode_request, describe_refused, encode_error, encode_response
from api.vault.sink import list_headers
from tests.unit.api.vault.environment import make
from vault import limits
from vault.errors import HeaderTooLarge, InvalidRequest, NotFound, UnsupportedMediaType, UnsupportedOperation, VaultError
from vault.logical.args import Number
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.response import Auth, Response, Shape, WrapInfo
from vault.secret import Secret

MERGE = "application/merge-patch+json"


def decode(method: str, target: str, **extra: Any) -> Request:
    """Return the decoded request."""
    return decode_request(make(method, target, **extra), "id-1")


@pytest.mark.parametrize(
    ("method", "target", "extra", "error"),
    [
        ("FOO", "secret/a", {}, UnsupportedOperation),
        ("get", "secret/a", {}, UnsupportedOperation),
        ("TRACE", "secret/a", {}, UnsupportedOperation),
        ("OPTIONS", "secret/a", {}, UnsupportedOperation),
        ("CONNECT", "host:80", {}, UnsupportedOperation),
        ("PUT", "secret/a/", {"body": b"{}"}, InvalidRequest),
        ("PATCH", "secret/a/", {"body": b"{}", "CONTENT_TYPE": MERGE}, InvalidRequest),
        ("DELETE", "secret/a/", {}, InvalidRequest),
        ("GET", "secret/?list=yes", {}, InvalidRequest),
        ("GET", "secret/?list=tRuE", {}, InvalidRequest),
        ("GET", "secret/?list=true&scan=true", {}, InvalidRequest),
        ("GET", "secret/?list=true&list=false", {}, InvalidRequest),
        ("GET", "secret/?list=false&list=true", {}, InvalidRequest),
        ("PATCH", "secret/a", {"body": b"{}"}, InvalidRequest),
        ("PATCH", "secret/a", {"body": b"{}", "CONTENT_TYPE": "application/json"}, UnsupportedMediaType),
        ("GET", "secret/a", {"HTTP_X_VAULT_TOKEN": "a,b"}, InvalidRequest),
        ("GET", "secret/a", {"HTTP_X_VAULT_TOKEN": "a", "HTTP_AUTHORIZATION": "Bearer b"}, InvalidRequest),
        ("GET", "secret/a", {"HTTP_X_VAULT_TOKEN": "a" * (limits.TOKEN_BYTES_MAX + 1)}, HeaderTooLarge),
        ("GET", "auth/token/lookup?token=a", {}, InvalidRequest),
        ("GET", "sys/wrapping/lookup?token=a", {}, InvalidRequest),
        ("GET", "secret/a", {"HTTP_X_VAULT_WRAP_TTL": "-5"}, InvalidRequest),
        ("GET", "secret/a", {"HTTP_X_VAULT_WRAP_TTL": "abc"}, InvalidRequest),
        ("GET", "secret/a", {"HTTP_X_VAULT_WRAP_TTL": "1.5"}, InvalidRequest),
        ("GET", "secret/a", {"HTTP_X_VAULT_WRAP_TTL": "9999999999999"}, InvalidRequest),
        ("PUT", "secret/a", {"HTTP_X_VAULT_MFA": ":1"}, InvalidRequest),
        ("PUT", "secret/a", {"HTTP_X_VAULT_MFA": "a:"}, InvalidRequest),
        ("PUT", "secret/a", {"HTTP_X_VAULT_MFA": "a:1,"}, InvalidRequest),
        ("PUT", "secret/a", {"HTTP_X_VAULT_MFA": ",".join(["a:1"] * (limits.MFA_FACTORS_MAX + 1))}, InvalidRequest),
        ("GET", "secret/a", {"HTTP_X_VAULT_NAMESPACE": "other"}, NotFound),
        ("GET", "secret/a", {"HTTP_X_VAULT_NAMESPACE": "root,other"}, NotFound),
    ],
)
def test_request_is_refused(method: str, target: str, extra: dict[str, Any], error: type[VaultError]) -> None:
    """What can be read in two ways, or not at all, goes no further."""
    with pytest.raises(error):
        decode(method, target, **extra)


@pytest.mark.parametrize(
    ("method", "target", "operation", "path", "data"),
    [
        ("GET", "secret/a", Operation.READ, "secret/a", {}),
        ("GET", "secret/a/", Operation.READ, "secret/a", {}),
        ("HEAD", "sys/health", Operation.READ, "sys/health", {}),
        ("GET", "secret/a?version=3", Operation.READ, "secret/a", {"version": "3"}),
        ("DELETE", "secret/a?versions=1&versions=2", Operation.DELETE, "secret/a", {"versions": ["1", "2"]}),
        ("LIST", "secret", Operation.LIST, "secret/", {}),
        ("LIST", "secret/", Operation.LIST, "secret/", {}),
        ("LIST", "secret/?after=a&limit=5", Operation.LIST, "secret/", {"after": "a", "limit": "5"}),
        ("LIST", "secret/?list=false", Operation.LIST, "secret/", {"list": "false"}),
        ("SCAN", "secret", Operation.SCAN, "secret/", {}),
        ("GET", "secret?list=true", Operation.LIST, "secret/", {}),
        ("GET", "secret/?list=1&limit=2", Operation.LIST, "secret/", {"limit": "2"}),
        ("GET", "secret/?list=TRUE", Operation.LIST, "secret/", {}),
        ("GET", "secret/?list=t", Operation.LIST, "secret/", {}),
        ("GET", "secret/?scan=true", Operation.SCAN, "secret/", {}),
        ("GET", "secret/a?list=false", Operation.READ, "secret/a", {"list": "false"}),
        ("GET", "secret/a?help=0", Operation.HELP, "secret/a", {}),
        ("POST", "secret/a?b=c", Operation.UPDATE, "secret/a", {}),
        ("PUT", "secret/a", Operation.UPDATE, "secret/a", {}),
    ],
)
def test_request_operation_follows_method_and_switches(
    method: str, target: str, operation: Operation, path: str, data: dict[str, Any]
) -> None:
    """LIST and ?list=true are the same request; query fields are data of everything but writes."""
    request = decode(method, target)
    assert (request.operation, request.path, request.data) == (operation, path, data)


def test_request_carries_the_fields_of_its_body() -> None:
    """A write has the fields of its JSON object, numbers as they were written."""
    assert decode("POST", "secret/a", body=b'{"a": 1.10, "b": "x"}').data == {"a": Number("1.10"), "b": "x"}
    assert decode("PATCH", "secret/a", body=b'{"a": null}', CONTENT_TYPE=MERGE).data == {"a": None}


@pytest.mark.parametrize(
    ("headers", "token"),
    [
        ({}, None),
        ({"HTTP_X_VAULT_TOKEN": ""}, None),
        ({"HTTP_X_VAULT_TOKEN": "hvs.a"}, "hvs.a"),
        ({"HTTP_AUTHORIZATION": "Bearer hvs.a"}, "hvs.a"),
        ({"HTTP_AUTHORIZATION": "Bearer hvs.a", "HTTP_X_VAULT_TOKEN": "hvs.a"}, "hvs.a"),
        ({"HTTP_AUTHORIZATION": "bearer hvs.a"}, None),
        ({"HTTP_AUTHORIZATION": "Basic hvs.a"}, None),
        ({"HTTP_X_VAULT_TOKEN": "hvs.a b"}, "hvs.a b"),
    ],
)
def test_request_has_the_one_token(headers: dict[str, str], token: str | None) -> None:
    """Only Vault's two headers count, and their value is never repaired."""
    found = decode("GET", "secret/a", **headers).token
    assert (found and found.reveal()) == token


def test_answer_has_the_headers_of_its_response() -> None:
    """They stand beside those that every answer has; one of the same name takes its place."""
    answer = encode_response(REQUEST, Response(data={}, status=401, headers={"WWW-Authenticate": "Basic"}))
    assert list_headers(answer)[:2] == [("Cache-Control", "no-store"), ("WWW-Authenticate", "Basic")]
    kept = encode_response(REQUEST, Response(body=b"x", headers={"Cache-Control": "max-age=60"}))
    assert [value for name, value in list_headers(kept) if name == "Cache-Control"] == ["max-age=60"]


def test_request_says_how_it_was_authenticated() -> None:
    """Basic credentials are no token, and a bearer token is known as one only where no other header says the same."""
    basic = decode("POST", "secret/a", HTTP_AUTHORIZATION="Basic YTpi")
    assert (basic.token, basic.is_bearer) == (None, False)
    assert basic.basic is not None
    assert basic.basic.name == "a"
    bearer = decode("POST", "secret/a", HTTP_AUTHORIZATION="Bearer a")
    assert (bearer.is_bearer, bearer.basic) == (True, None)
    assert not decode("POST", "secret/a", HTTP_AUTHORIZATION="Bearer a", HTTP_X_VAULT_TOKEN="a").is_bearer
    assert not decode("POST", "secret/a", HTTP_X_VAULT_TOKEN="a").is_bearer


@pytest.mark.parametrize("name", ["X_ENTITY_ID", "X_REALM_ID", "X_ROLES", "X_USER_ID", "X_FORWARDED_USER", "X_FORWARDED_FOR", "HOST"])
def test_request_ignores_headers_of_identity(name: str) -> None:
    """No header but the token says who is asking or where from."""
    request = decode("GET", "secret/a", **{f"HTTP_{name}": "root"})
    assert structs.replace(request, headers={}) == structs.replace(decode("GET", "secret/a"), headers={})


@pytest.mark.parametrize(("text", "seconds"), [("", None), ("0", None), ("60", 60), ("5m", 300), ("1h30m", 5400)])
def test_request_wrap_ttl_is_seconds_or_duration(text: str, seconds: int | None) -> None:
    """Zero and nothing ask for no wrapping."""
    assert decode("GET", "secret/a", HTTP_X_VAULT_WRAP_TTL=text).wrap_ttl_seconds == seconds


def test_request_second_factors_are_secrets() -> None:
    """One for each header, which servers join with a comma; the code may be named."""
    request = decode("PUT", "auth/a/login/b", HTTP_X_VAULT_MFA="m:012345, n:passcode=67, o", body=b"{}")
    assert [(factor.method, factor.code.reveal()) for factor in request.second_factors] == [("m", "012345"), ("n", "67"), ("o", "")]
    assert "012345" not in repr(request)


@pytest.mark.parametrize("namespace", ["", "/", "root", "root/"])
def test_request_root_namespace_has_several_names(namespace: str) -> None:
    """All names of the root namespace are the root realm."""
    assert decode("GET", "secret/a", HTTP_X_VAULT_NAMESPACE=namespace).realm.path == ""


def test_refused_request_is_described_without_its_content() -> None:
    """The record of a refusal has a printable path, no query and no fields."""
    request = describe_refused(make("GET", "/v1/a\x07\u00e9b?c=d", HTTP_X_VAULT_TOKEN="a,b"), "id-1")
    assert (request.path, request.data, request.token) == ("a??b", {}, None)


REQUEST = Request(id="id-1", operation=Operation.READ, path="secret/a")
EMPTY = {"lease_id": "", "renewable": False, "lease_duration": 0, "wrap_info": None, "warnings": None, "auth": None}


def body_of(answer: Answer) -> Any:
    """Return the JSON of an answer."""
    assert answer.content_type == "application/json"
    return json.loads(answer.body)


def test_nothing_is_204_for_writes_and_404_for_reads() -> None:
    """A 204 has neither body nor media type."""
    for operation in Operation:
        answer = encode_response(Request(id="id-1", operation=operation, path="a"), None)
        if operation in {Operation.READ, Operation.LIST, Operation.SCAN, Operation.HELP}:
            assert (answer.status, answer.body) == (404, b'{"errors":[]}')
        else:
            assert (answer.status, answer.body, answer.content_type) == (204, b"", "")


def test_envelope_has_all_keys() -> None:
    """Every key of Vault's envelope is there, null or not."""
    answer = encode_response(REQUEST, Response(data={"a": Number("1e400")}))
    assert answer.status == 200
    assert b'"data":{"a":1e400}' in answer.body
    assert body_of(encode_response(REQUEST, Response(data={"a": 1}))) == {"request_id": "id-1", "data": {"a": 1}, **EMPTY}


def test_envelope_of_a_token_has_no_data() -> None:
    """Web clients would take null data for the whole answer."""
    auth = Auth(
        client_token=Secret("t"), accessor="a", policies=(), token_policies=(), lease_duration_seconds=1, renewable=True, orphan=True
    )
    body = body_of(encode_response(REQUEST, Response(auth=auth)))
    assert "data" not in body
    assert body["auth"]["client_token"] == "t"


def test_envelope_of_a_wrapped_answer_has_nothing_but_the_token() -> None:
    """What was wrapped is not told."""
    info = WrapInfo(token=Secret("w"), accessor="a", ttl_seconds=60, creation_time="t", creation_path="p")
    body = body_of(encode_response(REQUEST, Response(data={"a": 1}, wrap_info=info)))
    assert (body["data"], body["auth"], body["wrap_info"]["token"]) == (None, None, "w")


def test_shapes_lay_data_out() -> None:
    """Old endpoints double their data, the oldest have nothing else."""
    doubled = body_of(encode_response(REQUEST, Response(data={"a": 1}, shape=Shape.DOUBLED)))
    assert (doubled["a"], doubled["data"]) == (1, {"a": 1})
    assert body_of(encode_response(REQUEST, Response(data={"a": 1}, shape=Shape.BARE, status=503))) == {"a": 1}


def test_stored_body_passes_unchanged() -> None:
    """An unwrapped answer is the very bytes that were wrapped."""
    answer = encode_response(REQUEST, Response(body=b"x", content_type="text/plain", status=202))
    assert (answer.status, answer.body, answer.content_type) == (202, b"x", "text/plain")


def test_error_is_a_list_of_messages() -> None:
    """Errors have Vault's shape; one may have data beside it."""
    assert body_of(encode_error(InvalidRequest("a"))) == {"errors": ["a"]}
    assert body_of(encode_error(NotFound())) == {"errors": []}
    assert body_of(encode_error(InvalidRequest("a", data={"b": 1}))) == {"errors": ["a"], "data": {"b": 1}}
