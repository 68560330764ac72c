"""A device that sends records to another program or machine: each record a line of a stream, or a datagram.

Surprise: that a record was accepted means that the kernel has taken it, not that anybody has read it. A stream is looked at before
each record: whether its other end is still there, and whether what was sent before arrives. Of datagrams nobody can tell.
"""

import fcntl
import os
import select
import socket
import struct
import termios
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from threading import Thread
from typing import Any

from vault.audit.devices.stream import WAIT_SECONDS, Stream
from vault.audit.sink import HalfWritten, Position
from vault.clock import SystemClock

_KINDS: Mapping[str, tuple[int, int]] = {
    "tcp": (socket.AF_INET, socket.SOCK_STREAM),
    "udp": (socket.AF_INET, socket.SOCK_DGRAM),
    "unix": (socket.AF_UNIX, socket.SOCK_STREAM),
    "unixgram": (socket.AF_UNIX, socket.SOCK_DGRAM),
}
SOCKET_TYPES = frozenset(_KINDS)
_GIVE_UP_MILLISECONDS = 30_000  # of nothing arriving, until a new connection is tried
_LOOKUP_SECONDS_MIN = 0.01  # an address that needs no resolver is there by then
_GONE = select.POLLIN | select.POLLRDHUP
_UNROUTABLE = frozenset({"", "0.0.0.0", "::"})  # noqa: S104 - refused as a destination


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where records go: a host and port, or the path of a UNIX socket."""

    socket_type: str
    address: str

    def __post_init__(self) -> None:
        if self.socket_type not in _KINDS:
            raise ValueError(f"socket_type must be one of {', '.join(sorted(_KINDS))}")
        if self.is_local:
            if not self.address.startswith("/"):
                raise ValueError("address must be the path of a UNIX socket")
        else:
            split_host(self.address)

    @property
    def is_local(self) -> bool:
        """Return whether it is a UNIX socket."""
        return _KINDS[self.socket_type][0] == socket.AF_UNIX

    @property
    def is_datagram(self) -> bool:
        """Return whether each record is a message of its own."""
        return _KINDS[self.socket_type][1] == socket.SOCK_DGRAM


class _Lookup:
    """Looking a name up. The resolver keeps its own time, which is too long: it works on while nobody waits for it."""

    def __init__(self, destination: Destination) -> None:
        self._found: list[Any] = []
        host, port = split_host(destination.address)
        kind = _KINDS[destination.socket_type][1]

        def look_up() -> None:
            with suppress(OSError):
                self._found.extend(socket.getaddrinfo(host, port, type=kind))

        self._thread = Thread(target=look_up, name="audit-lookup", daemon=True)
        self._thread.start()

    def wait(self, seconds: float) -> tuple[int, Any] | None:
        """Return family and address, None while there is no answer; raises OSError where there is no such name."""
        self._thread.join(seconds)
        if self._thread.is_alive():
            return None
        if not self._found:
            raise OSError("the host of the address is not known")
        return self._found[0][0], self._found[0][4]


def split_host(address: str) -> tuple[str, int]:
    """Return host and port of an address; raises ValueError."""
    host, separator, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not separator or host in _UNROUTABLE or not port.isdecimal() or not 0 < int(port) < 65536:
        raise ValueError("address must be host:port")
    return host, int(port)


class SocketSink(Stream):
    """A connection, made when it is needed and again when it broke."""

    def __init__(
        self,
        destination: Destination,
        seconds: float = WAIT_SECONDS,
        frame: Callable[[bytes], bytes] | None = None,
        *,
        is_line: bool = True,
        monotonic: Callable[[], float] = SystemClock.monotonic,
    ) -> None:
        """`frame` returns a record as it is sent, of a line without its end; `is_line` whether the end of a line ends it."""
        super().__init__(seconds, monotonic)
        self._destination = destination
        self._seconds = seconds
        self._frame = frame or (lambda line: line + b"\n")
        self._is_line = is_line
        self._is_half = False  # a part of a record was sent: the next one begins a new line
        self._socket: socket.socket | None = None
        self._owner = 0  # the process that made it: one inherited over a fork is not ours
        self._pending = False  # a connection is on its way
        self._lookup: _Lookup | None = None
        self._waiting = 0  # bytes that had not arrived yet when the last record was sent
        self._moved_at = 0.0  # when there were none, or less than before

    def __del__(self) -> None:  # a device that was disabled leaves no connection
        self._close()

    def write(self, data: bytes, position: Position) -> Position:
        """Send every line; raises OSError, TimeoutError where nothing was sent."""
        self._patience.begin()
        begun = False
        try:
            self._connect()
            self._require_progress()
            for line in data.split(b"\n")[:-1]:
                self._send(self._frame(line))
                begun = True
        except HalfWritten:
            self._is_half = True
            if not self._is_line:
                self._close()
            raise
        except TimeoutError as error:
            if begun:
                raise HalfWritten(str(error)) from error
            raise
        except OSError:
            self._close()
            raise
        return position

    def _send(self, message: bytes) -> None:
        if self._is_half:
            message = b"\n" + message
        sent = 0
        while sent < len(message):
            try:
                sent += self._require_socket().send(message[sent:], socket.MSG_NOSIGNAL)
            except BlockingIOError:
                if not self._await(select.POLLOUT):
                    if sent:
                        raise HalfWritten("the receiver got stuck within a record") from None
                    raise TimeoutError("the receiver takes no record") from None
        self._is_half = False

    def _connect(self) -> None:
        """Have a connection; one that is on its way is waited for, and stays on its way when the time is over."""
        if self._owner != os.getpid():
            self._socket, self._pending, self._lookup, self._owner = None, False, None, os.getpid()
        if self._socket is not None and not self._pending and self._has_ended(self._socket):
            self._close()
        if self._socket is None:
            self._begin()
        if self._pending:
            if not self._await(select.POLLOUT):
                raise TimeoutError("the receiver does not answer")
            error = self._require_socket().getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            self._pending = False

    def _require_progress(self) -> None:
        """Refuse while nothing of what was sent before arrives: that there is room for more says nothing of its reader."""
        if self._destination.is_datagram:
            return
        waiting = struct.unpack("i", fcntl.ioctl(self._require_socket(), termios.TIOCOUTQ, bytes(4)))[0]
        now = self._patience.now
        if not waiting or waiting < self._waiting:
            self._moved_at = now
        self._waiting = waiting
        if waiting and now - self._moved_at > self._seconds:
            raise TimeoutError("what was sent to the receiver does not arrive")

    def _begin(self) -> None:
        family, address = self._find_address()
        self._waiting, self._moved_at = 0, self._patience.now
        _, kind = _KINDS[self._destination.socket_type]
        self._socket = made = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        if family != socket.AF_UNIX and kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _GIVE_UP_MILLISECONDS)
        try:
            made.connect(address)
        except BlockingIOError as error:
            if family == socket.AF_UNIX:  # its queue is full: unlike over TCP, nothing is on its way
                raise TimeoutError("the receiver takes no connection") from error
            self._pending = True

    def _find_address(self) -> tuple[int, Any]:
        if self._destination.is_local:
            return socket.AF_UNIX, self._destination.address
        lookup, self._lookup = self._lookup or _Lookup(self._destination), None
        found = lookup.wait(max(self._patience.remaining_milliseconds() / 1000, _LOOKUP_SECONDS_MIN))
        if found is None:
            self._lookup = lookup
            raise TimeoutError("the host of the address is not looked up in time")
        return found

    def _has_ended(self, connected: socket.socket) -> bool:
        """Return whether the other side is known to be gone. It has nothing to say, so whatever comes is thrown away."""
        poll = select.poll()
        poll.register(connected.fileno(), _GONE)
        if not poll.poll(0):
            return False
        try:
            return not connected.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _require_socket(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError("the connection is lost")
        return self._socket

    def _await(self, event: int) -> bool:
        return self._patience.await_event(self._require_socket().fileno(), event)

    def _close(self) -> None:
        if self._socket is not None and self._owner == os.getpid():
            self._socket.close()
        self._socket, self._pending, self._is_half = None, False, False
