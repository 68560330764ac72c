"""A server of somebody else on loopback, whose answers a test chooses byte by byte: also those that no server should give."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Behaviour = Callable[[socket.socket], None]


@dataclass(slots=True, kw_only=True)
class Foreign:
    """A listening server; every connection gets the behaviour of the moment."""

    port: int
    behaviour: Behaviour
    heads: list[bytes] = field(default_factory=list)  # of the requests, as they came
    tls: ssl.SSLContext | None = None

    @property
    def url(self) -> str:
        """Return its address."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def serve(self, body: bytes, status: str = "200 OK") -> None:
        """Answer everything with this from now on."""
        head = f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        self.behaviour = lambda connection: connection.sendall(head + body)

    def handle(self, connection: socket.socket) -> None:
        """Read the head of a request and behave."""
        with suppress(OSError), connection:
            wrapped = self.tls.wrap_socket(connection, server_side=True) if self.tls else connection
            with wrapped:
                head = b""
                while b"\r\n\r\n" not in head and (chunk := wrapped.recv(65_536)):
                    head += chunk
                self.heads.append(head)
                self.behaviour(wrapped)


@contextmanager
def foreign_server(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> Iterator[Foreign]:
    """Run such a server."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = Foreign(port=listening.getsockname()[1], behaviour=behaviour, tls=tls)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    threading.Thread(target=server.handle, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(5)
