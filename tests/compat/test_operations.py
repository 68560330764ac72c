"""Quotas, origins and metrics by the clients that people use, and what a failed scrape must not do."""

from __future__ import annotations

import hvac
import pytest
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.compat.command import Command
from tests.compat.server_process import ROOT_TOKEN, Server
from tests.compat.wire import Wire


def test_quota_by_the_python_client(client: hvac.Client, root: Wire, kv1: str, name: str) -> None:
    """Made, read, listed, in force, and deleted."""
    client.sys.create_or_update_quota(name=name, rate=2, path=f"{kv1}/x", interval="1h")
    assert client.sys.read_quota(name=name)["data"]["rate"] == 2
    assert name in client.sys.list_quotas()["data"]["keys"]
    assert [root.send("GET", f"{kv1}/x").status for _ in range(3)] == [404, 404, 429]
    client.sys.delete_quota(name=name)
    assert root.send("GET", f"{kv1}/x").status == 404


def test_operations_by_the_command_line(cli: Command, name: str) -> None:
    """Origins, quotas and headers are written and read by the general commands."""
    cli.run("write", "sys/config/cors", "allowed_origins=https://a.example", "allowed_headers=X-Foo").ok()
    assert cli.json("read", "sys/config/cors")["data"]["allowed_origins"] == ["https://a.example"]
    cli.run("delete", "sys/config/cors").ok()
    cli.run("write", f"sys/quotas/rate-limit/{name}", "rate=1000", "path=sys/nosuch").ok()
    assert cli.json("read", f"sys/quotas/rate-limit/{name}")["data"]["path"] == "sys/nosuch"
    cli.run("delete", f"sys/quotas/rate-limit/{name}").ok()
    cli.run("write", f"sys/config/ui/headers/X-{name}", "values=a").ok()
    cli.run("delete", f"sys/config/ui/headers/X-{name}").ok()


@pytest.mark.usefixtures("ours_only")
def test_prometheus_reads_the_metrics(server: Server) -> None:
    """The text is what Prometheus's own parser takes, and every family has one type."""
    answer = requests.get(
        f"{server.url}/v1/sys/metrics", params={"format": "prometheus"}, headers={"Authorization": f"Bearer {ROOT_TOKEN}"}, timeout=10
    )
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    assert families["vault_core_unsealed"].samples[0].value == 1
    assert families["vault_request_duration_seconds"].type == "histogram"
    assert families["vault_token_count"].samples[0].value >= 1


@pytest.mark.usefixtures("ours_only")
def test_strangers_see_neither_metrics_nor_requests(anonymous: Wire) -> None:
    """Unless the listener says otherwise, a token is asked for."""
    assert anonymous.send("GET", "sys/metrics").status == 403
    assert anonymous.send("GET", "sys/in-flight-req").status == 403


@pytest.mark.usefixtures("ours_only")
def test_refused_by_quota_is_on_record_twice(server: Server, root: Wire, name: str) -> None:
    """A request that its quota refuses has one request and one response record, also with the option of that name off."""
    assert root.send("POST", f"sys/quotas/rate-limit/{name}", {"rate": 1, "path": f"sys/{name}", "interval": "1h"}).status == 204
    seen = [root.send("GET", f"sys/{name}").status for _ in range(2)]
    assert seen == [404, 429]
    root.send("DELETE", f"sys/quotas/rate-limit/{name}")
    text = "\n".join(path.read_text() for path in server.audit_folder.rglob("*") if path.is_file())
    limited = [line for line in text.splitlines() if "rate limit quota exceeded" in line and name in line]
    assert [kind for line in limited for kind in ('"type":"request"', '"type":"response"') if kind in line] == [
        '"type":"request"',
        '"type":"response"',
    ]
