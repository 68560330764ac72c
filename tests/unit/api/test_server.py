"""The page of the root key as the server makes it and ends it."""

import os
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from api.server import _host_page
from vault import host
from vault.config import combine

KEY = bytes(range(32))
SETTINGS = combine(dev=True, flags={}, environment={}, files=())


def test_page_is_wiped_by_the_arbiter_and_by_nobody_else() -> None:
    """A worker leaves the same block when it ends: the key outlives it, and does not outlive the arbiter."""
    block = _host_page(SETTINGS)
    page = block.__enter__()
    page.write_unsealed(KEY)
    worker = os.fork()
    if not worker:
        try:
            block.__exit__(None, None, None)
        finally:
            os._exit(0)
    os.waitpid(worker, 0)
    assert page.read_seal().root_key == KEY
    block.__exit__(None, None, None)
    assert KEY[:8] not in bytes(page._map)
    assert page.read_seal().sealed


@pytest.mark.parametrize(("locked", "known", "told"), [(False, False, True), (False, True, False), (True, False, False)])
def test_memory_that_cannot_be_locked_is_told(monkeypatch: pytest.MonkeyPatch, *, locked: bool, known: bool, told: bool) -> None:
    """Unless the configuration says that it is known."""
    monkeypatch.setattr(host, "_lock_in_memory", lambda _: locked)
    with capture_logs() as logs, _host_page(replace(SETTINGS, disable_mlock=known)):
        pass
    assert bool(logs) is told
