"""A hasher whose hashes cost nothing, and what a client does."""

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.unit.vault.modules.system.worker import Worker
from tests.unit.vault.modules.system.world import World
from vault.crypto.passwords import encode_password
from vault.errors import LoginFailed
from vault.logical.response import Auth, Response
from vault.secret import Secret

WRONG = "invalid username or password"


class FakeHasher:
    """Hashes that cost nothing, and what was asked."""

    def __init__(self) -> None:
        self.checks: list[tuple[bool, int]] = []  # whether there was a hash, and at which cost
        self.fault: Exception | None = None
        self.meanwhile: Callable[[bool], None] = lambda _: None  # what happens during a check
        self.made = 0

    def hash(self, password: Secret) -> str:
        encode_password(password.reveal())
        self.made += 1
        return f"hmac-sha256$2b$12$%{self.made}%{password.reveal()}"

    def check(self, password: Secret, stored: str | None, cost: int) -> bool:
        self.checks.append((stored is not None, cost))
        self.meanwhile(stored is not None)
        if self.fault is not None:
            raise self.fault
        return stored is not None and stored.rpartition("%")[2] == password.reveal()


def log_in(world: World, name: str = "ann", password: str = "right", worker: Worker | None = None) -> Auth:
    """Log in."""
    response: Response | None = world.write(f"auth/userpass/login/{name}", token=None, worker=worker, password=password)
    assert response is not None
    assert response.auth is not None
    return response.auth


def fail(world: World, name: str = "ann", times: int = 1, password: str = "wrong", worker: Worker | None = None) -> None:
    """Log in in vain; everybody gets the same answer."""
    for _ in range(times):
        with pytest.raises(LoginFailed) as refusal:
            log_in(world, name, password, worker)
        assert str(refusal.value) == WRONG


def look_up(world: World, auth: Auth) -> Mapping[str, Any]:
    """Use a token."""
    found: Mapping[str, Any] = world.read("auth/token/lookup-self", token=auth.client_token.reveal())
    return found
