from base64 import b64encode

import pytest

from api.vault.headers import Headers, parse_basic

ENVIRON = {"REQUEST_METHOD": "GET", "HTTP_X_ONE": "1", "HTTP_X_VAULT_TOKEN": "secret", "CONTENT_TYPE": "text/plain", "PATH_INFO": "/"}


def test_headers_are_found_by_their_names() -> None:
    """In any case; nothing else of the environment is a header."""
    headers = Headers(ENVIRON)
    assert headers["x-one"] == headers["X-One"] == "1"
    assert headers.get("content-type") == "text/plain"
    assert headers.get("path-info") is None
    assert headers.get("request-method") is None
    with pytest.raises(KeyError):
        headers["none"]
    assert dict(headers) == {"x-one": "1", "x-vault-token": "secret", "content-type": "text/plain"}
    assert len(headers) == 3


def test_headers_do_not_print_what_they_hold() -> None:
    """A token is among them."""
    assert "secret" not in repr(Headers(ENVIRON))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Basic",
        "Basic ",
        "Basic !!",
        "Basic YQ",
        "Basic YQ==",
        "Basic YTpi,Basic YTpi",
        "Basic YTpi YTpi",
        "Basic /zo=",
        "Bearer YTpi",
        "Basic JUZGOmI=",
        "Basic " + "YTpi" * 3000,
    ],
)
def test_credentials_that_cannot_be_read_are_none(text: str) -> None:
    """Doubled, damaged, not UTF-8, without a colon, too long or of another kind: nobody is named."""
    assert parse_basic(text) is None


@pytest.mark.parametrize(
    ("plain", "name", "secret"),
    [("a:b", "a", "b"), ("a:", "a", ""), (":b", "", "b"), ("a:b:c", "a", "b:c"), ("a%3Ab:c%2Bd+e", "a:b", "c+d e"), ("é:ü", "é", "ü")],
)
def test_credentials_are_those_of_a_form(plain: str, name: str, secret: str) -> None:
    """Name and secret are encoded as RFC 6749 says; the name of the scheme has no case."""
    for scheme in ("Basic", "basic", "BASIC"):
        found = parse_basic(f"{scheme} {b64encode(plain.encode()).decode()}")
        assert found is not None
        assert (found.name, found.secret.reveal()) == (name, secret)
        assert secret not in repr(found) or not secret
