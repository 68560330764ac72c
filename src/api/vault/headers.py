"""The headers of a request by their names in lower case. Nothing is copied: most requests are handled without a look at them."""

from collections.abc import Iterator, Mapping
from typing import Any

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
