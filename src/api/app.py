"""The WSGI application: a Falcon app whose sink is the vault.

The vault's requests do not pass through Falcon's request and response objects: they cost as much as decoding does. Routes added to the
app go to Falcon as usual, and everything below their first two segments with them.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import falcon

from api.exchange import SENT
from api.vault.sink import Door, Gate, Sink, list_headers, status_line


class App(falcon.App[falcon.Request, falcon.Response]):
    """Falcon for resources, the vault for the rest."""

    def __init__(self, sink: Sink) -> None:
        super().__init__(cors_enable=False)
        self.sink = sink
        self._claimed: set[str] = set()

    def add_route(self, uri_template: str, resource: object, **arguments: Any) -> None:
        """Add a resource, and leave to Falcon all that begins like it."""
        claimed = _head(uri_template)
        if "{" in claimed:
            raise ValueError("the first two segments of a route must be literal")
        super().add_route(uri_template, resource, **arguments)
        self._claimed.add(claimed)

    def __call__(self, env: dict[str, Any], start_response: Callable[..., Callable[[bytes], object]]) -> Iterable[bytes]:
        """Answer a request (WSGI)."""
        if self._claimed and _head(env["PATH_INFO"]) in self._claimed:
            return super().__call__(env, start_response)
        answer = self.sink.answer(env)
        if answer.sent is not None:
            env[SENT] = answer.sent
        start_response(status_line(answer.status), list_headers(answer))
        return (answer.body,)

    def accepts_head(self, env: Mapping[str, Any]) -> bool:
        """Return whether the body of a request is worth waiting for; resources judge that by themselves."""
        return _head(env["PATH_INFO"]) in self._claimed or self.sink.accepts_head(env)


def _head(path: str) -> str:
    return "/".join(path.split("/", 3)[:3])


def create_app(core: Door, gate: Gate | None = None, *, log_access: bool = False) -> App:
    """Return the application over a core."""
    return App(Sink(core, gate, log_access=log_access))
