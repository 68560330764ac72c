"""The headers by which a browser learns what a web page of another origin may do (CORS)."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from api.vault.codec import Answer
from vault.cors import Sharing
from vault.errors import UnsupportedOperation

_METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "LIST", "SCAN")
_MAX_AGE_SECONDS = 300
_VARY = ("Vary", "Origin")


def is_preflight(environ: Mapping[str, Any]) -> bool:
    """Return whether a browser asks on behalf of a page."""
    return bool(environ["REQUEST_METHOD"] == "OPTIONS")


def has_body(environ: Mapping[str, Any]) -> bool:
    """Return whether anything follows the head of a request."""
    return environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ


def answer_preflight(environ: Mapping[str, Any], page: tuple[Sharing, str]) -> Answer:
    """Return what a page may send; raises UnsupportedOperation for a method that nothing here has."""
    sharing, _ = page
    if environ.get("HTTP_ACCESS_CONTROL_REQUEST_METHOD") not in _METHODS:
        raise UnsupportedOperation("")
    headers = (
        ("Access-Control-Allow-Methods", ",".join(_METHODS)),
        ("Access-Control-Allow-Headers", ",".join(sharing.headers)),
        ("Access-Control-Max-Age", str(_MAX_AGE_SECONDS)),
    )
    return Answer(204, headers=headers, close=has_body(environ))


def add_sharing(answer: Answer, page: tuple[Sharing, str]) -> Answer:
    """Return an answer that the page may read."""
    sharing, allowed = page
    headers = [*answer.headers, ("Access-Control-Allow-Origin", allowed), _VARY]
    if sharing.credentials:
        headers.append(("Access-Control-Allow-Credentials", "true"))
    return replace(answer, headers=tuple(headers))
