"""A server that is told to read its configuration anew: every worker follows, and none is replaced."""

from __future__ import annotations

import http.client
import os
import signal
import time

from tests.integration.server.fleet import Fleet, running_fleet

WORKERS = 2
SECONDS_MAX = 10.0
PAGE = "https://page.example"


def ask(fleet: Fleet) -> str | None:
    """Return which page a worker lets read its answer."""
    connection = http.client.HTTPConnection("127.0.0.1", fleet.port, timeout=10)
    connection.request("GET", "/v1/sys/health", headers={"Origin": PAGE})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer.getheader("Access-Control-Allow-Origin")


def test_hangup_brings_other_origins_and_keeps_the_workers() -> None:
    """What cannot be used is not taken over, and what was in force stays; a good configuration is in force on all workers."""
    with running_fleet(WORKERS) as fleet:
        assert fleet.process is not None
        file = fleet.folder / "server.hcl"
        text = file.read_text()
        with fleet.connected():  # every worker is there
            workers = fleet.worker_pids()
        assert ask(fleet) is None
        file.write_text(text + 'cors_allowed_origins = ["*"]\n')
        os.kill(fleet.process.pid, signal.SIGHUP)
        deadline = time.monotonic() + SECONDS_MAX
        while "settings not taken over" not in fleet.log_tail():
            assert time.monotonic() < deadline, fleet.log_tail()
            time.sleep(0.05)
        assert ask(fleet) is None
        file.write_text(text + f'cors_allowed_origins = ["{PAGE}"]\n')
        os.kill(fleet.process.pid, signal.SIGHUP)
        seen = 0
        while seen < 20:  # connections go to the workers in turn
            seen = seen + 1 if ask(fleet) == PAGE else 0
            assert time.monotonic() < deadline, fleet.log_tail()
        assert fleet.worker_pids() == workers
