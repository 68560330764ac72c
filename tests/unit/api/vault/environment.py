"""WSGI environments for tests, as our worker makes them."""

import io
from typing import Any


def make(method: str, target: str, *, body: bytes = b"", **extra: Any) -> dict[str, Any]:
    """Return an environment; a body brings its length along."""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "RAW_URI": target if target.startswith(("/", "*", "http:")) else f"/v1/{target}",
        "PATH_INFO": "/v1/",
        "REMOTE_ADDR": "192.0.2.1",
        "REMOTE_PORT": "4711",
        "wsgi.input": io.BytesIO(body),
        **extra,
    }
    if body and "HTTP_TRANSFER_ENCODING" not in extra:
        environ.setdefault("CONTENT_LENGTH", str(len(body)))
    return environ


class Unread(io.BytesIO):
    """A body that must not be touched."""

    def read(self, size: int | None = -1, /) -> bytes:
        raise AssertionError("the body was read")
