"""The headers of a request by their names in lower case. Nothing is copied: most requests are handled without a look at them."""

from base64 import b64decode
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote_plus

from vault import limits
from vault.logical.request import BasicCredentials
from vault.secret import Secret

_BASIC = "basic "
_PLAIN = frozenset({"CONTENT_TYPE", "CONTENT_LENGTH"})  # WSGI names these without a prefix


class Headers(Mapping[str, str]):
    """A view of a WSGI environment."""

    __slots__ = ("_environ",)

    def __init__(self, environ: Mapping[str, Any]) -> None:
        self._environ = environ

    def __getitem__(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        value = self._environ[key if key in _PLAIN else f"HTTP_{key}"]
        return str(value)

    def __iter__(self) -> Iterator[str]:
        for key in self._environ:
            if key in _PLAIN or key.startswith("HTTP_"):
                yield key.removeprefix("HTTP_").lower().replace("_", "-")

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return "Headers()"  # a token may be among them


def parse_basic(authorization: str) -> BasicCredentials | None:
    """Return what an Authorization header of the kind Basic says; None for any other, and for one that cannot be read.

    Name and secret are encoded as in a form, as RFC 6749 wants it of clients.
    """
    if authorization[: len(_BASIC)].lower() != _BASIC or len(authorization) > limits.TOKEN_BYTES_MAX:
        return None
    try:
        name, colon, secret = b64decode(authorization[len(_BASIC) :].strip(" "), validate=True).decode().partition(":")
        if not colon:
            return None
        return BasicCredentials(name=unquote_plus(name, errors="strict"), secret=Secret(unquote_plus(secret, errors="strict")))
    except ValueError:
        return None
