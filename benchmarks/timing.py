"""Whether time tells users apart: logins under names of several kinds, interleaved at random, and how well a classifier would do.

`python -m benchmarks.timing [tries]` prints the area under the curve of every pair of kinds: 0.5 is a coin, and what chance alone does to
that is beside it. The hashes have the lowest cost that may be imported, which is where a difference would show best.
"""

import itertools
import json
import math
import random
import sys
import tempfile
import time
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import bcrypt

from benchmarks.target import ROOT, Target, ours

TRIES = 2_000
GUESSES = 4  # under one name: a fifth would lock it
LOCKED = 20
ANSWER = {"errors": ["invalid username or password"]}


class Client:
    """One keep-alive connection."""

    def __init__(self, target: Target) -> None:
        self._connection = HTTPConnection(target.address)
        self._token = target.tokens[ROOT]

    def call(self, method: str, path: str, body: Any = None, *, public: bool = False) -> tuple[int, Any]:
        """Send a request; return status and body."""
        headers = {"Content-Type": "application/json"} | ({} if public else {"X-Vault-Token": self._token})
        self._connection.request(method, f"/v1/{path}", None if body is None else json.dumps(body), headers)
        response = self._connection.getresponse()
        text = response.read()
        return response.status, json.loads(text) if text else None

    def require(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request that must succeed; return its body."""
        status, answer = self.call(method, path, body)
        if status not in {200, 204}:
            raise SystemExit(f"{path}: {status} {answer}")
        return answer

    def time_refusal(self, path: str, body: Any, answer: Any) -> float:
        """Send a login that must be refused with this answer; return the seconds that it took."""
        begun = time.perf_counter()
        found = self.call("POST", path, body, public=True)
        seconds = time.perf_counter() - begun
        if found != (400, answer):
            raise SystemExit(f"{path}: {found}")
        return seconds

    def guess(self, name: str) -> float:
        """Try a wrong password; return the seconds that it took."""
        return self.time_refusal(f"auth/timed/login/{name}", {"password": "wrong"}, ANSWER)


def prepare(client: Client, tries: int) -> dict[str, Callable[[int], str]]:
    """Make the users; return by kind the name for each try."""
    client.call("POST", "sys/auth/timed", {"type": "userpass", "config": {"user_lockout_config": {"lockout_duration": "24h"}}})
    hashed = bcrypt.hashpw(b"right", bcrypt.gensalt(10)).decode()
    for number in range(tries // GUESSES + 1):
        for kind in ("known", "disabled"):
            status, _ = client.call("POST", f"auth/timed/users/{kind}{number}", {"password_hash": hashed, "is_active": kind != "disabled"})
            if status != 204:
                raise SystemExit(f"a user could not be made: {status}")
    for number in range(LOCKED):
        client.call("POST", f"auth/timed/users/locked{number}", {"password_hash": hashed})
        for _ in range(5):
            client.guess(f"locked{number}")
    return {
        "known": lambda number: f"known{number // GUESSES}",
        "unknown": lambda number: f"nobody{number // GUESSES}",
        "disabled": lambda number: f"disabled{number // GUESSES}",
        "locked": lambda number: f"locked{number % LOCKED}",
    }


def find_area(first: list[float], second: list[float]) -> float:
    """Return how often a try of the second kind takes longer than one of the first."""
    ranked = sorted([(seconds, 0) for seconds in first] + [(seconds, 1) for seconds in second])
    ranks = sum(rank for rank, (_, kind) in enumerate(ranked, 1) if kind)
    return (ranks - len(second) * (len(second) + 1) / 2) / (len(first) * len(second))


def main() -> None:
    """Measure and print."""
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else TRIES
    with tempfile.TemporaryDirectory() as folder, ours(Path(folder)) as target:
        client = Client(target)
        names = prepare(client, tries)
        order = [(kind, number) for kind in names for number in range(tries)]
        random.shuffle(order)
        found: dict[str, list[float]] = {kind: [] for kind in names}
        for kind, number in order:
            found[kind].append(client.guess(names[kind](number)))
    print_areas(found)


def print_areas(found: dict[str, list[float]]) -> None:
    """Print the times of each kind, and how well every pair of kinds can be told apart."""
    for kind, times in found.items():
        ordered = sorted(times)
        median, low, high = (1000 * ordered[int(len(ordered) * part)] for part in (0.5, 0.05, 0.95))
        print(f"{kind:10} {median:8.2f} ms median, {low:.2f} to {high:.2f}")
    tries = len(next(iter(found.values())))
    chance = 1.96 * math.sqrt((2 * tries + 1) / (12 * tries * tries))
    for first, second in itertools.combinations(found, 2):
        print(f"{first:10} {second:10} {find_area(found[first], found[second]):.3f}   chance: 0.5 +- {chance:.3f}")


if __name__ == "__main__":
    main()
