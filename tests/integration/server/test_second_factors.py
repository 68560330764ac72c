"""Codes that work once and tokens that are counted, over four workers and through kill -9: what is decided by the database alone."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import bcrypt
import pyotp
import pytest

from tests.integration.server.fleet import Answer, Fleet, running_fleet

ATTEMPTS = int(os.environ.get("HEALTH_VAULT_TEST_ROUNDS", "100"))
USERS = ("ann", "bob", "cid", "dan")
RIGHT = "right"
LOGINS = max(ATTEMPTS // 3, 20)  # each is a password check
PLACES = 10


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Return a server with four workers, and users whose passwords are cheap to check; two of their mounts ask for a code."""
    password_hash = bcrypt.hashpw(RIGHT.encode(), bcrypt.gensalt(10)).decode()
    with running_fleet(workers=4) as running:
        for mount in ("coded", "counted"):
            assert write(running, f"sys/auth/{mount}", {"type": "userpass"}).status == 204
            for name in USERS:
                assert write(running, f"auth/{mount}/users/{name}", {"password_hash": password_hash}).status == 204
        yield running


def write(fleet: Fleet, path: str, fields: Any, token: str | None = "root") -> Answer:
    """Write with the root token unless told otherwise."""
    return fleet.once("POST", path, fields, fleet.root if token == "root" else token)


def log_in(fleet: Fleet, mount: str, name: str = "ann") -> Answer:
    """Log in over a connection of its own."""
    return write(fleet, f"auth/{mount}/login/{name}", {"password": RIGHT}, None)


@pytest.fixture(scope="module")
def method_id(fleet: Fleet) -> str:
    """Return the method that logins to one mount need."""
    made = write(fleet, "identity/mfa/method/totp", {"issuer": "Clinic", "period": 120, "max_validation_attempts": 5})
    accessor = fleet.once("GET", "sys/auth", None, fleet.root).data["coded/"]["accessor"]
    method = str(made.data["method_id"])
    for name in USERS:  # while nothing is enforced, so that their entities exist
        assert log_in(fleet, "coded", name).status == 200
    rule = {"mfa_method_ids": [method], "auth_method_accessors": [accessor]}
    assert write(fleet, "identity/mfa/login-enforcement/coded", rule).status == 204
    return method


def enrol(fleet: Fleet, method_id: str, name: str) -> pyotp.TOTP:
    """Make a secret for a user and return the user's app."""
    accessor = fleet.once("GET", "sys/auth", None, fleet.root).data["coded/"]["accessor"]
    entity = write(fleet, "identity/lookup/entity", {"alias_name": name, "alias_mount_accessor": accessor}).data["id"]
    made = write(fleet, "identity/mfa/method/totp/admin-generate", {"method_id": method_id, "entity_id": entity})
    app = pyotp.parse_uri(made.data["url"])
    assert isinstance(app, pyotp.TOTP)
    return app


def begin(fleet: Fleet, name: str) -> str:
    """Log in without a code and return what is to be finished."""
    auth = log_in(fleet, "coded", name).body["auth"]
    assert auth["client_token"] == ""
    return str(auth["mfa_requirement"]["mfa_request_id"])


def send_together(fleet: Fleet, calls: list[tuple[str, Any]]) -> list[Answer]:
    """Send writes without a token, all at the same time, over connections to all workers."""
    each = -(-len(calls) // fleet.workers)
    with fleet.connected(each) as groups, ThreadPoolExecutor(len(calls)) as pool:
        connections = [connection for row in zip(*groups, strict=False) for connection in row]
        sent = [pool.submit(connection.call, "POST", path, fields) for connection, (path, fields) in zip(connections, calls, strict=False)]
        return [call.result() for call in sent]


def kill_all(fleet: Fleet) -> None:
    """Kill every process of the server at once, and start it again."""
    assert fleet.process is not None
    for pid in (fleet.process.pid, *fleet.worker_pids()):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    fleet.process.wait()
    fleet.start()
    fleet.unseal()


def finish(request_id: str, method_id: str, code: str) -> tuple[str, Any]:
    """Return the request that brings a code."""
    return "sys/mfa/validate", {"mfa_request_id": request_id, "mfa_payload": {method_id: [code]}}


def test_a_code_works_once_however_often_it_is_sent(fleet: Fleet, method_id: str) -> None:
    """Many requests with one right code: one token; and none after the server was killed."""
    app = enrol(fleet, method_id, "ann")
    requests = [begin(fleet, "ann") for _ in range(10)]
    code = app.now()
    answers = send_together(fleet, [finish(requests[number % 10], method_id, code) for number in range(ATTEMPTS)])
    statuses = Counter(answer.status for answer in answers)
    assert statuses[200] == 1
    assert set(statuses) <= {200, 400, 403, 409}
    kill_all(fleet)
    path, fields = finish(begin(fleet, "ann"), method_id, code)
    assert write(fleet, path, fields, None).status == 403


def test_attempts_are_counted_once_for_all_workers(fleet: Fleet, method_id: str) -> None:
    """Five wrong codes, however many come; the right one is refused in the same words, also after the server was killed."""
    app = enrol(fleet, method_id, "bob")
    request_id = begin(fleet, "bob")
    wrong = [code for code in (f"{number:06}" for number in range(40)) if code not in {app.now(), app.at(int(time.time()) + app.interval)}]
    answers = send_together(fleet, [finish(request_id, method_id, code) for code in wrong])
    assert {answer.status for answer in answers} == {403}
    assert len({str(answer.body) for answer in answers}) == 1
    kill_all(fleet)
    path, fields = finish(request_id, method_id, app.now())
    last = write(fleet, path, fields, None)
    assert (last.status, last.body) == (403, answers[0].body)


def test_an_enforcement_holds_at_the_next_request_of_every_worker(fleet: Fleet, method_id: str) -> None:
    """Made, changed and deleted."""
    accessor = fleet.once("GET", "sys/auth", None, fleet.root).data["counted/"]["accessor"]
    with fleet.connected(1) as groups:
        for round_number in range(2):
            for asked in (True, False):
                if asked:
                    rule = {"mfa_method_ids": [method_id], "auth_method_accessors": [accessor]}
                    assert write(fleet, f"identity/mfa/login-enforcement/r{round_number}", rule).status == 204
                else:
                    fleet.once("DELETE", f"identity/mfa/login-enforcement/r{round_number}", None, fleet.root)
                for group in groups:
                    auth = group[0].call("POST", "auth/counted/login/ann", {"password": RIGHT}).body["auth"]
                    assert (auth["mfa_requirement"] is not None) == asked


def test_a_quota_of_leases_holds_exactly(fleet: Fleet) -> None:
    """Many logins at once get the places that there are; revoked ones make room, and a killed server forgets none."""
    assert write(fleet, "sys/leases/revoke-prefix/auth/counted", {"sync": True}).status == 204
    assert write(fleet, "sys/quotas/lease-count/counted", {"path": "auth/counted", "max_leases": PLACES}).status == 204
    calls = [(f"auth/counted/login/{USERS[number % 4]}", {"password": RIGHT}) for number in range(LOGINS)]
    answers = send_together(fleet, calls)
    tokens = [answer.body["auth"]["client_token"] for answer in answers if answer.status == 200]
    assert len(tokens) == PLACES
    refused = next(answer for answer in answers if answer.status == 429)
    assert refused.body["errors"][0].endswith(": lease count quota exceeded")
    kill_all(fleet)
    assert fleet.once("GET", "sys/quotas/lease-count/counted", None, fleet.root).data["counter"] == PLACES
    assert log_in(fleet, "counted").status == 429
    for token in tokens[:3]:
        assert write(fleet, "auth/token/revoke-self", {}, token).status == 204
    again = [answer.status for answer in send_together(fleet, calls[:20])]
    assert again.count(200) == 3
    assert fleet.once("GET", "sys/quotas/lease-count/counted", None, fleet.root).data["counter"] == PLACES
    fleet.once("DELETE", "sys/quotas/lease-count/counted", None, fleet.root)
