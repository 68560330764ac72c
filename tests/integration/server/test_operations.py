"""What operators look at and limit, over four workers: every number is that of the host, whoever is asked."""

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.server.fleet import Connection, Fleet

FLEET_WORKERS = 4
EACH = 25


def read_metrics(connection: Connection, token: str) -> dict[str, Any]:
    """Return the metrics as JSON."""
    answer = connection.call("GET", "sys/metrics", token=token)
    assert answer.status == 200
    found: dict[str, Any] = answer.body
    return found


def count_requests(metrics: dict[str, Any], mount: str) -> Counter[str]:
    """Return how many requests of a mount there were, by what became of them."""
    found: Counter[str] = Counter()
    for entry in metrics["Counters"]:
        labels = entry["Labels"]
        if entry["Name"] == "vault.requests" and labels["mount"] == mount:
            kind = "read" if labels["operation"] == "read" else "write"
            found[f"{kind} {labels['outcome']}"] += entry["Count"]
    return found


def gauge(metrics: dict[str, Any], name: str) -> float:
    """Return a gauge without labels."""
    return next(float(entry["Value"]) for entry in metrics["Gauges"] if entry["Name"] == name)


@pytest.fixture(scope="module")
def mount(fleet: Fleet) -> str:
    """Return a mount that nobody else counts on."""
    assert fleet.once("POST", "sys/mounts/counted", {"type": "kv"}, fleet.root).status == 204
    return "counted/"


def send_all(fleet: Fleet, workers: list[list[Connection]], mount: str) -> None:
    """Send each worker its share: writes, reads and refused reads."""

    def work(connection: Connection) -> None:
        for number in range(EACH):
            assert connection.call("POST", f"{mount}{number}", {"a": 1}, fleet.root).status == 204
            assert connection.call("GET", f"{mount}{number}", token=fleet.root).status == 200
            assert connection.call("GET", f"{mount}{number}", token="nobody").status == 403

    with ThreadPoolExecutor(max_workers=2 * FLEET_WORKERS) as pool:
        list(pool.map(work, [connection for group in workers for connection in group[:2]]))


def test_counts_are_exact_over_all_workers(fleet: Fleet, mount: str) -> None:
    """Every worker that is asked tells exactly what was sent to all of them; also after one was killed and replaced."""
    sent = 2 * FLEET_WORKERS * EACH
    share = Counter({"write ok": sent, "read ok": sent, "read denied": sent})
    with fleet.connected(each=2) as workers:
        send_all(fleet, workers, mount)
        assert [count_requests(read_metrics(group[0], fleet.root), mount) for group in workers] == [share] * FLEET_WORKERS
    victim = fleet.worker_pids()[0]
    os.kill(victim, signal.SIGKILL)
    await_workers(fleet, {victim})
    with fleet.connected(each=2) as workers:
        metrics = [read_metrics(group[0], fleet.root) for group in workers]
        assert [count_requests(entry, mount) for entry in metrics] == [share] * FLEET_WORKERS
        assert {gauge(entry, "vault.workers") for entry in metrics} == {float(FLEET_WORKERS)}
        held = sum(len(group) for group in workers)
        assert [gauge(entry, "vault.http.connections") for entry in metrics] == [held] * FLEET_WORKERS
        send_all(fleet, workers, mount)
        assert count_requests(read_metrics(workers[-1][0], fleet.root), mount) == share + share


def test_counts_survive_workers_that_end(fleet: Fleet, mount: str) -> None:
    """Workers that replace others tell what those had counted, and nothing of their present."""
    with fleet.connected(each=1) as workers:
        before = count_requests(read_metrics(workers[0][0], fleet.root), mount)
    assert before
    old = set(fleet.worker_pids())
    for pid in old:
        os.kill(pid, signal.SIGTERM)
    await_workers(fleet, old)
    with fleet.connected(each=1) as workers:
        metrics = [read_metrics(group[0], fleet.root) for group in workers]
    assert [count_requests(entry, mount) for entry in metrics] == [before] * FLEET_WORKERS
    assert {gauge(entry, "vault.workers") for entry in metrics} == {float(FLEET_WORKERS)}


def await_workers(fleet: Fleet, gone: set[int]) -> None:
    """Wait until others have taken the place of some workers."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        pids = fleet.worker_pids()
        if gone.isdisjoint(pids) and len(pids) == FLEET_WORKERS:
            return
        time.sleep(0.05)
    raise AssertionError("the workers were not replaced")


def test_strangers_add_no_labels(fleet: Fleet) -> None:
    """Whatever paths are asked for without a token, the number of series stays."""
    with fleet.connected(each=1) as workers:
        connection = workers[0][0]
        connection.call("GET", "nowhere/0")
        before = len(read_metrics(connection, fleet.root)["Counters"])
        for number in range(200):
            assert connection.call("GET", f"nowhere-{number}/{number}").status in (403, 404)
        assert len(read_metrics(connection, fleet.root)["Counters"]) == before


def test_one_worker_of_the_host_leads(fleet: Fleet) -> None:
    """Background work is done by one of them, not by each."""
    deadline = time.monotonic() + 30
    seen: set[float] = set()
    while time.monotonic() < deadline and seen != {1.0}:
        time.sleep(1)
        seen = {gauge(fleet.once("GET", "sys/metrics", token=fleet.root).body, "vault.background.leader") for _ in range(3)}
    assert seen == {1.0}


def test_quota_allows_exactly_its_rate(fleet: Fleet, mount: str) -> None:
    """Of many requests over all workers at the same time exactly as many are allowed as the quota says; deleted, it limits nobody."""
    rate = 37
    quota = {"rate": rate, "interval": "1h", "path": f"{mount}limited"}
    with fleet.connected(each=2) as workers:
        connections = [connection for group in workers for connection in group[:2]]
        assert connections[0].call("POST", "sys/quotas/rate-limit/exact", quota, fleet.root).status == 204

        def work(connection: Connection) -> list[int]:
            return [connection.call("GET", f"{mount}limited", token=fleet.root).status for _ in range(20)]

        with ThreadPoolExecutor(max_workers=len(connections)) as pool:
            seen = Counter(status for statuses in pool.map(work, connections) for status in statuses)
        assert seen == {404: rate, 429: 20 * len(connections) - rate}
        assert {connection.call("GET", f"{mount}other", token=fleet.root).status for connection in connections} == {404}
        assert connections[-1].call("DELETE", "sys/quotas/rate-limit/exact", token=fleet.root).status == 204
        assert {connection.call("GET", f"{mount}limited", token=fleet.root).status for connection in connections} == {404}


def test_origins_hold_on_all_workers_at_the_next_request(fleet: Fleet) -> None:
    """A list that was put in force, and its end, are known to every worker at once."""
    ours, foreign = "https://a.example", "https://b.example"
    for _ in range(5):
        with fleet.connected(each=1) as workers:
            connections = [group[0] for group in workers]
            assert connections[0].call("POST", "sys/config/cors", {"allowed_origins": ours}, fleet.root).status == 204
            assert [connection.preflight("secret/a", ours) for connection in connections] == [(204, ours)] * FLEET_WORKERS
            assert [connection.preflight("secret/a", foreign) for connection in connections] == [(403, "")] * FLEET_WORKERS
            assert connections[-1].call("DELETE", "sys/config/cors", token=fleet.root).status == 204
            assert [connection.preflight("secret/a", ours) for connection in connections] == [(405, "")] * FLEET_WORKERS


def test_log_levels_hold_on_all_workers_at_the_next_request(fleet: Fleet) -> None:
    """A level that one worker was told is that of all, until it is taken back."""
    with fleet.connected(each=1) as workers:
        connections = [group[0] for group in workers]
        for level in ("error", "debug", "error"):
            assert connections[0].call("POST", "sys/loggers/vault.storage", {"level": level}, fleet.root).status == 204
            told = [connection.call("GET", "sys/loggers/vault.storage", token=fleet.root).data for connection in connections]
            assert told == [{"vault.storage": level}] * FLEET_WORKERS
        assert connections[-1].call("DELETE", "sys/loggers", token=fleet.root).status == 204
        assert {connection.call("GET", "sys/loggers", token=fleet.root).data["vault.storage"] for connection in connections} == {"info"}


def test_requests_in_flight_are_those_of_all_workers(fleet: Fleet, mount: str) -> None:
    """A worker shows what the others are answering, and nothing once it is answered."""
    stop = threading.Event()

    def work(connection: Connection) -> None:
        while not stop.is_set():
            connection.call("POST", f"{mount}busy", {"a": 1}, fleet.root)

    with fleet.connected(each=2) as workers, ThreadPoolExecutor(max_workers=FLEET_WORKERS - 1) as pool:
        busy = [pool.submit(work, group[0]) for group in workers[1:]]
        seen: set[str] = set()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and f"/v1/{mount}busy" not in seen:
            flights = workers[0][0].call("GET", "sys/in-flight-req", token=fleet.root).body
            seen |= {flight["request_path"] for flight in flights.values()}
        stop.set()
        for future in busy:
            future.result()
        assert f"/v1/{mount}busy" in seen
        flights = workers[0][0].call("GET", "sys/in-flight-req", token=fleet.root).body
    assert [flight["request_path"] for flight in flights.values()] == ["/v1/sys/in-flight-req"]
