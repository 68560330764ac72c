import pytest

from api.vault.headers import Headers

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
