"""What one worker acknowledged holds for the next request on every other."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.integration.server.fleet import Answer, Connection, Fleet

ROUNDS = int(os.environ.get("HEALTH_VAULT_TEST_ROUNDS", "400"))
CALLERS = 100


@pytest.fixture(scope="module")
def workers(fleet: Fleet) -> Iterator[list[Connection]]:
    """Return one connection to each worker, each of them proven to be there."""
    with fleet.connected() as groups:
        yield [group[0] for group in groups]


@pytest.fixture
def callers(fleet: Fleet) -> Iterator[list[Connection]]:
    """Return a hundred connections, spread over all workers."""
    with fleet.connected(each=CALLERS // 8) as groups:
        spread = [connection for group in groups for connection in group]
        random.shuffle(spread)
        yield spread[:CALLERS]


def _each(workers: list[Connection], method: str, path: str, token: str) -> list[int]:
    return [connection.call(method, path, token=token).status for connection in workers]


def _made_token(answer: Answer) -> str:
    assert answer.status == 200, answer.body
    return str(answer.body["auth"]["client_token"])


@pytest.mark.timeout(900)
def test_revocation_holds_on_every_worker(fleet: Fleet, workers: list[Connection]) -> None:
    """A token that was used on every worker is refused by every worker once one of them has revoked it."""
    for _ in range(ROUNDS):
        maker, revoker = random.choice(workers), random.choice(workers)
        token = _made_token(maker.call("POST", "auth/token/create", {"policies": ["default"]}, fleet.root))
        assert _each(workers, "GET", "auth/token/lookup-self", token) == [200] * 4
        assert revoker.call("POST", "auth/token/revoke", {"token": token}, fleet.root).status == 204
        assert _each(workers, "GET", "auth/token/lookup-self", token) == [403] * 4


@pytest.mark.timeout(900)
def test_policy_change_holds_on_every_worker(fleet: Fleet, workers: list[Connection]) -> None:
    """A right that one worker takes away or gives back is gone or back on every worker."""
    root = fleet.root
    workers[0].call("POST", "sys/mounts/coherent", {"type": "kv"}, root)
    workers[0].call("POST", "coherent/x", {"a": "b"}, root)
    token = _made_token(workers[0].call("POST", "auth/token/create", {"policies": ["coherent"]}, root))
    allow, deny = (f'path "coherent/*" {{ capabilities = ["{word}"] }}' for word in ("read", "deny"))
    for _ in range(ROUNDS):
        for text, status in ((allow, 200), (deny, 403)):
            assert random.choice(workers).call("PUT", "sys/policies/acl/coherent", {"policy": text}, root).status == 204
            assert _each(workers, "GET", "coherent/x", token) == [status] * 4
    workers[0].call("DELETE", "sys/mounts/coherent", token=root)


@pytest.mark.timeout(900)
def test_value_and_delete_hold_on_every_worker(fleet: Fleet, workers: list[Connection]) -> None:
    """A value that one worker wrote is what every worker reads next; a deleted one is nowhere."""
    root = fleet.root
    workers[0].call("POST", "sys/mounts/values", {"type": "kv"}, root)
    for number in range(ROUNDS):
        assert random.choice(workers).call("PUT", "values/x", {"n": number}, root).status == 204
        assert [connection.call("GET", "values/x", token=root).data["n"] for connection in workers] == [number] * 4
        assert random.choice(workers).call("DELETE", "values/x", token=root).status == 204
        assert _each(workers, "GET", "values/x", root) == [404] * 4
        assert _each(workers, "LIST", "values/", root) == [404] * 4
    workers[0].call("DELETE", "sys/mounts/values", token=root)


@pytest.mark.timeout(900)
def test_mount_tune_and_unmount_hold_on_every_worker(fleet: Fleet, workers: list[Connection]) -> None:
    """Mounting, tuning and unmounting by one worker is seen by every worker; the old data never shows again."""
    root = fleet.root
    for number in range(max(ROUNDS // 8, 10)):
        assert random.choice(workers).call("POST", "sys/mounts/brief", {"type": "kv"}, root).status == 204
        assert _each(workers, "GET", "brief/x", root) == [404] * 4
        assert random.choice(workers).call("PUT", "brief/x", {"n": number}, root).status == 204
        ttl = 60 + number
        assert random.choice(workers).call("POST", "sys/mounts/brief/tune", {"default_lease_ttl": f"{ttl}s"}, root).status == 204
        tuned = [connection.call("GET", "sys/mounts/brief/tune", token=root).data["default_lease_ttl"] for connection in workers]
        assert tuned == [ttl] * 4
        assert random.choice(workers).call("DELETE", "sys/mounts/brief", token=root).status == 204
        answers = [connection.call("GET", "brief/x", token=root) for connection in workers]
        assert all(answer.status == 404 and "no handler" in answer.body["errors"][0] for answer in answers)


def test_use_limited_token_passes_exactly_once(fleet: Fleet, callers: list[Connection]) -> None:
    """A token good for one request passes once among 100 concurrent requests over all workers, and never again."""
    for _ in range(5):
        token = _made_token(callers[0].call("POST", "auth/token/create", {"policies": ["default"], "num_uses": 1}, fleet.root))
        with ThreadPoolExecutor(CALLERS) as pool:
            statuses = list(pool.map(lambda one, token=token: one.call("GET", "auth/token/lookup-self", token=token).status, callers))
        assert sorted(statuses) == [200] + [403] * (len(callers) - 1)
        assert {one.call("GET", "auth/token/lookup-self", token=token).status for one in callers} == {403}


def test_check_and_set_passes_exactly_once(fleet: Fleet, callers: list[Connection]) -> None:
    """Of 100 writers with the same cas one succeeds; versions are dense."""
    root = fleet.root
    fleet.once("POST", "sys/mounts/cas", {"type": "kv", "options": {"version": "2"}}, root)
    for version in range(5):
        body = {"options": {"cas": version}, "data": {"n": str(version)}}
        with ThreadPoolExecutor(CALLERS) as pool:
            statuses = list(pool.map(lambda one, body=body: one.call("POST", "cas/data/x", body, root).status, callers))
        assert statuses.count(200) == 1, statuses
        assert set(statuses) == {200, 400}
        assert callers[0].call("GET", "cas/data/x", token=root).data["metadata"]["version"] == version + 1


def test_concurrent_patches_lose_nothing(fleet: Fleet, callers: list[Connection]) -> None:
    """Fifty writers that each add a key by PATCH all find their key in the end."""
    root = fleet.root
    connections = callers[:50]
    counter = fleet.once("POST", "sys/mounts/patched2", {"type": "kv", "options": {"version": "2"}}, root)
    assert counter.status == 204
    callers[0].call("POST", "patched2/data/x", {"data": {"start": "1"}}, root)

    def patch(numbered: tuple[int, Connection]) -> int:
        number, connection = numbered
        connection._http.putrequest("PATCH", "/v1/patched2/data/x")
        payload = b'{"data": {"k%d": "v"}}' % number
        for header, value in (
            ("X-Vault-Token", root),
            ("Content-Type", "application/merge-patch+json"),
            ("Content-Length", str(len(payload))),
        ):
            connection._http.putheader(header, value)
        connection._http.endheaders(payload)
        response = connection._http.getresponse()
        response.read()
        return response.status

    with ThreadPoolExecutor(len(connections)) as pool:
        statuses = list(pool.map(patch, enumerate(connections)))
    kept = callers[0].call("GET", "patched2/data/x", token=root).data["data"]
    accepted = {f"k{number}" for number, status in enumerate(statuses) if status == 200}
    assert accepted <= set(kept)
    assert accepted, statuses


def test_shares_given_to_different_workers_unseal(fleet: Fleet) -> None:
    """A seal by one worker holds on all at once; shares given to different workers open all of them."""
    with fleet.connected() as groups:
        _check_seal_rounds(fleet, [group[0] for group in groups], [group[1] for group in groups])


def _check_seal_rounds(fleet: Fleet, workers: list[Connection], spare: list[Connection]) -> None:
    for number in range(max(ROUNDS // 20, 5)):
        assert workers[number % 4].call("PUT", "sys/seal", token=fleet.root).status == 204
        assert _each(workers, "GET", "auth/token/lookup-self", fleet.root) == [503] * 4
        assert _each(spare, "GET", "auth/token/lookup-self", fleet.root) == [503] * 4
        for offset, key in enumerate(fleet.keys):
            assert workers[(number + offset) % 4].call("PUT", "sys/unseal", {"key": key}).status == 200
        assert _each(workers, "GET", "auth/token/lookup-self", fleet.root) == [200] * 4
