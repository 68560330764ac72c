import logging
from collections.abc import Iterator

import pytest

from tests.unit.vault.modules.system.world import World
from vault.errors import InvalidRequest
from vault.host import HostPage
from vault.log_levels import LOGGERS, LogLevels
from vault.logical.args import parse_args
from vault.logical.context import SystemContext
from vault.logical.operation import Operation
from vault.modules.system.loggers import LoggerPaths


@pytest.fixture
def levels() -> Iterator[LogLevels]:
    """Return the levels of a host, and leave the test's own loggers as they were."""
    yield LogLevels(HostPage())
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.NOTSET)


def test_change_is_followed_by_every_process(levels: LogLevels) -> None:
    """A process that did not make a change follows it when it looks, and goes back when it is told to."""
    levels.change(("vault.audit",), "error")
    assert levels.list_levels()["vault.audit"] == "error"
    logging.getLogger("vault.audit").setLevel(logging.NOTSET)  # as in a process that has not looked yet
    levels._followed = 0
    levels.follow()
    assert not logging.getLogger("vault.audit.trail").isEnabledFor(logging.WARNING)
    levels.change(LOGGERS, "")
    assert logging.getLogger("vault.audit.trail").isEnabledFor(logging.ERROR)
    assert logging.getLogger("vault.audit").level == logging.NOTSET


@pytest.mark.parametrize(
    ("place", "fields", "text"),
    [
        ("loggers", {}, "level is required"),
        ("loggers", {"level": "foo"}, "invalid level provided: unknown log level: foo"),
        ("loggers/nosuch", {"level": "warn"}, 'logger "nosuch" not found'),
        ("loggers/root", {"level": "warn"}, 'logger "root" not found'),
    ],
)
def test_unknown_names_and_levels_are_refused(levels: LogLevels, place: str, fields: dict[str, str], text: str) -> None:
    """Nothing but the parts of the server has a level, and nothing but a level is one."""
    row = next(row for row in LoggerPaths(levels).paths() if row.match(place) is not None)
    endpoint = row.operations[Operation.UPDATE]
    context: SystemContext = None  # type: ignore[assignment]  # a refusal does not look at it
    with pytest.raises(InvalidRequest, match=text):
        endpoint.handler(context, parse_args(endpoint.args, fields, row.match(place) or {}))


def test_unused_world_keeps_its_loggers(world: World, levels: LogLevels) -> None:
    """A gate that follows no change changes nothing."""
    before = levels.list_levels()
    world.first.gate.admit("a", "192.0.2.1")
    assert levels.list_levels() == before
