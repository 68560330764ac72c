"""Two hosts over one PostgreSQL: what one acknowledged holds for the next request on the other, whatever becomes of the notices."""

from __future__ import annotations

import os
import random
import secrets
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.integration.server.fleet import Connection, Fleet, free_port
from tests.integration.server.proxy import Proxy
from vault.storage.coherence import ANSWER_SECONDS_MAX
from vault.storage.embedded import Embedded

ROUNDS = int(os.environ.get("HEALTH_VAULT_TEST_ROUNDS", "50"))
WORKERS = 2
CALLERS = 20  # on each host
LEADER_SECONDS_MAX = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Database:
    """One PostgreSQL, and how servers reach it."""

    embedded: Embedded
    folder: Path

    @property
    def socket(self) -> str:
        """Return the path of its socket."""
        return f"{conninfo_to_dict(self.embedded.dsn)['host']}/.s.PGSQL.5432"

    def dsn(self, name: str) -> str:
        """Return how the test reaches a database of it."""
        return make_conninfo(self.embedded.dsn, dbname=name)

    def url(self, proxy: Proxy | None = None, name: str = "postgres") -> str:
        """Return a connection URL, by its socket or through a proxy."""
        known = conninfo_to_dict(self.embedded.dsn)
        place = f"host={known['host']}" if proxy is None else f"host=127.0.0.1&port={proxy.port}"
        return f"postgresql://{known['user']}@/{name}?{place}&passfile={known['passfile']}"


@contextmanager
def running_host(database: Database, url: str) -> Iterator[Fleet]:
    """Run a server with two workers and an audit file of its own."""
    folder = database.folder / secrets.token_hex(4)
    (folder / "audit").mkdir(parents=True)
    host = Fleet(folder=folder, port=free_port(), workers=WORKERS, connection_url=url)
    try:
        host.start()
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    """Run PostgreSQL."""
    with tempfile.TemporaryDirectory(prefix="health-vault-hosts-", ignore_cleanup_errors=True) as name:
        embedded = Embedded(Path(name) / "data", throw_away=True)
        embedded.start()
        try:
            yield Database(embedded=embedded, folder=Path(name))
        finally:
            embedded.stop()


@pytest.fixture(scope="module")
def proxy(database: Database) -> Iterator[Proxy]:
    """Return the wire between the second host and PostgreSQL."""
    with Proxy(database.socket) as running:
        yield running


@pytest.fixture(scope="module")
def hosts(database: Database, proxy: Proxy) -> Iterator[tuple[Fleet, Fleet]]:
    """Return two unsealed servers, the second behind the proxy."""
    with ExitStack() as stack:
        first = stack.enter_context(running_host(database, database.url()))
        first.initialize()
        second = stack.enter_context(running_host(database, database.url(proxy)))
        second.root, second.keys = first.root, first.keys
        second.unseal()
        yield first, second


Workers = list[Connection]


@pytest.fixture
def workers(hosts: tuple[Fleet, Fleet]) -> Iterator[tuple[Workers, Workers]]:
    """Return a connection to each worker of each host."""
    with hosts[0].connected(1) as first, hosts[1].connected(1) as second:
        yield [group[0] for group in first], [group[0] for group in second]


# -- changes -------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Sides:
    """Who changes and who is asked: connections to the workers of the two hosts."""

    writers: Workers
    readers: Workers
    root: str

    def change(self, method: str, path: str, body: object = None) -> None:
        """Have any worker of the one host change something."""
        answer = random.choice(self.writers).call(method, path, body, self.root)
        assert answer.status in {200, 204}, (method, path, answer)

    def check(self, status: int, path: str, *, method: str = "GET", token: str = "") -> list[object]:
        """Ask every worker of the other host at once; return the data of the answers."""
        answers = [reader.call(method, path, token=token or self.root) for reader in self.readers]
        assert [answer.status for answer in answers] == [status] * len(self.readers), (path, answers)
        return [answer.body.get("data") for answer in answers if answer.body]


def _revoke(sides: Sides, _: int) -> None:
    made = random.choice(sides.writers).call("POST", "auth/token/create", {"policies": ["default"]}, sides.root)
    token = made.body["auth"]["client_token"]
    sides.check(200, "auth/token/lookup-self", token=token)
    sides.change("POST", "auth/token/revoke", {"token": token})
    sides.check(403, "auth/token/lookup-self", token=token)


def _edit_policy(sides: Sides, number: int) -> None:
    made = random.choice(sides.writers).call("POST", "auth/token/create", {"policies": ["edited"]}, sides.root)
    token = made.body["auth"]["client_token"]
    for word, status in (("read", 200), ("deny", 403)):
        sides.change("PUT", "sys/policies/acl/edited", {"policy": f'path "sys/mounts" {{ capabilities = ["{word}"] }} # {number}'})
        sides.check(status, "sys/mounts", token=token)
    sides.change("DELETE", "sys/policies/acl/edited")
    sides.check(403, "sys/mounts", token=token)
    sides.check(404, "sys/policies/acl/edited")


def _write_value(sides: Sides, number: int) -> None:
    sides.change("PUT", "cubbyhole/values/x", {"n": number})
    assert sides.check(200, "cubbyhole/values/x") == [{"n": number}] * WORKERS
    sides.change("DELETE", "cubbyhole/values/x")
    sides.check(404, "cubbyhole/values/x")
    sides.check(404, "cubbyhole/values/", method="LIST")


def _mount(sides: Sides, number: int) -> None:
    sides.change("POST", "sys/mounts/brief", {"type": "kv"})
    sides.check(404, "brief/x")
    sides.change("PUT", "brief/x", {"n": number})
    assert sides.check(200, "brief/x") == [{"n": number}] * WORKERS
    sides.change("POST", "sys/mounts/brief/tune", {"default_lease_ttl": f"{60 + number}s"})
    assert [data["default_lease_ttl"] for data in sides.check(200, "sys/mounts/brief/tune")] == [60 + number] * WORKERS  # type: ignore[index]
    sides.change("DELETE", "sys/mounts/brief")
    for answer in (reader.call("GET", "brief/x", token=sides.root) for reader in sides.readers):
        assert answer.status == 404
        assert "no handler" in answer.body["errors"][0]


def _enable_audit(sides: Sides, _: int) -> None:
    sides.change("POST", "sys/audit/second", {"type": "file", "options": {"file_path": "stdout"}})
    assert all("second/" in data for data in sides.check(200, "sys/audit"))  # type: ignore[operator]
    sides.change("DELETE", "sys/audit/second")
    assert not any("second/" in data for data in sides.check(200, "sys/audit"))  # type: ignore[operator]


def _limit(sides: Sides, number: int) -> None:
    sides.change("PUT", "cubbyhole/limited", {"n": number})
    sides.change("POST", "sys/quotas/rate-limit/brief", {"rate": WORKERS, "interval": "1h", "path": "cubbyhole/limited"})
    sides.check(200, "cubbyhole/limited")
    sides.check(429, "cubbyhole/limited")
    sides.change("DELETE", "sys/quotas/rate-limit/brief")
    sides.check(200, "cubbyhole/limited")


def _share(sides: Sides, number: int) -> None:
    origin = f"https://{number}.example"
    sides.change("POST", "sys/config/cors", {"allowed_origins": [origin]})
    assert [reader.preflight("sys/mounts", origin) for reader in sides.readers] == [(204, origin)] * WORKERS
    sides.change("DELETE", "sys/config/cors")
    assert [reader.preflight("sys/mounts", origin)[0] for reader in sides.readers] == [405] * WORKERS


CHANGES: tuple[Callable[[Sides, int], None], ...] = (
    _revoke, _edit_policy, _write_value, _mount, _limit, _share, _revoke, _write_value, _revoke,
)  # fmt: skip


def _play(
    hosts: tuple[Fleet, Fleet], workers: tuple[Workers, Workers], rounds: int, changes: tuple[Callable[[Sides, int], None], ...]
) -> None:
    for number in range(rounds):
        one = random.randrange(2)
        changes[number % len(changes)](Sides(writers=workers[one], readers=workers[1 - one], root=hosts[0].root), number)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_change_on_one_host_holds_on_the_other_at_once(hosts: tuple[Fleet, Fleet], workers: tuple[Workers, Workers]) -> None:
    """A token revoked, a policy edited, a value written, a mount made and removed by one host: so it is at the other's next request."""
    _play(hosts, workers, ROUNDS, CHANGES)


def test_audit_device_of_one_host_is_used_by_the_other(hosts: tuple[Fleet, Fleet], workers: tuple[Workers, Workers]) -> None:
    """A device that one host enabled gets the records of the other from its next request on, and none after it was disabled."""
    _play(hosts, workers, 4, (_enable_audit,))
    sides = Sides(writers=workers[0], readers=workers[1], root=hosts[0].root)
    log = hosts[1].folder / "server.log"  # what it writes to its standard output
    before = log.read_text().count('"path":"sys/mounts"')
    sides.change("POST", "sys/audit/third", {"type": "file", "options": {"file_path": "stdout"}})
    sides.check(200, "sys/mounts")
    assert log.read_text().count('"path":"sys/mounts"') == before + 2 * WORKERS
    sides.change("DELETE", "sys/audit/third")
    sides.check(200, "sys/mounts")
    assert log.read_text().count('"path":"sys/mounts"') == before + 2 * WORKERS


# -- without notices -----------------------------------------------------------------------------------------------------------


def _await_asking(sides: Sides, proxy: Proxy) -> None:
    """Wait until the readers ask for notices again, each for every request."""
    deadline = time.monotonic() + 20
    in_a_row = 0
    while in_a_row < 5:
        before = proxy.asked
        sides.check(200, "auth/token/lookup-self")
        in_a_row = in_a_row + 1 if proxy.asked >= before + WORKERS else 0
        assert time.monotonic() < deadline, "nobody asks for notices"
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_host_whose_notices_are_cut_off_is_never_stale(hosts: tuple[Fleet, Fleet], workers: tuple[Workers, Workers], proxy: Proxy) -> None:
    """When the connections for notices break, the host reads what is there, from its next request on."""
    sides = Sides(writers=workers[0], readers=workers[1], root=hosts[0].root)
    for number in range(max(ROUNDS // 50, 3)):
        _await_asking(sides, proxy)
        assert proxy.cut() == WORKERS
        for change in CHANGES:
            change(sides, number)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_host_that_hears_nothing_is_never_stale(hosts: tuple[Fleet, Fleet], workers: tuple[Workers, Workers], proxy: Proxy) -> None:
    """Connections for notices that stay open and are silent: the first request of each worker waits a second at most, none is wrong."""
    sides = Sides(writers=workers[0], readers=workers[1], root=hosts[0].root)
    for number in range(max(ROUNDS // 100, 1)):
        sides.change("PUT", "cubbyhole/silent", {"n": -1})
        _await_asking(sides, proxy)
        sides.check(200, "cubbyhole/silent")
        started = time.monotonic()
        proxy.passing.clear()
        try:
            sides.change("PUT", "cubbyhole/silent", {"n": number})
            assert sides.check(200, "cubbyhole/silent") == [{"n": number}] * WORKERS
            # Whoever asked first, a request or its worker's thread, asked after the silence began and gave up a second later.
            assert ANSWER_SECONDS_MAX <= time.monotonic() - started < 5 * WORKERS
            for change in CHANGES[:4]:
                change(sides, number)
        finally:
            proxy.passing.set()
        for change in CHANGES[:4]:
            change(sides, number)


# -- once in the cluster ---------------------------------------------------------------------------------------------------------


@contextmanager
def _callers(hosts: tuple[Fleet, Fleet]) -> Iterator[list[Connection]]:
    with hosts[0].connected(CALLERS // WORKERS) as first, hosts[1].connected(CALLERS // WORKERS) as second:
        yield [connection for group in (*first, *second) for connection in group]


def test_what_counts_once_counts_once_over_both_hosts(hosts: tuple[Fleet, Fleet]) -> None:
    """Of callers on both hosts one spends the last use of a token, and one passes a check-and-set."""
    root = hosts[0].root
    hosts[0].once("POST", "sys/mounts/cas", {"type": "kv", "options": {"version": "2"}}, root)
    with _callers(hosts) as callers, ThreadPoolExecutor(len(callers)) as pool:
        for version in range(5):
            made = callers[0].call("POST", "auth/token/create", {"policies": ["default"], "num_uses": 1}, root)
            token = made.body["auth"]["client_token"]
            statuses = pool.map(lambda one, token=token: one.call("GET", "auth/token/lookup-self", token=token).status, callers)
            assert sorted(statuses) == [200] + [403] * (len(callers) - 1)
            body = {"options": {"cas": version}, "data": {"n": str(version)}}
            statuses = pool.map(lambda one, body=body: one.call("POST", "cas/data/x", body, root).status, callers)
            assert sorted(statuses) == [200] + [400] * (len(callers) - 1)
            found = {one.call("GET", "cas/data/x", token=root).data["metadata"]["version"] for one in callers}
            assert found == {version + 1}


def test_sealed_host_leaves_the_other_serving(hosts: tuple[Fleet, Fleet], workers: tuple[Workers, Workers]) -> None:
    """Each host has a seal of its own."""
    assert workers[1][0].call("PUT", "sys/seal", token=hosts[0].root).status == 204
    assert [one.call("GET", "auth/token/lookup-self", token=hosts[0].root).status for one in workers[1]] == [503] * WORKERS
    assert [one.call("GET", "auth/token/lookup-self", token=hosts[0].root).status for one in workers[0]] == [200] * WORKERS
    hosts[1].unseal()
    assert [one.call("GET", "auth/token/lookup-self", token=hosts[0].root).status for one in workers[1]] == [200] * WORKERS


def test_respawned_worker_knows_what_the_other_host_did(hosts: tuple[Fleet, Fleet]) -> None:
    """A worker that was killed and replaced is unsealed, and right about the other host's changes."""
    before = set(hosts[1].worker_pids())
    os.kill(min(before), signal.SIGKILL)
    deadline = time.monotonic() + 20
    while len(set(hosts[1].worker_pids()) - {min(before)}) < WORKERS:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with hosts[0].connected(1) as first, hosts[1].connected(1) as second:
        pairs = [group[0] for group in first], [group[0] for group in second]
        _play(hosts, pairs, 2 * len(CHANGES), CHANGES)


def test_concurrent_init_on_two_hosts_gives_keys_once(database: Database) -> None:
    """Of twenty calls on two hosts exactly one is answered with keys, and these open both hosts."""
    with psycopg.connect(database.embedded.dsn, autocommit=True) as connection:
        connection.execute("CREATE DATABASE fresh")
    with running_host(database, database.url(name="fresh")) as first, running_host(database, database.url(name="fresh")) as second:
        body = {"secret_shares": 1, "secret_threshold": 1}
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda number: (first, second)[number % 2].once("PUT", "sys/init", body), range(20)))
        made = [answer.body for answer in answers if answer.status == 200]
        assert len(made) == 1, answers
        assert {answer.status for answer in answers} == {200, 400}
        for host in (first, second):
            host.keys = tuple(made[0]["keys_base64"])
            host.unseal()
            assert host.once("GET", "auth/token/lookup-self", token=made[0]["root_token"]).status == 200
    with psycopg.connect(database.dsn("fresh")) as connection:
        assert connection.execute("SELECT FROM vault.host").fetchall() == [], "hosts that have ended are not waited for"


@pytest.mark.slow
def test_background_work_moves_when_its_host_is_killed(hosts: tuple[Fleet, Fleet]) -> None:
    """The host that revokes what falls due is killed: the other does it within thirty seconds. The last test of these hosts."""
    root = hosts[0].root
    made = hosts[1].once("POST", "auth/token/create", {"policies": ["default"], "ttl": "1s"}, root)
    # The first host does it: it was open before the other was there.
    os.killpg(hosts[0].arbiter_pid, signal.SIGKILL)
    killed_at = time.monotonic()
    while made.body["auth"]["accessor"] in hosts[1].once("LIST", "auth/token/accessors", token=root).data["keys"]:
        assert time.monotonic() - killed_at < LEADER_SECONDS_MAX
        time.sleep(0.2)
