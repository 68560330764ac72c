"""Settings read anew on SIGHUP: certificates, log level and whatever the service takes over. No process restarts.

The arbiter applies them for workers to come, and moves a counter that the workers of now see in shared memory: a signal to each
could come while one is being born. What cannot be used is logged and leaves everything else as it was.
"""

import mmap
from array import array
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from api.entrance import Entrance
from api.vault.sink import Sink, log_unexpected
from vault.config_file import WrongSetting
from vault.settings import Settings

_log = structlog.get_logger(__name__)


class Reloadable(Protocol):
    """What takes over new settings besides the listeners."""

    def reload(self, settings: Settings) -> None:
        """Use what can be used without a restart."""


class Reloader:
    """Reads the settings again and hands them on. Made before the fork."""

    def __init__(self, read: Callable[[], Settings], entrances: Sequence[Entrance], service: Reloadable) -> None:
        self._read = read
        self._entrances = entrances
        self._service = service
        self._count = memoryview(mmap.mmap(-1, array("Q").itemsize)).cast("Q")

    @property
    def count(self) -> int:
        """Return how often the settings were read anew."""
        return self._count[0]

    def announce(self) -> None:
        """Make every worker read the settings anew."""
        self._count[0] += 1

    def apply(self, sink: Sink) -> None:
        """Read the settings and use them; never raises."""
        try:
            settings = self._read()
            self._service.reload(settings)
        except WrongSetting as wrong:
            _log.error("settings not taken over", reason=str(wrong))
            return
        except Exception as error:  # noqa: BLE001 - a server that runs must not end for it
            log_unexpected(error)
            return
        sink.log_access = settings.log_level == "debug"
        self._renew(settings)
        _log.info("settings read again")

    def _renew(self, settings: Settings) -> None:
        known = {str(entrance.listener.address): entrance for entrance in self._entrances}
        listed = {str(listener.address): listener for listener in settings.listeners}
        if known.keys() != listed.keys():
            _log.warning("listeners changed: restart to open or close them")
        for address in known.keys() & listed.keys():
            tls = listed[address].tls
            if (tls is None) != (known[address].listener.tls is None):
                _log.warning("TLS switched on or off: restart for it", listener=address)
            elif tls is not None:
                try:
                    known[address].renew(tls)
                except WrongSetting as wrong:
                    _log.error("certificate not taken over", listener=address, reason=str(wrong))
