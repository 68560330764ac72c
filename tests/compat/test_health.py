"""sys/health: codes, query overrides, HEAD, and the facts it tells; sys/version-history and sys/host-info."""

from __future__ import annotations

import time

import hvac
import pytest

from tests.compat.wire import Wire

CODE_OVERRIDES = [
    ("", 200),
    ("?standbyok=true", 200),
    ("?standbyok=1&perfstandbyok=true", 200),
    ("?activecode=299", 299),
    ("?activecode=500", 500),
    ("?sealedcode=299", 200),
    ("?uninitcode=299", 200),
    ("?standbycode=200&activecode=200&sealedcode=200&uninitcode=200&drsecondarycode=200&performancestandbycode=200", 200),
    ("?nosuch=1", 200),
]


@pytest.mark.parametrize(("query", "status"), CODE_OVERRIDES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_health_code_follows_the_query(anonymous: Wire, method: str, query: str, status: int) -> None:
    """An unsealed server answers 200 or what activecode says, for GET and HEAD alike."""
    answer = anonymous.send(method, f"sys/health{query}")
    assert answer.status == status
    assert bool(answer.body) == (method == "GET")


@pytest.mark.parametrize("query", ["?activecode=abc", "?activecode=", "?sealedcode=x", "?uninitcode=-"])
def test_health_refuses_a_code_that_is_no_number(anonymous: Wire, query: str) -> None:
    """A code that is not a number is a bad request without further text."""
    answer = anonymous.get(f"sys/health{query}")
    assert answer.status == 400
    assert answer.json == {"errors": []}


def test_health_body_has_the_documented_members(anonymous: Wire) -> None:
    """Clients read these members at top level, without an envelope."""
    body = anonymous.get("sys/health").json
    assert body["initialized"] is True
    assert body["sealed"] is False
    assert body["standby"] is False
    assert body["replication_performance_mode"] == "disabled"
    assert body["replication_dr_mode"] == "disabled"
    assert abs(body["server_time_utc"] - time.time()) < 60
    assert {"version", "cluster_name", "cluster_id"} <= body.keys()
    assert "data" not in body


def test_hvac_reads_health_by_head_and_get(client: hvac.Client) -> None:
    """The client's default is HEAD; GET gives the body."""
    assert client.sys.read_health_status().status_code == 200
    assert client.sys.read_health_status(method="GET")["sealed"] is False


def test_leader_says_that_there_is_no_cluster(client: hvac.Client) -> None:
    """A single server has no HA."""
    assert client.sys.read_leader_status()["ha_enabled"] is False


def test_version_history_lists_the_running_version(root: Wire, anonymous: Wire) -> None:
    """The history has the version that health reports, with the time of its first start."""
    data = root.list("sys/version-history").data
    running = anonymous.get("sys/health").json["version"]
    assert running in data["keys"]
    assert data["key_info"][running]["timestamp_installed"]
    assert data["key_info"][running]["previous_version"] is None
    assert root.get("sys/version-history").status == 405


def test_host_info_describes_the_machine(root: Wire) -> None:
    """Host info has its five groups and a time."""
    assert {"cpu", "cpu_times", "disk", "host", "memory", "timestamp"} <= root.get("sys/host-info").data.keys()
