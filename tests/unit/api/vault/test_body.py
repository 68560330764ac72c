import io
from typing import Any

import pytest

from api.vault.body import check_framing, read_fields
from tests.unit.api.vault.environment import Unread, make
from vault import limits
from vault.errors import InvalidRequest, TooLarge, UnsupportedMediaType, VaultError

OBJECT = b'{"a":1}'
FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("extra", "error"),
    [
        ({"CONTENT_LENGTH": str(limits.BODY_BYTES_MAX + 1)}, TooLarge),
        ({"CONTENT_LENGTH": "5", "HTTP_CONTENT_ENCODING": "gzip"}, UnsupportedMediaType),
        ({"CONTENT_LENGTH": "5", "HTTP_CONTENT_ENCODING": "identity, gzip"}, UnsupportedMediaType),
    ],
)
def test_body_is_refused_by_its_head(extra: dict[str, Any], error: type[VaultError]) -> None:
    """What is too large or compressed is refused before a byte of it is read."""
    environ = make("POST", "secret/a", **extra)
    environ["wsgi.input"] = Unread()
    with pytest.raises(error):
        check_framing(environ)


def test_chunked_body_is_cut_at_the_limit() -> None:
    """A body without a length is read no further than the limit."""
    environ = make("POST", "secret/a", HTTP_TRANSFER_ENCODING="chunked")
    source = io.BytesIO(b"a" * (limits.BODY_BYTES_MAX + 1_000_000))
    environ["wsgi.input"] = source
    with pytest.raises(TooLarge):
        read_fields(environ)
    assert source.tell() == limits.BODY_BYTES_MAX + 1


@pytest.mark.parametrize(
    "media_type", ["text/plain", "text/json", "multipart/form-data; boundary=x", "application/xml", "application/json; charset=utf-16"]
)
def test_body_of_another_type_is_refused(media_type: str) -> None:
    """JSON counts only under the types that promise it."""
    with pytest.raises(UnsupportedMediaType):
        read_fields(make("POST", "secret/a", body=OBJECT, CONTENT_TYPE=media_type))


@pytest.mark.parametrize(
    "body", [b"[1]", b'"a"', b"5", b"true", b"{", b'{"a":1}x', OBJECT.decode().encode("utf-16"), b"\xef\xbb\xbf" + OBJECT, b"+AHs-"]
)
def test_body_that_is_no_object_is_refused(body: bytes) -> None:
    """One JSON object in UTF-8, nothing else; the refusal repeats nothing of it."""
    with pytest.raises(InvalidRequest) as refusal:
        read_fields(make("POST", "secret/a", body=body))
    assert body.decode("latin-1") not in str(refusal.value)


def test_body_shorter_than_announced_is_refused() -> None:
    """A client that left in the middle has written nothing."""
    with pytest.raises(InvalidRequest):
        read_fields(make("POST", "secret/a", body=OBJECT, CONTENT_LENGTH="8"))


@pytest.mark.parametrize(
    ("body", "media_type", "fields"),
    [
        (b"", "text/plain", {}),
        (b"", "application/json", {}),
        (b"null", "", {}),
        (OBJECT, "", {"a": 1}),
        (OBJECT, "application/json", {"a": 1}),
        (OBJECT, "Application/JSON; charset=UTF-8", {"a": 1}),
        (OBJECT, "application/merge-patch+json", {"a": 1}),
        (OBJECT, FORM, {"a": 1}),
        (b"a=1&b=two&b=three", FORM, {"a": "1", "b": "two,three"}),
    ],
)
def test_body_fields_follow_the_type(body: bytes, media_type: str, fields: dict[str, Any]) -> None:
    """JSON that curl calls a form, and that the Go client calls nothing, is read."""
    assert read_fields(make("POST", "secret/a", body=body, CONTENT_TYPE=media_type)) == fields
