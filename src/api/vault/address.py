"""The request target: one spelling for each path, or 400.

Works from the raw target, because what servers call PATH_INFO is decoded already and `%2F` can no longer be told from `/`. Policies
are decided on the text that comes out of here, so a path that could be read in two ways is never routed.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from vault import limits
from vault.errors import HeaderTooLarge, InvalidRequest, UnsupportedPath

PREFIX = "/v1/"
_QUERY_FIELDS_MAX = 100
# Most paths by far: nothing to decode, nothing to doubt.
_PLAIN = re.compile(r"[A-Za-z0-9_~:@!$&'()*+,=-][A-Za-z0-9_~:@!$&'()*+,=.-]*(?:/[A-Za-z0-9_~:@!$&'()*+,=-][A-Za-z0-9_~:@!$&'()*+,=.-]*)*/?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})|%2[Ff]")
# Still encoded after decoding once: whoever decodes again would see another path.
_TWICE_ENCODED = re.compile(r"%[0-7][0-9A-Fa-f]")
_DOT_SEGMENT = re.compile(r"(?:^|/)\.{1,2}(?:/|$)")
_DOUBTFUL = frozenset("\\;")


@dataclass(frozen=True, slots=True)
class Target:
    """A request target taken apart, still encoded."""

    path: str  # below /v1/
    query: str


def split_target(raw: str) -> Target:
    """Take a raw target apart; raises UnsupportedPath for everything that is not below /v1/."""
    path, _, query = raw.partition("?")
    if not path.startswith(PREFIX):
        raise UnsupportedPath("")
    return Target(path[len(PREFIX) :], query)


def parse_path(encoded: str) -> str:
    """Return the canonical path; raises InvalidRequest where there is more than one way to read it."""
    if len(encoded) > limits.PATH_BYTES_MAX:
        raise HeaderTooLarge("path too long")
    if _PLAIN.fullmatch(encoded):
        return encoded
    if _BAD_ESCAPE.search(encoded):
        raise InvalidRequest("invalid escape in path")
    path = _decode(encoded)
    if "//" in path or path.startswith("/"):
        raise InvalidRequest("empty segment in path")
    if _DOT_SEGMENT.search(path):
        raise InvalidRequest("relative paths not supported")
    if not path.isprintable() or _TWICE_ENCODED.search(path) or not _DOUBTFUL.isdisjoint(path) or "#" in encoded:
        raise InvalidRequest("path contains invalid characters")
    if not unicodedata.is_normalized("NFC", path):
        raise InvalidRequest("path is not in Unicode normalization form C")
    return path


def _decode(encoded: str) -> str:
    try:
        # Servers hand the target over byte for byte as latin-1.
        return unquote_to_bytes(encoded.encode("latin-1")).decode()
    except UnicodeError:
        raise InvalidRequest("invalid UTF-8 in target") from None


def parse_query(query: str) -> dict[str, Any]:
    """Return the fields of a query string or form: one value as a string, several as a list."""
    if not query:
        return {}
    pairs = query.split("&")
    if len(pairs) > _QUERY_FIELDS_MAX:
        raise InvalidRequest("too many fields")
    fields: dict[str, Any] = {}
    for pair in pairs:
        if not pair:
            continue
        name, _, value = (_decode(part.replace("+", " ")) for part in pair.partition("="))
        if "\0" in name or "\0" in value:
            raise InvalidRequest("NUL in a field")
        if name not in fields:
            fields[name] = value
        elif isinstance(fields[name], list):
            fields[name].append(value)
        else:
            fields[name] = [fields[name], value]
    return fields
