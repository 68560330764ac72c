"""Whether time tells who has a role id: logins of several kinds, interleaved at random, and how well a classifier would do.

`python -m benchmarks.approle_timing [tries]` prints the area under the curve of every pair of kinds. With the lockout, each role id is
tried as often as it allows. Without it, one role id that is in use is tried every time, and against it another one each time that nobody
has: what is in the cache for the one is not for the others.
"""

import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.target import ours
from benchmarks.timing import GUESSES, TRIES, Client, print_areas

ANSWER = {"errors": ["invalid role or secret ID"]}
Kinds = dict[str, tuple[str, Callable[[int], str]]]  # mount, and the role id of each try
WITH_LOCKOUT: Kinds = {
    "unknown": ("timed", lambda number: f"unknown-{number // GUESSES}"),
    "known": ("timed", lambda number: f"known-{number // GUESSES}"),
    "in use": ("timed", lambda number: f"used-{number // GUESSES}"),
}
WITHOUT_LOCKOUT: Kinds = {
    "others": ("open", lambda number: f"others-{number}"),
    "same": ("open", lambda _: "same"),
    "one in use": ("open", lambda _: "used-0"),
}


def prepare(client: Client, tries: int) -> None:
    """Make the roles; one is in use when a login has succeeded."""
    client.require("POST", "sys/auth/timed", {"type": "approle"})
    client.require("POST", "sys/auth/open", {"type": "approle", "config": {"user_lockout_config": {"lockout_disable": True}}})
    for number in range((tries - 1) // GUESSES + 1):
        _make_role(client, "timed", f"known-{number}")
        _make_role(client, "timed", f"used-{number}", is_used=True)
    _make_role(client, "open", "used-0", is_used=True)


def _make_role(client: Client, mount: str, role_id: str, *, is_used: bool = False) -> None:
    role = f"auth/{mount}/role/{role_id}"
    client.require("POST", role, {"role_id": role_id})
    if is_used:
        secret = client.require("POST", f"{role}/secret-id", {})["data"]["secret_id"]
        client.require("POST", f"auth/{mount}/login", {"role_id": role_id, "secret_id": secret})


def measure(client: Client, kinds: Kinds, tries: int) -> None:
    """Send the tries in random order and print what time tells."""
    order = [(kind, number) for kind in kinds for number in range(tries)]
    random.shuffle(order)
    found: dict[str, list[float]] = {kind: [] for kind in kinds}
    for kind, number in order:
        mount, choose = kinds[kind]
        body = {"role_id": choose(number), "secret_id": f"wrong-{random.random()}"}  # noqa: S311 - only another one each time
        found[kind].append(client.time_refusal(f"auth/{mount}/login", body, ANSWER))
    print_areas(found)


def main() -> None:
    """Measure and print."""
    tries = int(sys.argv[1]) if len(sys.argv) > 1 else TRIES
    with tempfile.TemporaryDirectory() as folder, ours(Path(folder)) as target:
        client = Client(target)
        prepare(client, tries)
        measure(client, WITH_LOCKOUT, tries)
        measure(client, WITHOUT_LOCKOUT, tries)


if __name__ == "__main__":
    main()
