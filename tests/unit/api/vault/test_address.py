import pytest

from api.vault.address import parse_path, parse_query, split_target
from vault import limits
from vault.errors import HeaderTooLarge, InvalidRequest, UnsupportedPath

ALIASES = (
    "secret//a",
    "/secret/a",
    "secret/./a",
    "secret/../a",
    "./a",
    "..",
    "secret/..",
    "secret/%2e%2e/a",
    "secret/%2E/a",
    "secret%2Fa",
    "secret%2fa",
    "secret%252Fa",
    "secret/%252e%252e/a",
    "secret/%2561",
    "secret/a%2500",
    "secret/a%00",
    "secret/a%0a",
    "secret/a%0D",
    "secret/a%7f",
    "secret/a\\b",
    "secret/a%5Cb",
    "secret/a;x",
    "secret/a%3Bx",
    "secret/a#x",
    "secret/a%ff",
    "secret/a%c0%af",
    "secret/a%ed%a0%80",
    "secret/e%CC%81",
    "secret/a%e2%80%ae",
    "secret/a%zz",
    "secret/a%",
    "secret/a%4",
)


@pytest.mark.parametrize("encoded", ALIASES)
def test_path_refuses_every_second_spelling(encoded: str) -> None:
    """A path that somebody could read as another one is not routed at all."""
    with pytest.raises(InvalidRequest):
        parse_path(encoded)


def test_path_refuses_too_many_bytes() -> None:
    """A path is a database key and has a bound."""
    parse_path("a" * limits.PATH_BYTES_MAX)
    with pytest.raises(HeaderTooLarge):
        parse_path("a" * (limits.PATH_BYTES_MAX + 1))


@pytest.mark.parametrize(
    ("encoded", "path"),
    [
        ("", ""),
        ("secret/a", "secret/a"),
        ("secret/a/", "secret/a/"),
        ("secret/%61", "secret/a"),
        ("secret/sp%20ace", "secret/sp ace"),
        ("secret/sp+ace", "secret/sp+ace"),
        ("secret/%C3%A9", "secret/é"),
        ("secret/\u00c3\u00a9", "secret/é"),
        ("secret/per%25cent", "secret/per%cent"),
        ("secret/100%25", "secret/100%"),
        ("secret/a..b", "secret/a..b"),
        ("secret/.hidden", "secret/.hidden"),
        ("secret/...", "secret/..."),
        ("secret/a%3Fb", "secret/a?b"),
        ("secret/a%23b", "secret/a#b"),
        ("secret/%F0%9F%94%91", "secret/🔑"),
        ("auth/token/accessors/", "auth/token/accessors/"),
    ],
)
def test_path_is_decoded_once(encoded: str, path: str) -> None:
    """Names with spaces, percent signs and letters of any language are usable."""
    assert parse_path(encoded) == path


@pytest.mark.parametrize("raw", ["/", "/v1", "/v2/a", "//v1/a", "/V1/a", "http://host/v1/a", "*", "/v1%2Fa", "host:80", ""])
def test_target_outside_the_api_is_no_path(raw: str) -> None:
    """Only the origin form below /v1/ is served; no other form of a target gets around it."""
    with pytest.raises(UnsupportedPath):
        split_target(raw)


def test_target_is_split_at_the_first_question_mark() -> None:
    """Later question marks belong to the query."""
    target = split_target("/v1/secret/a?b=c?d")
    assert (target.path, target.query) == ("secret/a", "b=c?d")


@pytest.mark.parametrize("query", ["a=%00", "a=%ff", "%00=a", "&".join("a=1" for _ in range(101))])
def test_query_refuses_what_is_not_text(query: str) -> None:
    """NUL, invalid UTF-8 and floods of fields are refused."""
    with pytest.raises(InvalidRequest):
        parse_query(query)


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ("", {}),
        ("a=1", {"a": "1"}),
        ("a", {"a": ""}),
        ("a=1&a=2&a=3", {"a": ["1", "2", "3"]}),
        ("a=b+c%2Bd&&e=f=g", {"a": "b c+d", "e": "f=g"}),
    ],
)
def test_query_gives_strings_and_lists(query: str, fields: dict[str, object]) -> None:
    """One value is a string, several are a list."""
    assert parse_query(query) == fields
