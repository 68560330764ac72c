import json
from typing import Any

import pytest

from vault import limits
from vault.errors import InvalidRequest
from vault.modules.policy.document import PathRule, PolicyDocument, parse_policy

NO_TIME = 'path "a": path "a": invalid expiration time: could not parse string as date and time'
REFUSED = {
    'path "a" { capabilities = ["read", "foo"] }': 'path "a": path "a": invalid capability "foo"',
    'path "a" { capabilities = ["READ"] }': 'path "a": path "a": invalid capability "READ"',
    'path "a" { capabilities = ["root"] }': 'path "a": path "a": invalid capability "root"',
    'path "a" { policy = "foo" }': 'path "a": path "a": invalid policy "foo"',
    'path "a/+*" { capabilities = ["read"] }': 'path "a/+*": path "a/+*": invalid use of wildcards (\'+*\' is forbidden)',
    'foo = "x"': '1 error occurred:\n\t* invalid key "foo" on line 1\n\n',
    'path "a" {\n foo = 1\n bar = 2 }': (
        'path "a": 2 errors occurred:\n\t* invalid key "foo" on line 2\n\t* invalid key "bar" on line 3\n\n'
    ),
    'path "a" { min_wrapping_ttl = "abc" }': 'path "a": error parsing min_wrapping_ttl: time: invalid duration "abc"',
    'path "a" { max_wrapping_ttl = true }': 'path "a": error parsing max_wrapping_ttl: could not parse duration from input',
    'path "a" { min_wrapping_ttl = 90\n max_wrapping_ttl = 1 }': 'path "a": max_wrapping_ttl cannot be less than min_wrapping_ttl',
    'path "a" { expiration = "tomorrow" }': NO_TIME,
    'path "a" { expiration = "2099-02-30T00:00:00Z" }': NO_TIME,
    'path "a/{{b" {}': 'path "a/{{b": failed to validate policy templating: unbalanced templating characters',
    'path "a/b}}" {}': 'path "a/b}}": failed to validate policy templating: unbalanced templating characters',
    'path "a" { capabilities = "read" }': 'path "a": capabilities must be a list of strings',
    'path "a" { required_parameters = [["x"]] }': 'path "a": every member of required_parameters must be a string',
    'path "a" { allowed_parameters = { x = "y" } }': 'path "a": allowed_parameters.x must be a list',
    'path "a" { denied_parameters = ["x"] }': 'path "a": denied_parameters must be an object of lists',
    'path "a" { pagination_limit = 5.5 }': 'path "a": pagination_limit must be a whole number',
    'path "a" { pagination_limit = "x" }': 'path "a": pagination_limit must be a whole number',
    'path = "a"': 'path "path": a block expected',
    "name = true": "name must be a string",
    '{"path": {"a": null}}': 'path "a": a block expected',
    'path "a" { control_group { } }': 'path "a": control_group is not supported: it would not be enforced',
    'path "a" { list_scan_response_keys_filter_path = "{{ .key }}" }': (
        'path "a": list_scan_response_keys_filter_path is not supported: it would not be enforced'
    ),
}
DURATIONS: dict[Any, float] = {
    90: 90,
    1.9: 1,
    -5: 0,
    "": 0,
    "90": 90,
    "90s": 90,
    "1h30m": 5400,
    "500ms": 0.5,
    ".5s": 0.5,
    "2d": 172_800,
    "-5s": 0,
}
BAD_DURATIONS = ("5 s", "1e3", "1w", "5.5", "s", "1d12h", "h1", "99999999999999999999h", "99999999999999")
MOMENTS = {
    "2099-01-01T00:00:00Z": 4_070_908_800.0,
    "2099-01-01T02:00:00+02:00": 4_070_908_800.0,
    "2099-01-01T00:00:00.25Z": 4_070_908_800.25,
    "4070908800": 4_070_908_800.0,
    "": None,
    "0": None,
}
BAD_MOMENTS = (
    "2099-01-01",
    "2099-01-01 00:00:00Z",
    "2099-01-01T00:00:00",
    "2099-01-01t00:00:00z",
    "2099-01-01T24:00:00Z",
    "1.5",
    "99999999999999999999",
)
EVERYTHING = """
name = "dev" # ignored
path "/secret/+/x*" {
  comment = "who asked for it"
  capabilities = ["update", "read", "read"]
  capabilities = ["list"]
  allowed_parameters = { "Bar" = ["zip", 5, true, ["a"], { k = "v" }], "*" = [] }
  denied_parameters { q = ["a"] }
  denied_parameters { Q = ["b"] }
  required_parameters = ["A"]
  min_wrapping_ttl = "1s"
  max_wrapping_ttl = 60
  mfa_methods = ["x"]
  pagination_limit = "5"
  expiration = "2099-01-01T00:00:00Z"
}
"""


def _read_one(clauses: str) -> PathRule:
    (rule,) = parse_policy(f'path "a" {{\n{clauses}\n}}').paths
    return rule


@pytest.mark.parametrize(("text", "message"), REFUSED.items())
def test_policy_refusal_names_what_is_wrong(text: str, message: str) -> None:
    """A text that is no policy is refused with the part that is wrong, in OpenBao's words where they are not about Go."""
    with pytest.raises(InvalidRequest) as caught:
        parse_policy(text)
    assert str(caught.value) == f"failed to parse policy: {message}"


@pytest.mark.parametrize("text", BAD_DURATIONS)
def test_duration_that_is_none_is_refused(text: str) -> None:
    """Only whole seconds, whole days and Go's duration text are durations."""
    with pytest.raises(InvalidRequest, match="min_wrapping_ttl"):
        _read_one(f"min_wrapping_ttl = {json.dumps(text)}")


@pytest.mark.parametrize("text", BAD_MOMENTS)
def test_expiration_that_is_no_time_is_refused(text: str) -> None:
    """Only RFC 3339 with its offset and unix seconds are times."""
    with pytest.raises(InvalidRequest, match="expiration"):
        _read_one(f"expiration = {json.dumps(text)}")


@pytest.mark.parametrize(
    "text",
    [
        "#" * (limits.POLICY_BYTES_MAX + 1),
        'path "a" {} ' * (limits.POLICY_PATHS_MAX + 1),
        '{"path":{"\\ud800":{}}}',
        'path "\ud800" {}',
    ],
    ids=["bytes", "paths", "escaped surrogate", "surrogate"],
)
def test_policy_out_of_bounds_is_refused(text: str) -> None:
    """Too long, too many paths, or text that cannot be stored: a refusal, never another error."""
    with pytest.raises(InvalidRequest):
        parse_policy(text)


@pytest.mark.parametrize(("value", "seconds"), DURATIONS.items())
def test_duration_is_read_in_seconds(value: Any, seconds: float) -> None:
    """Numbers are cut to seconds, text keeps its fraction, nothing below zero restricts."""
    assert _read_one(f"min_wrapping_ttl = {json.dumps(value)}").min_wrapping_ttl_seconds == seconds


@pytest.mark.parametrize(("text", "moment"), MOMENTS.items())
def test_expiration_is_read_as_unix_seconds(text: str, moment: float | None) -> None:
    """RFC 3339 or a number; empty and zero mean never."""
    assert _read_one(f"expiration = {json.dumps(text)}").expires_at == moment


def test_document_holds_every_clause() -> None:
    """Capabilities are sorted and unique, field names in lower case, repeated clauses add up, the leading slash is gone."""
    assert parse_policy(EVERYTHING).paths == (
        PathRule(
            pattern="secret/+/x*",
            capabilities=("list", "read", "update"),
            allowed_parameters={"bar": ("zip", 5, True, ["a"], {"k": "v"}), "*": ()},
            denied_parameters={"q": ("a", "b")},
            required_parameters=("a",),
            min_wrapping_ttl_seconds=1.0,
            max_wrapping_ttl_seconds=60.0,
            pagination_limit=5,
            expires_at=4_070_908_800.0,
        ),
    )


def test_document_comes_back_from_storage() -> None:
    """What was encoded is decoded to the same value."""
    document = parse_policy(EVERYTHING)
    assert PolicyDocument.decode(document.encode()) == document


@pytest.mark.parametrize(
    ("legacy", "capabilities"),
    [
        ("deny", ("deny",)),
        ("read", ("list", "read")),
        ("write", ("create", "delete", "list", "read", "update")),
        ("sudo", ("create", "delete", "list", "read", "sudo", "update")),
    ],
)
def test_legacy_policy_stands_for_capabilities(legacy: str, capabilities: tuple[str, ...]) -> None:
    """The words of before capabilities still work."""
    assert _read_one(f'policy = "{legacy}"').capabilities == capabilities


@pytest.mark.parametrize(
    "clauses", ['capabilities = ["read", "deny", "sudo"]', 'policy = "deny"\n capabilities = ["read"]', 'capabilities = ["deny", "foo"]']
)
def test_deny_stands_alone(clauses: str) -> None:
    """Beside deny nothing counts, as in Vault not even a wrong word after it."""
    assert _read_one(clauses).capabilities == ("deny",)


def test_json_form_says_the_same() -> None:
    """The JSON form gives the same document, repeated members included."""
    text = '{"name": "x", "path": {"a": {"capabilities": ["read"]}, "b/*": {"policy": "deny"}, "a": {"capabilities": ["list"]}}}'
    hcl = 'path "a" { capabilities = ["read"] }\npath "b/*" { policy = "deny" }\npath "a" { capabilities = ["list"] }'
    assert parse_policy(text) == parse_policy(hcl)
    assert parse_policy('{"path": [{"a": {"capabilities": ["read"]}}]}') == parse_policy('path "a" { capabilities = ["read"] }')


@pytest.mark.parametrize("text", ["", " \n", "# nothing", "{}", 'name = "x"'])
def test_policy_may_say_nothing(text: str) -> None:
    """A policy without paths grants nothing."""
    assert parse_policy(text).paths == ()


def test_templated_document_says_so() -> None:
    """A placeholder is kept in the pattern for later."""
    document = parse_policy('path "secret/{{identity.entity.id}}/*" { capabilities = ["read"] }')
    assert document.templated
    assert not parse_policy('path "secret/*" {}').templated


def test_document_of_a_policy_that_ends_ends_as_a_whole() -> None:
    """The end of a policy bounds every path, a path that ends earlier keeps its own end."""
    document = parse_policy('path "a" { expiration = "5" }\npath "b" {}\npath "c" { expiration = "500" }')
    assert [rule.expires_at for rule in document.until(100.0).paths] == [5.0, 100.0, 100.0]
