"""sys/config/auditing/checkpoint-key and checkpoints, read with the clients that an operator has. The reference server has neither."""

from __future__ import annotations

import json
import time
from base64 import b64decode

import hvac
import pytest

from tests.compat.command import Command
from tests.compat.conftest import Holder
from tests.compat.wire import Wire
from vault.audit.checkpoint import check
from vault.crypto.signature import PublicKey

pytestmark = pytest.mark.usefixtures("ours_only")
KEY = "sys/config/auditing/checkpoint-key"
CHECKPOINTS = "sys/config/auditing/checkpoints"
PATIENCE_SECONDS = 20.0


def test_key_and_checkpoints_need_sudo(anonymous: Wire, holder: Holder) -> None:
    """As for all of sys/config/auditing, the right to read is not enough."""
    plain = holder('path "sys/config/auditing/*" { capabilities = ["read"] }')
    auditor = holder('path "sys/config/auditing/*" { capabilities = ["read", "sudo"] }')
    for path in (KEY, CHECKPOINTS):
        assert anonymous.get(path).status == 403
        assert plain.get(path).status == 403
        assert auditor.get(path).status == 200


def test_key_is_the_same_for_all_who_ask(root: Wire, cli: Command, client: hvac.Client) -> None:
    """Every worker and every client gets the one key of the cluster."""
    found = {root.get(KEY).data["public_key"] for _ in range(8)}
    found.add(cli.run("read", "-field=public_key", KEY).ok().out.strip())
    found.add(client.read(KEY)["data"]["public_key"])
    (public,) = found
    assert root.get(KEY).data["key_id"] == PublicKey(b64decode(public)).id


def test_checkpoints_are_signed_by_the_key(root: Wire) -> None:
    """The last checkpoint of each log is told as it was signed."""
    key = PublicKey(b64decode(root.get(KEY).data["public_key"]))
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (lines := root.get(CHECKPOINTS).data["checkpoints"]):
        assert time.monotonic() < deadline, "no checkpoint was signed"
        time.sleep(0.1)
    for line in lines:
        assert check(line.encode(), {key.id: key}).statement.log == json.loads(line)["log"]
