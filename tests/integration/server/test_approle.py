"""AppRole over four workers: what must not be spent twice, what must be gone at once, and what an application does."""

import os
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import hvac
import hvac.exceptions
import pytest

from tests.integration.server.fleet import Answer, Connection, Fleet, running_fleet

ROUNDS = int(os.environ.get("HEALTH_VAULT_TEST_ROUNDS", "200"))
APPLICATIONS = 40
PARALLEL = 100
WRONG = {"errors": ["invalid role or secret ID"]}
FEW = 2.0  # of times; the machine of a test is not quiet


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Return a server with four workers and the method."""
    with running_fleet(workers=4) as running:
        config = {"user_lockout_config": {"lockout_disable": True}}
        write(running, "sys/auth/approle", type="approle", config=config)
        yield running


def write(fleet: Fleet, path: str, **fields: Any) -> Answer:
    """Write as root; it must succeed."""
    answer = fleet.once("POST", path, fields, fleet.root)
    assert answer.status in {200, 202, 204}, answer
    return answer


def make_role(fleet: Fleet, name: str, **fields: Any) -> None:
    """Make a role whose role id is its name."""
    write(fleet, f"auth/approle/role/{name}", role_id=name, **fields)


def make_secret(fleet: Fleet, name: str, **fields: Any) -> dict[str, Any]:
    """Make a secret id; return what the answer says."""
    return dict(write(fleet, f"auth/approle/role/{name}/secret-id", **fields).data)


def log_in(connection: Connection, role_id: str, secret_id: str) -> Answer:
    """Log in over a connection."""
    return connection.call("POST", "auth/approle/login", {"role_id": role_id, "secret_id": secret_id})


def ask_all(groups: list[list[Connection]], role_id: str, secret_id: str) -> set[int]:
    """Log in over every connection of every worker; return the statuses."""
    return {log_in(connection, role_id, secret_id).status for group in groups for connection in group}


@pytest.mark.parametrize("uses", [1, 5])
def test_uses_are_exact_under_parallel_logins(fleet: Fleet, uses: int) -> None:
    """A hundred at once over all workers: as many tokens as the secret id has uses, and one entity."""
    name = f"uses{uses}"
    make_role(fleet, name)
    secret = make_secret(fleet, name, num_uses=uses)["secret_id"]
    with fleet.connected(-(-PARALLEL // fleet.workers)) as groups, ThreadPoolExecutor(PARALLEL) as pool:
        connections = [connection for row in zip(*groups, strict=False) for connection in row][:PARALLEL]
        answers = list(pool.map(lambda connection: log_in(connection, name, secret), connections))
        late = ask_all(groups, name, secret)
    tokens = {answer.body["auth"]["client_token"] for answer in answers if answer.status == 200}
    assert len(tokens) == uses
    assert [answer.body for answer in answers if answer.status != 200] == [WRONG] * (PARALLEL - uses)
    assert late == {400}


def test_applications_log_in_with_wrapped_secret_ids(fleet: Fleet) -> None:
    """Each gets its secret id in a wrapping, opens it once, logs in by hvac and reads its secret; nobody opens one twice."""
    url = f"http://127.0.0.1:{fleet.port}"
    write(fleet, "sys/mounts/app", type="kv", options={"version": "2"})
    write(fleet, "app/data/config", data={"database": "db1"})
    write(fleet, "sys/policies/acl/app", policy='path "app/data/config" { capabilities = ["read"] }')
    make_role(fleet, "app", token_policies="app", token_ttl="10m", secret_id_num_uses=1)
    broker = hvac.Client(url=url, token=fleet.root)

    def deploy(_: int) -> str:
        wrapped = broker.auth.approle.generate_secret_id("app", wrap_ttl="60s")["wrap_info"]["token"]
        application = hvac.Client(url=url, token=wrapped)
        secret_id = application.sys.unwrap()["data"]["secret_id"]
        with pytest.raises(hvac.exceptions.InvalidRequest, match="wrapping token is not valid"):
            application.sys.unwrap()
        application.auth.approle.login("app", secret_id)
        with pytest.raises(hvac.exceptions.InvalidRequest, match="invalid role or secret ID"):
            hvac.Client(url=url).auth.approle.login("app", secret_id)
        return str(
            application.secrets.kv.v2.read_secret_version("config", mount_point="app", raise_on_deleted_version=True)["data"]["data"]
        )

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(deploy, range(APPLICATIONS))) == {"{'database': 'db1'}"}


def _destroy(fleet: Fleet, name: str, made: dict[str, Any]) -> None:
    write(fleet, f"auth/approle/role/{name.upper()}/secret-id/destroy", secret_id=made["secret_id"])


def _destroy_by_accessor(fleet: Fleet, name: str, made: dict[str, Any]) -> None:
    write(fleet, f"auth/approle/role/{name}/secret-id-accessor/destroy", secret_id_accessor=made["secret_id_accessor"])


def _make_anew(fleet: Fleet, name: str, _: dict[str, Any]) -> None:
    assert fleet.once("DELETE", f"auth/approle/role/{name.upper()}", None, fleet.root).status == 204
    make_role(fleet, name)


@pytest.mark.parametrize("end", [_destroy, _destroy_by_accessor, _make_anew])
def test_an_end_is_known_to_every_worker(fleet: Fleet, end: Callable[[Fleet, str, dict[str, Any]], None]) -> None:
    """Destroyed, or of a role that was deleted and made anew: refused by the next login on every worker, round after round."""
    name = end.__name__.strip("_")
    make_role(fleet, name)
    with fleet.connected(2) as groups:
        for _ in range(ROUNDS // 20):
            made = make_secret(fleet, name)
            assert ask_all(groups, name, made["secret_id"]) == {200}
            end(fleet, name, made)
            assert ask_all(groups, name, made["secret_id"]) == {400}


def test_a_role_id_is_of_one_role(fleet: Fleet) -> None:
    """Forty roles at once that ask for the same role id: one is made."""

    def ask(number: int) -> int:
        return fleet.once("POST", f"auth/approle/role/twin{number}", {"role_id": "twins"}, fleet.root).status

    with ThreadPoolExecutor(20) as pool:
        statuses = list(pool.map(ask, range(40)))
    assert sorted(statuses) == [204] + [400] * 39


def test_login_does_not_grow_with_the_number_of_secret_ids(fleet: Fleet) -> None:
    """A11: with a thousand of them a login takes no longer than with one, within what the machine allows to say."""
    make_role(fleet, "many")
    with fleet.connected(4) as groups, ThreadPoolExecutor(8) as pool:
        connections = [connection for group in groups for connection in group]
        before = _time_logins(fleet, connections)
        batches = [connections[number::8] for number in range(8)]
        list(pool.map(lambda batch: _fill(fleet, batch, ROUNDS * 5 // len(connections)), batches))
        after = _time_logins(fleet, connections)
    assert after < before * FEW


def _fill(fleet: Fleet, connections: list[Connection], count: int) -> None:
    """Make some secret ids over each connection."""
    for connection in connections * count:
        assert connection.call("POST", "auth/approle/role/many/secret-id", {}, fleet.root).status == 200


def _time_logins(fleet: Fleet, connections: list[Connection]) -> float:
    """Return the median time of first logins with new secret ids."""
    times = []
    for number in range(100):
        secret = make_secret(fleet, "many")["secret_id"]
        begun = time.perf_counter()
        assert log_in(connections[number % len(connections)], "many", secret).status == 200
        times.append(time.perf_counter() - begun)
    return statistics.median(times)
