"""What ends by itself: tokens, their children, wrapped answers; and servers, when they are told to."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from tests.compat.server_process import dev_server, processes_of
from tests.compat.wire import Wire

WAIT_SECONDS_MAX = 20.0


def await_status(ask: Callable[[], int], status: int) -> None:
    """Wait until a question is answered with a status."""
    deadline = time.monotonic() + WAIT_SECONDS_MAX
    while ask() != status:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_expired_token_is_refused_and_forgotten(root: Wire, name: str) -> None:
    """After its time a token is unknown, its accessor too, and its children die with it."""
    root.put(f"sys/policies/acl/{name}", {"policy": 'path "auth/token/create" { capabilities = ["update"] }'})
    made = root.post("auth/token/create", {"policies": [name, "default"], "ttl": "2s"}).auth
    me = root.with_token(made["client_token"])
    child = root.with_token(me.post("auth/token/create", {"policies": ["default"], "ttl": "1h"}).auth["client_token"])
    assert child.get("auth/token/lookup-self").status == 200
    await_status(lambda: me.get("auth/token/lookup-self").status, 403)
    await_status(lambda: child.get("auth/token/lookup-self").status, 403)
    await_status(lambda: root.post("auth/token/lookup-accessor", {"accessor": made["accessor"]}).status, 400)
    assert root.post("auth/token/renew", {"token": made["client_token"]}).status == 400


def test_renewal_cannot_pass_the_explicit_maximum(root: Wire) -> None:
    """A token with an explicit maximum ends however often it is renewed."""
    token = root.post("auth/token/create", {"policies": ["default"], "ttl": "2s", "explicit_max_ttl": "3s"}).auth["client_token"]
    me = root.with_token(token)

    def renew() -> int:
        me.post("auth/token/renew-self", {"increment": "1h"})
        return me.get("auth/token/lookup-self").status

    await_status(renew, 403)


def test_expired_batch_token_is_refused(root: Wire) -> None:
    """A batch token carries its end in itself."""
    token = root.post("auth/token/create", {"policies": ["default"], "type": "batch", "ttl": "1s"}).auth["client_token"]
    await_status(lambda: root.with_token(token).get("auth/token/lookup-self").status, 403)


def test_expired_wrapping_cannot_be_opened(root: Wire) -> None:
    """A wrapped answer that nobody fetched is gone."""
    token = root.post("sys/wrapping/wrap", {"k": "v"}, X_Vault_Wrap_TTL="1s").json["wrap_info"]["token"]
    await_status(lambda: root.post("sys/wrapping/lookup", {"token": token}).status, 400)
    assert root.post("sys/wrapping/unwrap", {"token": token}).errors == ["wrapping token is not valid or does not exist"]


def test_expired_policy_is_gone(root: Wire, name: str) -> None:
    """A policy with a ttl stops granting when its time has come."""
    assert root.put(f"sys/policies/acl/{name}", {"policy": 'path "secret/*" { capabilities = ["read"] }', "ttl": "2s"}).status == 204
    token = root.post("auth/token/create", {"policies": [name]}).auth["client_token"]
    assert root.with_token(token).get("secret/data/none").status == 404
    await_status(lambda: root.with_token(token).get("secret/data/none").status, 403)


def test_server_told_to_stop_leaves_no_process(target: str, tmp_path: Path) -> None:
    """SIGTERM ends the server, its workers and its database."""
    with dev_server(target, tmp_path) as running:
        assert running.root.get("sys/mounts").status == 200
        processes = processes_of(tmp_path)
        (main,) = [process for process in processes if process.pid == running.pid]
        main.terminate()
        await_status(lambda: len(processes_of(tmp_path)), 0)
