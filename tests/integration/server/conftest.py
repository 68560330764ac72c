"""One server with four workers for the tests that leave it as they found it."""

from collections.abc import Iterator

import pytest

from tests.integration.server.fleet import Fleet, running_fleet


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    """Return an initialised, unsealed server with four workers."""
    with running_fleet(workers=4) as running:
        yield running
