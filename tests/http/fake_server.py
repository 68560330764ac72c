"""Our server over a core that does what the path says. Run as a program: a file with its settings, and a file for what the core saw."""

import json
import os
import sys
import time
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import falcon

from api.app import App
from api.entrance import make_entrances
from api.server import Application
from vault import log
from vault.config import combine
from vault.errors import VaultError
from vault.logical.request import Request
from vault.logical.response import Response
from vault.options import parse_address
from vault.settings import Listener, Proxies, Settings, Tls


class FakeCore:
    def __init__(self, seen: Path) -> None:
        self._seen = seen

    def note(self, text: str) -> None:
        with self._seen.open("a") as file:
            file.write(f"{text}\n")

    def handle(self, request: Request) -> Response | None:
        self.note(f"handle {request.operation} {request.path}")
        word, _, number = request.path.partition("/")
        if word == "slow":
            time.sleep(int(number) / 1000)
            self.note(f"done {request.path}")
        if word == "sent":
            return Response(data={}, sent=lambda: self.note(f"sent {request.path}"))
        if word == "big":
            return Response(data={"text": "~" * int(number)})
        if word == "client":
            return Response(data={"address": request.remote_address, "doors": sorted(request.open_doors)})
        return Response(data={"path": request.path, "pid": os.getpid(), "data": request.data})

    def record(self, request: Request) -> None:
        self.note(f"record {request.path}")

    def refuse(self, request: Request, error: VaultError) -> None:
        self.note(f"refuse {request.path} {type(error).__name__} {request.remote_address}")


class FakeService:
    def __init__(self, seen: Path) -> None:
        self.core = FakeCore(seen)
        self.gate = None
        self.operations = SimpleNamespace()
        self.waiting = SimpleNamespace(stand_in=None)

    def start_worker(self) -> None:
        self.core.note(f"start {os.getpid()}")

    def stop_worker(self) -> None:
        self.core.note(f"stop {os.getpid()}")

    def reload(self, settings: Settings) -> None:
        log.configure(settings)
        self.core.note(f"reload {os.getpid()} {settings.log_level}")

    def worker_died(self) -> None:
        self.core.note("died")


class Peer:
    """Answers with the certificate that the client showed."""

    def on_get(self, request: falcon.Request, response: falcon.Response) -> None:
        response.data = b"".join(request.env["health_vault.certificates"]())


class FakeApplication(Application):
    def load(self) -> App:
        app = super().load()
        app.add_route("/peer/certificate", Peer())
        return app


def _read_listener(values: dict[str, Any]) -> Listener:
    proxies = values.pop("proxies", {})
    if "networks" in proxies:
        proxies["networks"] = tuple(ip_network(network) for network in proxies["networks"])
    tls = values.pop("tls", None)
    return Listener(address=parse_address(values.pop("address")), tls=Tls(**tls) if tls else None, proxies=Proxies(**proxies), **values)


def read_settings(file: Path) -> Settings:
    """Return the settings that a file holds, as JSON."""
    values = json.loads(file.read_text())
    listeners = tuple(_read_listener(listener) for listener in values.pop("listeners"))
    return replace(combine(dev=True, flags={}, environment={}, files=()), listeners=listeners, **values)


def main() -> None:
    """Serve until stopped."""
    file, seen = (Path(name) for name in sys.argv[1:])
    settings = read_settings(file)
    log.configure(settings)
    service: Any = FakeService(seen)
    FakeApplication(settings, service, None, make_entrances(settings), lambda: read_settings(file)).run()


if __name__ == "__main__":
    main()
