"""A corpus of policies is taken or refused as by a live OpenBao, and what is taken has the same effect."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.compat.server_process import BAO, Server, dev_server
from tests.property.policy.corpus import REFUSED_BY_US, TEXTS
from vault.errors import InvalidRequest
from vault.modules.policy.acl import compile_acl
from vault.modules.policy.document import PolicyDocument, parse_policy

PATHS = [
    *("a", "b", "a/", "a/b", "a/b/c", "//a", "a/*/b", "a/x/b", "a/b+/c", "a/+b/c", "a/xb/c", "a/+/c", "+", "*", "path", "read", "x/y"),
    *("é/x", "a/${foo}", "a/$${foo}", 'a/${"foo"}', "a/%{foo}", 'a"b\\céAA', "a\nb", "secret/x", "secret/{{foo}}/x", "sys/health"),
    *("sys/policies/acl/x", "cubbyhole/x", "identity/oidc/provider/p/authorize", "auth/token/lookup-self"),
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run OpenBao."""
    with dev_server(BAO, tmp_path_factory.mktemp("bao")) as running:
        yield running


def _find_document(text: str) -> PolicyDocument | None:
    try:
        return parse_policy(text)
    except InvalidRequest:
        return None


@pytest.mark.parametrize("name", TEXTS)
def test_policy_is_taken_as_by_a_live_server(server: Server, name: str) -> None:
    """Both take it and grant the same, or both refuse it; what only we refuse is a written-out list."""
    text = TEXTS[name]
    status = server.root.send("PUT", "sys/policies/acl/corpus", {"policy": text}).status
    document = _find_document(text)
    if name in REFUSED_BY_US:
        assert (status, document) == (204, None)
        return
    assert status == (400 if document is None else 204)
    if document is not None:
        token = server.root.send("POST", "auth/token/create", {"policies": ["corpus"], "no_default_policy": True}).auth["client_token"]
        answer = server.root.send("POST", "sys/capabilities", {"token": token, "paths": PATHS})
        acl = compile_acl([("corpus", document)], time.time())
        assert {path: answer.data[path] for path in PATHS} == {path: list(acl.capabilities(path, time.time())) for path in PATHS}
