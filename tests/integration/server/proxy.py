"""A wire between a server and PostgreSQL that a test can cut or silence, for the connections that listen for notices only.

Surprise: it knows a listener by the statement that makes it one, so everything else of the same server goes on undisturbed.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

_MARK = b"LISTEN vault_change"
_CHUNK = 65_536


class _Wire:
    """One connection through the proxy."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self.listens = False
        for source, target in ((client, server), (server, client)):
            threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                if source is self._client and _MARK in data:
                    self.listens = True
                if self.listens:
                    self._proxy.passing.wait()
                    self._proxy.asked += source is self._client
                target.sendall(data)
        self.close()

    def close(self) -> None:
        """End both halves."""
        for end in (self._client, self._server):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


class Proxy:
    """Listens on a port of this machine and carries to the socket of a PostgreSQL."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._wires: list[_Wire] = []
        self.passing = threading.Event()  # cleared: what a listener sends or is sent stays here, and its connection open
        self.passing.set()
        self.asked = 0  # how often a listener has sent something
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._door.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._door.close()
        self.passing.set()
        for wire in self._wires:
            wire.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._path)
                self._wires.append(_Wire(self, client, server))

    def cut(self) -> int:
        """Break the connections of all listeners; return how many there were."""
        found = [wire for wire in self._wires if wire.listens]
        self._wires = [wire for wire in self._wires if not wire.listens]
        for wire in found:
            wire.close()
        return len(found)
