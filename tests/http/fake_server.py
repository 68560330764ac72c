"""Our server over a core that does what the path says. Run as a program: address, workers, threads, and a file for what the core saw."""

import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from api.server import Application
from vault import log
from vault.config import combine
from vault.errors import VaultError
from vault.logical.request import Request
from vault.logical.response import Response


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
        if word == "big":
            return Response(data={"text": "~" * int(number)})
        return Response(data={"path": request.path, "pid": os.getpid(), "data": request.data})

    def record(self, request: Request) -> None:
        self.note(f"record {request.path}")

    def refuse(self, request: Request, error: VaultError) -> None:
        self.note(f"refuse {request.path} {type(error).__name__}")


class FakeService:
    def __init__(self, seen: Path) -> None:
        self.core = FakeCore(seen)
        self.gate = None
        self.operations = SimpleNamespace()

    def start_worker(self) -> None:
        self.core.note(f"start {os.getpid()}")

    def stop_worker(self) -> None:
        self.core.note(f"stop {os.getpid()}")

    def worker_died(self) -> None:
        self.core.note("died")


def main() -> None:
    """Serve until stopped."""
    address, workers, threads, seen = sys.argv[1:]
    settings = combine(dev=True, flags={"address": address, "workers": workers, "threads": threads}, environment={}, files=())
    log.configure(settings)
    service = FakeService(Path(seen))
    Application(settings, service, None).run()  # type: ignore[arg-type]  # a fake of the service


if __name__ == "__main__":
    main()
