"""A device that writes to syslog: the local one in its own form, one on another machine as RFC 5424 says.

Surprise: most syslog servers cut long messages, at 2 or 8 KiB if nobody tells them otherwise, and a record that was cut is none.
"""

import os
import re
import socket as sockets
from collections.abc import Callable
from logging.handlers import SysLogHandler

from vault.audit.devices.socket import Destination, SocketSink
from vault.audit.devices.stream import WAIT_SECONDS

LOCAL = "/dev/log"
FACILITIES = frozenset(SysLogHandler.facility_names)
_TAG = re.compile(r"[!-9;-Z\\^-~]{1,32}", re.ASCII)  # printable, without what ends a tag


def make_syslog(facility: str, tag: str, destination: Destination, seconds: float = WAIT_SECONDS) -> SocketSink:
    """Return the sink; raises ValueError for a facility or tag that cannot be."""
    if facility.lower() not in FACILITIES:
        raise ValueError(f"facility must be one of {', '.join(sorted(FACILITIES))}")
    if not _TAG.fullmatch(tag):
        raise ValueError("tag must be at most 32 printable characters without spaces, colons and brackets")
    priority = SysLogHandler.facility_names[facility.lower()] << 3 | SysLogHandler.LOG_INFO
    frame = _frame_local(priority, tag) if destination.is_local else _frame_remote(priority, tag)
    return SocketSink(destination, seconds, frame if destination.is_datagram else _count_octets(frame), is_line=False)


def _frame_local(priority: int, tag: str) -> Callable[[bytes], bytes]:
    """Return the form that local servers take (RFC 3164); without a time, which they put there themselves."""
    return lambda line: b"<%d>%b[%d]: %b" % (priority, tag.encode(), os.getpid(), line)


def _frame_remote(priority: int, tag: str) -> Callable[[bytes], bytes]:
    """Return the form of RFC 5424; the time is that of the record."""
    host = re.sub(r"[^!-~]", "", sockets.gethostname())[:255] or "-"

    def frame(line: bytes) -> bytes:
        _, _, rest = line.partition(b'"time":"')
        time = re.sub(rb"(\.[0-9]{6})[0-9]+", rb"\1", rest.partition(b'"')[0]) or b"-"  # microseconds at most
        return b"<%d>1 %b %b %b %d - - %b" % (priority, time, host.encode(), tag.encode(), os.getpid(), line)

    return frame


def _count_octets(frame: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return messages as a stream carries them (RFC 6587): each with its length before it."""

    def count(line: bytes) -> bytes:
        message = frame(line)
        return b"%d %b" % (len(message), message)

    return count
