"""The compiled ACL decides as a live OpenBao does: by what it says of capabilities, and by what it lets through."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tests.compat.server_process import BAO, Server, dev_server
from tests.compat.wire import Wire
from tests.property.policy.generate import WORDS, make_path, make_policies, write_hcl
from vault.logical.operation import Operation
from vault.modules.policy.acl import Acl, compile_acl
from vault.modules.policy.document import parse_policy

MOUNT = "kv1/"
ROUNDS = 70
SEED = 4117
TARGET = "kv1/target"

FIELD_ROWS: tuple[tuple[str, tuple[dict[str, Any], ...]], ...] = (
    (
        'allowed_parameters = { x = ["a", "b*", "*c"] }',
        ({"x": "a"}, {"x": "bb"}, {"x": "cc"}, {"x": "d"}, {"y": "a"}, {"X": "a"}, {"x": None}),
    ),
    ('allowed_parameters = { X = ["*m*"] }', ({"x": "amb"}, {"x": "ab"}, {"X": "m"}, {"x": "a", "y": "m"})),
    ('allowed_parameters = { x = ["*"] }', ({"x": "*"}, {"x": "a"}, {"x": ""})),
    ('allowed_parameters = { x = ["**"] }', ({"x": "*"}, {"x": "a"})),
    ("allowed_parameters = { x = [] }", ({"x": 1}, {"x": None}, {"y": 1}, {"x": 1, "y": 1})),
    ('allowed_parameters = { "*" = [] }', ({"x": 1}, {"y": {}})),
    ('allowed_parameters = { "*" = ["a"] }', ({"x": 1}, {"y": "a"})),
    ('allowed_parameters = { "*" = [], x = ["a"] }', ({"x": "b"}, {"y": 1}, {"x": "a", "y": 1})),
    ('allowed_parameters = { "x*" = [] }', ({"xy": 1}, {"x*": 1})),
    ('allowed_parameters = { x = ["5"] }', ({"x": "5"}, {"x": 5})),
    ("allowed_parameters = { x = [5, 1.5] }", ({"x": 5}, {"x": "5"}, {"x": 1.5}, {"x": 5.0})),
    ('allowed_parameters = { x = [["a", 1]] }', ({"x": ["a", 1]},)),
    ("allowed_parameters = { x = [true] }", ({"x": True}, {"x": 1}, {"x": "true"})),
    ('allowed_parameters = { x = [["a", "b"]] }', ({"x": ["a", "b"]}, {"x": ["b", "a"]}, {"x": "a"}, {"x": ["a"]})),
    ('allowed_parameters = { x = [{ y = "z" }] }', ({"x": {"y": "z"}}, {"x": {"y": "a"}}, {"x": [{"y": "z"}]})),
    ('allowed_parameters { x = ["a"] }\n allowed_parameters { x = ["b"] y = [] }', ({"x": "a"}, {"x": "b"}, {"x": "c"}, {"y": 1})),
    ("allowed_parameters = {}", ({"x": 1},)),
    ('denied_parameters = { x = ["a", "b*"] }', ({"x": "a"}, {"x": "bb"}, {"x": "c"}, {"X": "a"}, {"y": "a"}, {"x": ["a"]})),
    ("denied_parameters = { x = [] }", ({"x": 1}, {"x": None}, {"y": 1})),
    ('denied_parameters = { "*" = ["a"] }', ({"x": "b"}, {"y": "a"})),
    ('denied_parameters = { x = ["a"] }\n allowed_parameters = { x = ["*a*"] }', ({"x": "a"}, {"x": "ba"}, {"x": "b"})),
    ('required_parameters = ["x", "Y"]', ({"x": 1, "y": 1}, {"x": 1}, {"X": 1, "y": 1}, {"x": None, "y": None, "z": 1})),
    ('min_wrapping_ttl = "5s"', ({"x": 1},)),
)
# A denied 5 denies "5" and 5: OpenBao compares a JSON number with nothing, so neither list would ever hold for one.
STRICTER_ROWS = (("denied_parameters = { x = [5] }", {"x": 5}), ('denied_parameters = { x = ["5"] }', {"x": 5}))
LIMITS = (
    "",
    "0",
    "1",
    "2",
    "3",
    "-1",
    "max",
    "01",
    "%2B1",
    "%201",
    "0x1",
    "1.0",
    "1e3",
    "abc",
    "9223372036854775808",
    "1&limit=2",
    "9&limit=1",
)
WRAP_TTLS = (None, 1, 5, 6, 10, 11)
WRAP_ROWS = (
    'min_wrapping_ttl = "5s"',
    'max_wrapping_ttl = "10s"',
    "min_wrapping_ttl = 5\n max_wrapping_ttl = 10",
    "max_wrapping_ttl = -1",
    "",
)
METHODS = {Operation.READ: "GET", Operation.LIST: "LIST", Operation.DELETE: "DELETE", Operation.UPDATE: "PUT", Operation.SCAN: "SCAN"}


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A token of random policies and the same policies compiled."""

    wire: Wire
    acl: Acl
    policies: object


@dataclass(kw_only=True)
class Bench:
    """A live server, and which keys exist on it: a write of a new key is a create."""

    server: Server
    source: random.Random = field(default_factory=lambda: random.Random(SEED))
    keys: set[str] = field(default_factory=set)

    def make_subject(self) -> Subject:
        """Write random policies to the server and give a token to them."""
        policies = make_policies(self.source, MOUNT if self.source.random() < 0.8 else "")
        names = [f"p{index}" for index in range(len(policies))]
        texts = [write_hcl(blocks) + "# not empty\n" for blocks in policies]
        for name, text in zip(names, texts, strict=True):
            assert self.server.root.send("PUT", f"sys/policies/acl/{name}", {"policy": text}).status == 204, text
        token = self.server.root.send("POST", "auth/token/create", {"policies": names, "no_default_policy": True})
        acl = compile_acl([(name, parse_policy(text)) for name, text in zip(names, texts, strict=True)], 0.0)
        return Subject(wire=self.server.anonymous.with_token(token.auth["client_token"]), acl=acl, policies=policies)

    def make_holder(self, clauses: str) -> Subject:
        """Give a token to one policy about one path."""
        text = f'path "{TARGET}" {{\n capabilities = ["create", "update", "read", "list"]\n {clauses}\n}}\n'
        assert self.server.root.send("PUT", "sys/policies/acl/one", {"policy": text}).status == 204, text
        token = self.server.root.send("POST", "auth/token/create", {"policies": ["one"], "no_default_policy": True})
        wire = self.server.anonymous.with_token(token.auth["client_token"])
        return Subject(wire=wire, acl=compile_acl([("one", parse_policy(text))], 0.0), policies=text)

    def make_request(self) -> tuple[Operation, str]:
        """Return an operation and a path that the server's router leaves as they are."""
        operation = self.source.choice(tuple(METHODS))
        path = make_path(self.source, MOUNT, WORDS).rstrip("/")
        if operation is Operation.UPDATE and path not in self.keys:
            return Operation.CREATE, path
        return operation, path


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """Run OpenBao with a kv version 1 mount."""
    folder: Path = tmp_path_factory.mktemp("bao")
    with dev_server(BAO, folder) as server:
        assert server.root.send("POST", f"sys/mounts/{MOUNT.rstrip('/')}", {"type": "kv"}).status == 204
        yield Bench(server=server)


def test_capabilities_are_those_of_a_live_server(bench: Bench) -> None:
    """A few thousand paths, with and without a slash at the end: the same capabilities."""
    for _ in range(ROUNDS):
        subject = bench.make_subject()
        paths = sorted({make_path(bench.source, MOUNT if bench.source.random() < 0.8 else "") for _ in range(60)} - {"", "/"})
        body = {"token": subject.wire.token, "paths": paths}
        answer = bench.server.root.send("POST", "sys/capabilities", body)
        assert answer.status == 200, answer.body
        ours = {path: list(subject.acl.capabilities(path, 1.0)) for path in paths}
        assert {path: answer.data[path] for path in paths} == ours, subject.policies


def test_requests_pass_as_on_a_live_server(bench: Bench) -> None:
    """Real reads, lists, writes and deletes are let through or refused alike."""
    allowed = 0
    for _ in range(ROUNDS):
        subject = bench.make_subject()
        for _ in range(30):
            operation, path = bench.make_request()
            body = {"x": "1"} if operation in {Operation.CREATE, Operation.UPDATE} else None
            answer = subject.wire.send(METHODS.get(operation, "PUT"), path, body)
            expected = subject.acl.decide(operation, path, body or {}, None, 1.0).allowed
            assert (answer.status != 403) == expected, (subject.policies, operation, path, answer.status)
            allowed += expected
            if expected and body:
                bench.keys.add(path)
            elif expected and operation is Operation.DELETE:
                bench.keys.discard(path)
    assert allowed > 80


@pytest.mark.parametrize(("clauses", "bodies"), FIELD_ROWS)
def test_fields_are_checked_as_on_a_live_server(bench: Bench, clauses: str, bodies: tuple[dict[str, Any], ...]) -> None:
    """Allowed, denied and required parameters let the same bodies through."""
    holder = bench.make_holder(clauses)
    bench.server.root.send("PUT", TARGET, {"x": 1})
    for body in bodies:
        passed = holder.wire.send("PUT", TARGET, body).status != 403
        assert holder.acl.decide(Operation.UPDATE, TARGET, body, None, 1.0).allowed == passed, body


@pytest.mark.parametrize(("clauses", "body"), STRICTER_ROWS)
def test_denied_numbers_are_refused_where_a_live_server_lets_them_pass(bench: Bench, clauses: str, body: dict[str, Any]) -> None:
    """The one place where fields are judged more strictly, on purpose."""
    holder = bench.make_holder(clauses)
    assert holder.wire.send("PUT", TARGET, body).status == 204
    assert not holder.acl.decide(Operation.UPDATE, TARGET, body, None, 1.0).allowed


@pytest.mark.parametrize("limit", LIMITS)
def test_pages_are_bounded_as_on_a_live_server(bench: Bench, limit: str) -> None:
    """Every spelling of a limit is let through or refused alike."""
    holder = bench.make_holder("pagination_limit = 2")
    bench.server.root.send("PUT", f"{TARGET}/key", {"x": 1})
    query = f"limit={limit}"
    passed = holder.wire.send("GET", f"{TARGET}?list=true&{query}").status != 403
    values = parse_qs(query, keep_blank_values=True)["limit"]
    decision = holder.acl.decide(Operation.LIST, TARGET, {"limit": values[0] if len(values) == 1 else values}, None, 1.0)
    assert decision.allowed == passed
    assert not passed or decision.pagination_limit in {1, 2}


@pytest.mark.parametrize("clauses", WRAP_ROWS)
def test_wrapping_is_bounded_as_on_a_live_server(bench: Bench, clauses: str) -> None:
    """A read with each wrapping TTL, and with none, is let through or refused alike."""
    holder = bench.make_holder(clauses)
    bench.server.root.send("PUT", TARGET, {"x": 1})
    for ttl in WRAP_TTLS:
        headers = {} if ttl is None else {"X-Vault-Wrap-TTL": str(ttl)}
        passed = holder.wire.send("GET", TARGET, headers=headers).status != 403
        assert holder.acl.decide(Operation.READ, TARGET, {}, ttl, 1.0).allowed == passed, ttl
