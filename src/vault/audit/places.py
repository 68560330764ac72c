"""Where checkpoints go: a file, the system's log, or a table.

Surprise: a file may end in the middle of a line, where somebody was killed. The line is delivered again by whoever comes next, so
what is there must be its beginning, and is cut off; anything else was not written by us, and nothing is added to it.
"""

import os
import socket
import stat
from collections.abc import Mapping
from contextlib import suppress
from logging import LogRecord, makeLogRecord
from logging.handlers import SysLogHandler
from pathlib import Path

from vault.audit.checkpoint import parse_checkpoint
from vault.audit.checkpointer import Place
from vault.audit.device import STREAMS
from vault.errors import InvalidRequest
from vault.settings import Settings
from vault.storage.evidence import CheckpointTable

_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_MODE = 0o600
_LINE_BYTES_MAX = 64 * 1024  # beyond any checkpoint
_SYSLOG_SECONDS = 2.0


class FilePlace:
    """A file that is opened for every line, so that it may be moved away at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def append(self, line: bytes) -> None:
        """Add a line and bring it to the disk. A folder that is gone stays gone: an audit log that was moved away with it is missed."""
        file = os.open(self._path, _FLAGS, _MODE)
        try:
            found = os.fstat(file)
            if not stat.S_ISREG(found.st_mode):
                raise OSError("not a regular file")
            self._write(file, _cut_torn(file, found.st_size, line), line + b"\n")
        finally:
            os.close(file)

    def _write(self, file: int, size: int, data: bytes) -> None:
        try:
            written = 0
            while written < len(data):
                written += os.write(file, data[written:])
            os.fdatasync(file)
        except OSError:
            with suppress(OSError):
                os.ftruncate(file, size)
            raise


def _cut_torn(file: int, size: int, line: bytes) -> int:
    """Cut off half a line at the end; return the size then."""
    tail = os.pread(file, _LINE_BYTES_MAX, max(0, size - _LINE_BYTES_MAX))
    torn = tail[tail.rfind(b"\n") + 1 :]
    if torn:
        if not line.startswith(torn):
            raise OSError("the file of the checkpoints is damaged: move it away to go on")
        os.ftruncate(file, size - len(torn))
    return size - len(torn)


class SyslogPlace:
    """The system's log: a socket on this machine, or a collector that is reached over UDP."""

    def __init__(self, options: Mapping[str, str]) -> None:
        facility = options.get("facility", "AUTH").lower()
        if facility not in SysLogHandler.facility_names:
            raise InvalidRequest(f"checkpoints: unknown facility {facility!r}")
        address = options.get("address", "/dev/log")
        host, _, port = address.rpartition(":")
        if not address.startswith("/") and not (host and port.isdecimal()):
            raise InvalidRequest("checkpoints: address must be a path, or host:port")
        self._address = address if address.startswith("/") else (host, int(port))
        self._facility = SysLogHandler.facility_names[facility]
        self._tag = options.get("tag", "health-vault")

    def append(self, line: bytes) -> None:
        """Send a line; raises OSError where nobody takes it. Over UDP nobody says so."""
        handler = _Handler(self._address, self._facility)
        try:
            handler.ident = f"{self._tag}: "
            if handler.socket is None:
                handler.createSocket()
            if handler.socket is not None:
                handler.socket.settimeout(_SYSLOG_SECONDS)
            handler.emit(makeLogRecord({"msg": line.decode(), "levelname": "NOTICE"}))
        finally:
            handler.close()


class TablePlace:
    """The table of the checkpoints. A line that is there already stays."""

    def __init__(self, table: CheckpointTable) -> None:
        self._table = table

    def append(self, line: bytes) -> None:
        """Add a row."""
        checkpoint = parse_checkpoint(line).statement
        self._table.add(checkpoint.log, checkpoint.number, line)


class _Handler(SysLogHandler):
    append_nul = False
    socket: socket.socket | None

    def mapPriority(self, levelName: str) -> str:  # noqa: N802, N803 - the names are the library's
        return "notice"

    def handleError(self, record: LogRecord) -> None:  # noqa: N802 - the name is the library's
        raise  # noqa: PLE0704 - called while an exception is handled, which the library would print and forget


def make_place(settings: Settings, table: CheckpointTable) -> Place:
    """Return the place that the settings name; raises InvalidRequest. Nothing is opened yet."""
    chosen = settings.checkpoints
    if chosen.kind == "syslog":
        return SyslogPlace(chosen.options)
    if chosen.kind == "postgres":
        return TablePlace(table)
    if chosen.kind not in {"", "file"}:
        raise InvalidRequest(f"checkpoints: unknown kind {chosen.kind!r}")
    path = chosen.options.get("file_path") or find_default_file(settings)
    if path:
        return FilePlace(Path(path))
    if chosen.kind == "file":
        raise InvalidRequest("checkpoints: file_path is required")
    return TablePlace(table)


def make_folder(settings: Settings) -> None:
    """Make the folder of the file of checkpoints, if that is where they go; call once, at the start."""
    if settings.checkpoints.kind in {"", "file"}:
        path = settings.checkpoints.options.get("file_path") or find_default_file(settings)
        if path:
            try:
                Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            except OSError as error:
                raise InvalidRequest(f"checkpoints: the folder of {path} cannot be made: {error.strerror}") from None


def find_default_file(settings: Settings) -> str:
    """Return the file beside the first audit file; without one, a file in a folder that is ours; empty if there is none."""
    files = (device.options.get("file_path") or device.options.get("path", "") for device in settings.audit if device.kind == "file")
    first = next((name for name in files if name and name not in STREAMS), "")
    if first:
        return f"{first}.checkpoints"
    folder = settings.audit_dir or (settings.data_dir if settings.storage.kind == "embedded" else "")
    return str(Path(folder, "audit.log.checkpoints")) if folder else ""
