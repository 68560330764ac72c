"""What strangers send: every public endpoint with hostile values in every field. Nothing breaks, nothing is told, nothing is kept.

The endpoints and their fields are read from the path tables, so one that is added is attacked without being named here.
"""

from __future__ import annotations

import http.client
import json
import os
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

import bcrypt
import psycopg
import pytest

from tests import issuer
from tests.integration.server.fleet import Fleet, running_fleet
from tests.jwt_forge import pem, rsa_key, sign
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, openid_provider
from vault.bootstrap import Service
from vault.config import combine
from vault.host import HostPage
from vault.logical.args import list_args
from vault.logical.operation import Operation
from vault.secret import Secret
from vault.settings import Storage
from vault.storage.embedded import Embedded

ROUNDS = int(os.environ.get("HEALTH_VAULT_TEST_ROUNDS", "1"))
PASSWORD = "th3-r1ght-p4ssw0rd"
CANARY = "c4n4ry-0f-a-s3cr3t"
MOUNTS = ("approle", "cert", "jwt", "oidc", "kubernetes", "ldap", "userpass")  # each named after its kind
# As JSON, so that also what no Python value says can be sent.
HOSTILE = (
    "null",
    "true",
    "-1",
    "0",
    "1e400",
    "1.5",
    "NaN",
    "9" * 400,
    '""',
    '"\\u0000"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\u202e\\u200b\\r\\n\\u001b[31m"',
    '"../../root"',
    '"/"',
    '"root"',
    '"a.b.c"',
    '"' + "x" * 10_000 + '"',
    '"' + "é" * 6_000 + '"',
    '["a"]',
    "[[]]",
    "[null]",
    '{"a":{"b":[1]}}',
    '{"":""}',
    "[" * 200 + "]" * 200,
    '{"a":' * 200 + "1" + "}" * 200,
)
QUERIES = (
    "state=%ED%A0%80&code=%ED%A0%80",
    "state=%FF",
    "state=%00",
    "%00=1",
    "state=a&state=b",
    "state[]=a",
    "state=" + "x" * 5_000,
    "a&" * 2_000,
    "help=1",
    "list=true",
    "%",
)
NAMES = (
    "x",
    "ann",
    "..",
    "%00",
    "%2F",
    "a%2Fb",
    "%2e%2e",
    "%FF",
    "%ED%A0%80",
    "%F0%9F%98%80",
    "%0d%0a",
    "x" * 5_000,
    "%20",
    "?",
    "*",
    "root",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """A public endpoint: its path, which may have a place for a name, and its fields."""

    operation: Operation
    pattern: str
    fields: tuple[str, ...]

    def fill(self, name: str) -> str:
        """Return the path with a name in its place."""
        return "/".join(name if part.startswith("{") else part for part in self.pattern.split("/"))


def list_doors() -> tuple[Door, ...]:
    """Return all endpoints that need no token, but those that open or make a server."""
    settings = combine(dev=True, flags={}, environment={}, files=())
    storage = Storage(kind="postgresql", connection_url=Secret("postgresql://nobody@127.0.0.1:1/nowhere"))
    service = Service(replace(settings, storage=storage), HostPage())
    found = []
    for (family, kind), versions in service.core.mounts.registry.backends.items():
        place = {"system": "sys"}.get(kind, kind)
        for row in versions[""].paths:
            for operation, endpoint in row.operations.items():
                if not endpoint.public or (kind == "system" and endpoint.sealed and operation is Operation.UPDATE):
                    continue
                for pattern in row.patterns:
                    path = f"{'auth/' if family == 'auth' else ''}{place}/{pattern}"
                    fields = tuple(item.wire for item in list_args(endpoint.args) if f"{{{item.wire}" not in pattern)
                    found.append(Door(operation=operation, pattern=path, fields=fields))
    return tuple(found)


DOORS = list_doors()


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Return a server with two workers and one mount of each method, as far configured as it goes without other servers."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(10)).decode()
    with openid_provider() as provider, running_fleet(workers=2) as running:

        def write(path: str, fields: dict[str, Any]) -> None:
            answer = running.once("POST", path, fields, running.root)
            assert answer.status in {200, 204}, (path, answer)

        for kind in MOUNTS:
            write(f"sys/auth/{kind}", {"type": kind})
        for name in ("ann", "bob"):  # one is guessed at until it is locked
            write(f"auth/userpass/users/{name}", {"password_hash": hashed})
            write(f"auth/approle/role/{name}", {"token_policies": "web"})
            write(f"auth/approle/role/{name}/role-id", {"role_id": name})
        write("auth/jwt/config", {"jwt_validation_pubkeys": [pem(rsa_key())], "default_role": "web"})
        write("auth/jwt/role/web", {"role_type": "jwt", "user_claim": "sub", "bound_audiences": ["vault"]})
        write(
            "auth/kubernetes/config",
            {
                "kubernetes_host": "https://127.0.0.1:1",
                "kubernetes_ca_cert": issuer.make("root", authority=True).pem,
                "pem_keys": [pem(rsa_key())],
            },
        )
        write("auth/kubernetes/role/web", {"bound_service_account_names": "*", "bound_service_account_namespaces": "apps"})
        write("identity/oidc/client/web", {"redirect_uris": ["https://127.0.0.1/"], "assignments": ["allow_all"]})
        config = {
            "oidc_discovery_url": provider.url,
            "oidc_client_id": CLIENT_ID,
            "oidc_client_secret": CLIENT_SECRET,
            "default_role": "web",
        }
        write("auth/oidc/config", config)
        write("auth/oidc/role/web", {"user_claim": "sub", "allowed_redirect_uris": [REDIRECT]})
        yield running


REDIRECT = "https://127.0.0.1/oidc/callback"


def make_good() -> dict[str, dict[str, Any]]:
    """Return fields with which a request comes as far as its secret, which is wrong."""
    return {
        "auth/approle/login": {"role_id": "ann", "secret_id": CANARY},
        "auth/userpass/login/{username}": {"password": CANARY},
        "auth/jwt/login": {"role": "web", "jwt": sign(rsa_key("theirs"), sub=CANARY)},
        "auth/kubernetes/login": {"role": "web", "jwt": sign(rsa_key("theirs"), sub=CANARY)},
        "auth/oidc/login": {"role": "web", "jwt": CANARY},
        "auth/oidc/oidc/auth_url": {"role": "web", "redirect_uri": REDIRECT, "client_nonce": CANARY},
        "auth/oidc/oidc/callback": {"state": CANARY, "code": CANARY, "client_nonce": CANARY},
        "auth/jwt/oidc/callback": {"state": CANARY, "code": CANARY, "client_nonce": CANARY},
        "sys/mfa/validate": {"mfa_request_id": CANARY, "mfa_payload": {"x": [CANARY]}},
        "sys/wrapping/lookup": {"token": CANARY},
        "identity/oidc/provider/{name}/token": {"grant_type": "authorization_code", "code": CANARY, "client_secret": CANARY},
    }


class Stranger:
    """Sends what it likes over one connection at a time."""

    def __init__(self, fleet: Fleet) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", fleet.port, timeout=30)

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        """Send a request; return status and body."""
        sent = {"Content-Type": "application/json", **headers} if body is not None else headers
        self._http.request(method, f"/v1/{path}", body=body, headers=sent)
        answer = self._http.getresponse()
        return answer.status, answer.read()


@pytest.fixture
def stranger(fleet: Fleet) -> Iterator[Stranger]:
    """Return somebody without a token."""
    made = Stranger(fleet)
    yield made
    made.close()


def check(door: Door, sent: object, status: int, body: bytes) -> None:
    """Fail where a request was not refused in clear words."""
    assert status < 500, (door, sent, status, body[:500])
    assert b"Traceback" not in body, (door, sent)
    if status >= 400 and not door.pattern.startswith("identity/oidc/provider"):
        assert isinstance(json.loads(body)["errors"], list), (door, sent)


def spell(door: Door, fields: dict[str, str]) -> tuple[str, str, bytes | None]:
    """Return method, path and body of a request with these fields, JSON each."""
    if door.operation is Operation.READ:
        query = "&".join(f"{name}={quote(text.strip(chr(34)))}" for name, text in fields.items())
        return "GET", f"{door.fill('ann')}?{query}", None
    return "POST", door.fill("ann"), ("{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in fields.items()) + "}").encode()


def iterate_attacks(door: Door) -> Iterator[dict[str, str]]:
    """Yield fields, one of them hostile."""
    good = {name: json.dumps(value) for name, value in make_good().get(door.pattern, {}).items()}
    chosen = random.Random(door.pattern)
    for name in (*door.fields, "unknown"):
        for text in HOSTILE if ROUNDS > 1 else chosen.sample(HOSTILE, 8):
            yield {**good, name: text}


def count_rows(fleet: Fleet) -> dict[str, int]:
    """Return how many rows there are, by folder; without failures, which have bounds of their own, and notes of the background."""
    with psycopg.connect(Embedded(fleet.folder / "data").dsn) as connection:
        rows = connection.execute("SELECT parent, count(*) FROM vault.entry GROUP BY parent").fetchall()
    return {parent: number for parent, number in rows if "lockout" not in parent and parent != "core/"}


def test_hostile_fields_break_nothing_and_leave_nothing(fleet: Fleet, stranger: Stranger) -> None:
    """Wrong types, wrong texts, too much of everything, in each field of each public endpoint."""
    before = count_rows(fleet)
    assert len(DOORS) > 25
    for door in DOORS:
        for fields in iterate_attacks(door):
            check(door, fields, *stranger.send(*spell(door, fields)))
    assert count_rows(fleet) == before


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"1", b'"x"', b"{", b"\xff", b"{" + b'"a":{' * 5_000, b"[" * 50_000, b'{"a":1,"a":2}']
)
def test_hostile_bodies_break_nothing(stranger: Stranger, body: bytes) -> None:
    """No JSON, half of it, too deep, not an object."""
    for door in DOORS:
        if door.operation is Operation.UPDATE:
            check(door, body[:50], *stranger.send("POST", door.fill("ann"), body))


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_hostile_queries_break_nothing(stranger: Stranger, query: str) -> None:
    """Bytes that are no text, doubled names, switches, too much."""
    for door in DOORS:
        if door.operation is Operation.READ:
            check(door, query[:50], *stranger.send("GET", f"{door.fill('ann')}?{query}"))


def test_hostile_names_break_nothing(fleet: Fleet, stranger: Stranger) -> None:
    """Where a path has a place for a name."""
    before = count_rows(fleet)
    for door in DOORS:
        if "{" in door.pattern:
            for name in NAMES:
                body = json.dumps({"password": "x"}).encode() if door.operation is Operation.UPDATE else None
                check(door, name, *stranger.send("POST" if body else "GET", door.fill(name), body))
    assert count_rows(fleet) == before


def test_secrets_of_strangers_are_on_no_record(fleet: Fleet, stranger: Stranger) -> None:
    """Neither the log nor the audit file shows what was sent where a secret belongs, in body, query or header."""
    for door in DOORS:
        fields = {name: json.dumps(value) for name, value in make_good().get(door.pattern, {}).items()}
        method, path, body = spell(door, fields)
        check(door, fields, *stranger.send(method, path, body, **{"X-Vault-MFA": f"m:{CANARY}", "X-Vault-Token": CANARY}))
    require_unseen(fleet, CANARY, str(make_good()["auth/jwt/login"]["jwt"]).split(".")[1])


def test_secrets_of_logins_are_on_no_record(fleet: Fleet, stranger: Stranger) -> None:
    """Nor what is right, nor the tokens that are given for it."""
    secret_id = str(fleet.once("POST", "auth/approle/role/bob/secret-id", {}, fleet.root).data["secret_id"])
    jwt = sign(sub="bob")
    good = {
        "auth/approle/login": {"role_id": "bob", "secret_id": secret_id},
        "auth/userpass/login/bob": {"password": PASSWORD},
        "auth/jwt/login": {"role": "web", "jwt": jwt},
    }
    tokens = []
    for path, fields in good.items():
        for headers in ({}, {"X-Vault-Wrap-TTL": "60"}):
            status, body = stranger.send("POST", path, json.dumps(fields).encode(), **headers)
            assert status == 200, (path, body)
            answer = json.loads(body)
            tokens.append(answer["wrap_info"]["token"] if headers else answer["auth"]["client_token"])
    require_unseen(fleet, PASSWORD, secret_id, jwt, *tokens)


def require_unseen(fleet: Fleet, *secrets: str) -> None:
    """Fail where the log or the audit file shows one of these, or where a handler has failed."""
    for file in (fleet.folder / "server.log", fleet.audit_file):
        text = file.read_text()
        assert text
        for secret in secrets:
            assert secret not in text, (file.name, secret)
        assert "Traceback" not in text
