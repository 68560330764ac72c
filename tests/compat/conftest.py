"""Fixtures of the compatibility suite. Surprise: HEALTH_VAULT_COMPAT_TARGET=bao runs the same tests against the reference server."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import hvac
import pytest

from tests.compat.command import Command
from tests.compat.server_process import BAO, OURS, ROOT_TOKEN, Server, dev_server
from tests.compat.wire import Wire

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def target() -> str:
    """Return which server is under test."""
    name = os.environ.get("HEALTH_VAULT_COMPAT_TARGET", OURS)
    assert name in (OURS, BAO), f"HEALTH_VAULT_COMPAT_TARGET must be {OURS} or {BAO}, not {name}"
    return name


@pytest.fixture(scope="session")
def server(target: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Run one -dev server for all tests that clean up after themselves by using their own names."""
    with dev_server(target, tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
def root(server: Server) -> Wire:
    """Return a wire with the root token."""
    return server.root


@pytest.fixture
def anonymous(server: Server) -> Wire:
    """Return a wire without a token."""
    return server.anonymous


@pytest.fixture
def client(server: Server) -> hvac.Client:
    """Return an hvac client with the root token."""
    return hvac.Client(url=server.url, token=ROOT_TOKEN)


@pytest.fixture
def cli(server: Server, tmp_path: Path) -> Command:
    """Return the bao command with the root token and a home of its own."""
    return Command(url=server.url, token=ROOT_TOKEN, home=tmp_path)


@pytest.fixture
def ours_only(server: Server) -> None:
    """Skip a decided difference when the reference server is under test."""
    if not server.is_ours:
        pytest.skip("decided difference of ours")


@pytest.fixture
def name() -> str:
    """Return a name that no other test uses."""
    return f"compat{next(_numbers)}"


@pytest.fixture
def kv1(root: Wire, name: str) -> Iterator[str]:
    """Mount an unversioned key-value engine for one test."""
    mount = f"{name}-v1"
    assert root.post(f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "1"}}).status == 204
    yield mount
    root.delete(f"sys/mounts/{mount}")


@pytest.fixture
def kv2(root: Wire, name: str) -> Iterator[str]:
    """Mount a versioned key-value engine for one test."""
    mount = f"{name}-v2"
    assert root.post(f"sys/mounts/{mount}", {"type": "kv", "options": {"version": "2"}}).status == 204
    yield mount
    root.delete(f"sys/mounts/{mount}")


Holder = Callable[[str], Wire]


@pytest.fixture
def holder(root: Wire, name: str) -> Iterator[Holder]:
    """Return a function that makes a token with the given policy text (and nothing else)."""
    made: list[str] = []

    def make(policy: str) -> Wire:
        policy_name = f"{name}-{len(made)}"
        answer = root.put(f"sys/policies/acl/{policy_name}", {"policy": policy})
        assert answer.status == 204, answer.body
        made.append(policy_name)
        created = root.post("auth/token/create", {"policies": [policy_name], "no_default_policy": True})
        return root.with_token(created.auth["client_token"])

    yield make
    for policy_name in made:
        root.delete(f"sys/policies/acl/{policy_name}")
