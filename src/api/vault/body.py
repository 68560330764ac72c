"""The fields of a request body: what may be in it, and how much of it is read."""

from collections.abc import Mapping
from typing import Any

from api.vault.address import parse_query
from vault import limits
from vault.errors import InvalidRequest, TooLarge, UnsupportedMediaType
from vault.logical.json import decode_object

MERGE_PATCH = "application/merge-patch+json"
FORM = "application/x-www-form-urlencoded"
# The Go client names no type at all.
_JSON = frozenset({"", "application/json", MERGE_PATCH})
_CHARSETS = frozenset({"", "charset=utf-8", 'charset="utf-8"'})


def check_framing(environ: Mapping[str, Any]) -> None:
    """Refuse a body before anything of it is read: too large by its own word, or compressed."""
    length = environ.get("CONTENT_LENGTH")
    if length and int(length) > _bytes_max(environ):
        raise TooLarge
    if environ.get("HTTP_CONTENT_ENCODING", "identity").lower() != "identity":
        raise UnsupportedMediaType("Content-Encoding is not supported")


def read_fields(environ: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a write; raises InvalidRequest, UnsupportedMediaType or TooLarge."""
    body = _read(environ)
    if not body:
        return {}
    media_type, parameters = _media_type(environ)
    if parameters not in _CHARSETS:
        raise UnsupportedMediaType
    if media_type in _JSON:
        return decode_object(body)
    if media_type != FORM:
        raise UnsupportedMediaType
    # curl says form of everything it is given, so Vault looks at the content.
    return decode_object(body) if body.lstrip()[:1] in (b"{", b"[") else _read_form(body)


def check_patch(environ: Mapping[str, Any]) -> None:
    """Refuse a patch that does not say of which kind it is."""
    media_type, _ = _media_type(environ)
    if not media_type:
        raise InvalidRequest("mime: no media type")
    if media_type != MERGE_PATCH:
        raise UnsupportedMediaType(f"PATCH requires Content-Type of {MERGE_PATCH}, provided {media_type}")


def _media_type(environ: Mapping[str, Any]) -> tuple[str, str]:
    media_type, _, parameters = environ.get("CONTENT_TYPE", "").lower().partition(";")
    return media_type.strip(), parameters.strip()


def _read(environ: Mapping[str, Any]) -> bytes:
    stream = environ["wsgi.input"]
    length = environ.get("CONTENT_LENGTH")
    if length:
        body = stream.read(int(length))
        if len(body) < int(length):
            raise InvalidRequest("incomplete body")
        return bytes(body)
    if "HTTP_TRANSFER_ENCODING" not in environ:
        return b""
    bytes_max = _bytes_max(environ)
    body = stream.read(bytes_max + 1)
    if len(body) > bytes_max:
        raise TooLarge
    return bytes(body)


def _bytes_max(environ: Mapping[str, Any]) -> int:
    return int(environ.get("health_vault.body_bytes_max", limits.BODY_BYTES_MAX))


def _read_form(body: bytes) -> Mapping[str, Any]:
    try:
        fields = parse_query(body.decode("ascii"))
    except UnicodeDecodeError:
        raise InvalidRequest("invalid form") from None
    return {name: ",".join(value) if isinstance(value, list) else value for name, value in fields.items()}
