"""One listener as the workers need it: its limits, what it opens to strangers, its certificate.

Surprise: the sockets are gunicorn's. They come in the order of the listeners, which is how a connection knows where it came in.
"""

import socket
from typing import Any

from OpenSSL import SSL

from api.tls import PlainStream, Stream, TlsStream, make_context
from vault import limits
from vault.settings import Listener, Settings, Tls

_ENVIRON = {
    "SCRIPT_NAME": "",
    "wsgi.errors": None,
    "wsgi.version": (1, 0),
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
}


class Entrance:
    """A listener with what new connections of it need."""

    def __init__(self, listener: Listener, body_seconds_max: float = limits.BODY_SECONDS_MAX) -> None:
        self.listener = listener
        self.body_seconds_max = body_seconds_max
        self._context: SSL.Context | None = make_context(listener.tls) if listener.tls else None
        # What every request that comes in here has in its WSGI environment.
        self.environ: dict[str, Any] = {
            **_ENVIRON,
            "wsgi.url_scheme": "https" if listener.tls else "http",
            "SERVER_NAME": listener.address.host,
            "SERVER_PORT": str(listener.address.port),
            "health_vault.body_bytes_max": listener.body_bytes_max,
            "health_vault.open_doors": list_open_doors(listener),
        }

    def open(self, sock: socket.socket) -> Stream:
        """Return the bytes of a new connection."""
        return PlainStream(sock) if self._context is None else TlsStream(self._context, sock)

    def renew(self, tls: Tls) -> None:
        """Use these certificates for new connections; raises WrongSetting, and then goes on with those before."""
        if self._context is not None:
            self._context = make_context(tls)


def list_open_doors(listener: Listener) -> frozenset[str]:
    """Return what the clients of a listener may do without a token."""
    doors = {
        "metrics": listener.unauthenticated_metrics,
        "in-flight-req": listener.unauthenticated_in_flight,
        "rekey": listener.unauthenticated_rekey,
        "generate-root": listener.unauthenticated_generate_root,
    }
    return frozenset(name for name, is_open in doors.items() if is_open)


def make_entrances(settings: Settings) -> tuple[Entrance, ...]:
    """Return the entrances of a server; raises WrongSetting where a certificate cannot be used."""
    seconds = min(limits.BODY_SECONDS_MAX, settings.request_seconds_max)
    return tuple(Entrance(listener, seconds) for listener in settings.listeners)
