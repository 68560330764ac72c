"""The load: `wrk`, one thread, as many keep-alive connections as asked. One failed request fails the whole measurement."""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from benchmarks.scenario import Scenario

SCRIPT = Path(__file__).with_name("load.lua")
GRACE_SECONDS = 30


class LoadError(Exception):
    """The load client is missing, or a server answered with an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What the client saw in one round."""

    requests: int
    ops_per_second: float
    p50_ms: float
    p99_ms: float


def require_wrk() -> str:
    """Return the path of wrk."""
    found = shutil.which("wrk")
    if found is None:
        raise LoadError("the load client wrk is missing: install it, on Debian with `apt-get install wrk`")
    return found


def run_load(scenario: Scenario, *, address: str, token: str, connections: int, seconds: int) -> Load:
    """Send the scenario's requests for some seconds, as fast as they are answered."""
    command = [require_wrk(), "--threads=1", f"--connections={connections}", f"--duration={seconds}s", f"--script={SCRIPT}"]
    described = {
        "BENCH_TOKEN": token,
        "BENCH_METHOD": scenario.method,
        "BENCH_PATH": scenario.path,
        "BENCH_BODY": scenario.body,
        "BENCH_COUNT": str(scenario.count),
    }
    finished = subprocess.run(
        [*command, f"http://{address}"],
        env={**os.environ, **described},
        capture_output=True,
        text=True,
        timeout=seconds + GRACE_SECONDS,
        check=False,
    )
    if finished.returncode:
        raise LoadError(f"{scenario.name}: wrk failed: {finished.stderr or finished.stdout}")
    return _parse_outcome(finished.stdout, scenario.name)


def _parse_outcome(output: str, name: str) -> Load:
    outcome = json.loads(output.strip().splitlines()[-1])
    if outcome["refused"] or outcome["broken"] or not outcome["requests"]:
        raise LoadError(f"{name}: {outcome['refused']} of {outcome['requests']} requests refused, {outcome['broken']} broken")
    return Load(
        requests=outcome["requests"],
        ops_per_second=outcome["requests"] / outcome["duration_us"] * 1e6,
        p50_ms=outcome["p50_us"] / 1e3,
        p99_ms=outcome["p99_us"] / 1e3,
    )
