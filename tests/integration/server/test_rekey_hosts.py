"""A rekey on one of two hosts over one database: the other one stays open, replaces its workers, and no secret is left in a record."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest
from psycopg.conninfo import conninfo_to_dict

from tests.integration.server.fleet import Fleet, free_port, running_fleet
from vault.storage.embedded import Embedded

TAKE_OVER_SECONDS_MAX = 20.0


@dataclass(slots=True, kw_only=True)
class SecondHost(Fleet):
    """A host over the database of another one."""

    url: str

    def config(self) -> Path:
        """Write and return the configuration file."""
        config = super(SecondHost, self).config()
        text = config.read_text().replace('storage "embedded"', 'storage "postgresql"')
        config.write_text(text.replace(f'path = "{self.folder / "data"}"', f'connection_url = "{self.url}"'))
        return config


def find_url(host: Fleet) -> str:
    """Return how to reach the embedded database of a host."""
    parts = conninfo_to_dict(Embedded(host.folder / "data").dsn)
    rest = {name: str(parts[name]) for name in ("host", "port", "passfile")}
    return f"postgresql://{parts['user']}@/{parts['dbname']}?{urlencode(rest)}"


@pytest.fixture
def hosts() -> Iterator[tuple[Fleet, Fleet]]:
    """Return two unsealed hosts of two workers each."""
    with running_fleet(workers=2) as first, tempfile.TemporaryDirectory(prefix="health-vault-fleet-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "audit").mkdir()
        second = SecondHost(folder=folder, port=free_port(), workers=2, url=find_url(first))
        try:
            second.start()
            second.keys, second.root = first.keys, first.root
            second.unseal()
            yield first, second
        finally:
            second.stop()


def rekey(host: Fleet, other: Fleet) -> list[str]:
    """Rekey with shares given to both hosts in turn; return the new shares."""
    begun = host.once("PUT", "sys/rekey/init", {"secret_shares": 3, "secret_threshold": 2}, host.root).body
    places = (other, other, host)
    answers = [
        place.once("PUT", "sys/rekey/update", {"key": key, "nonce": begun["nonce"]}, host.root)
        for place, key in zip(places, host.keys, strict=True)
    ]
    assert [answer.body.get("progress") for answer in answers[:2]] == [1, 2]
    keys: list[str] = answers[-1].body["keys"]
    return keys


def await_served(host: Fleet) -> None:
    """Wait until every worker of a host serves; nobody unseals it."""
    deadline = time.monotonic() + TAKE_OVER_SECONDS_MAX
    in_a_row = 0
    while in_a_row < 25:
        time.sleep(0.1)
        with suppress(OSError):
            in_a_row = in_a_row + 1 if host.once("GET", "auth/token/lookup-self", token=host.root).status == 200 else 0
        assert time.monotonic() < deadline, "the host has not taken the root key over"


def unseal(host: Fleet, keys: list[str]) -> bool:
    """Seal a host, give shares, and tell whether they open it."""
    assert host.once("PUT", "sys/seal", token=host.root).status == 204
    for key in keys:
        host.once("PUT", "sys/unseal", {"key": key})
    sealed = host.once("GET", "sys/seal-status").body["sealed"]
    if sealed:
        host.once("PUT", "sys/unseal", {"reset": True})
    return not sealed


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_the_other_host_goes_on_with_the_new_root_key(hosts: tuple[Fleet, Fleet]) -> None:
    """All workers of both are replaced and open by themselves, nobody having waited; afterwards only the new shares open either host."""
    first, second = hosts
    new = rekey(first, second)
    for host in hosts:
        for pid in host.worker_pids():
            os.kill(pid, signal.SIGKILL)
    for host in hosts:
        await_served(host)
    assert not unseal(second, list(first.keys))
    for key in new[:2]:
        second.once("PUT", "sys/unseal", {"key": key})
    assert unseal(first, new[1:])
    begun = first.once("PUT", "sys/generate-root/attempt", {}, first.root).body
    second.once("PUT", "sys/generate-root/update", {"key": new[0], "nonce": begun["nonce"]}, first.root)
    done = first.once("PUT", "sys/generate-root/update", {"key": new[1], "nonce": begun["nonce"]}, first.root).body
    assert done["complete"]
    for host in hosts:
        record = host.audit_file.read_text()
        assert "sys/rekey/update" in record
        for secret in (*first.keys, *new, begun["otp"], done["encoded_token"], first.root):
            assert secret not in record
