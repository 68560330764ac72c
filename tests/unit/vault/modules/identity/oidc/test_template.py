"""Templates of claims."""

import json

import pytest

from vault import limits
from vault.errors import InvalidRequest
from vault.modules.identity.oidc.person import Alias, Person
from vault.modules.identity.oidc.template import RESERVED, check_template, list_claims, parse_template, read_claims

NOW = 1_700_000_000.7
ANN = Person(
    id="e1",
    name='ann", "admin": true, "x": "',
    metadata={"team": "x\ny", "dotted.key": "d"},
    aliases={"acc_1": Alias(id="a1", name="ann@icu", metadata={"ou": "icu"}, custom_metadata={"k": "v"})},
    group_ids=("g1", "g2"),
    group_names=("doctors", "“night”"),
)


@pytest.mark.parametrize(
    "template",
    [
        '{"a": {{identity.entity.idx}}}',
        '{"a": {{identity.entity}}}',
        '{"a": {{}}}',
        '{"a": {{x}',
        '{"a": x}}}',
        '{"a": {{identity.entity.id}} }}',
        '{"a": "{{identity.entity.name}}"}',
        '{"a": {{identity.entity.aliases.acc}}}',
        '{"a": {{identity.entity.aliases.acc.mount}}}',
        '{"a": {{identity.groups.ids.g1.name}}}',
        '{"a": {{time.then}}}',
        '{"a": {{time.now.plus}}}',
        '{"a": {{time.now.times.1}}}',
        '{"a": {{time.now.plus.-5}}}',
        '{"a": {{time.now.plus.1.5}}}',
        '{"a": {{time.now.plus.NaN}}}',
        "[]",
        "1",
        "not json",
        '{"a": 1, "a": 2}',
        '{"a": NaN}',
        '{"a": 1} {"b": 2}',
    ],
)
def test_template_that_is_none_is_refused(template: str) -> None:
    """What cannot be filled in for everybody is refused when it is written."""
    with pytest.raises(InvalidRequest, match="error parsing template"):
        check_template(template)


@pytest.mark.parametrize("name", RESERVED)
def test_template_never_claims_what_the_service_claims(name: str) -> None:
    """The claims of the service itself are refused when written, and left out should they be there all the same."""
    with pytest.raises(InvalidRequest, match=f'"{name}" not allowed'):
        check_template(json.dumps({name: "x"}))
    assert read_claims(json.dumps({name: "x", "mine": 1}), ANN, NOW) == {"mine": 1}


def test_template_too_long_is_refused() -> None:
    """A template has a limit."""
    with pytest.raises(InvalidRequest, match="at most"):
        check_template('{"a": "' + "x" * limits.CLAIM_TEMPLATE_BYTES_MAX + '"}')


@pytest.mark.parametrize(
    ("directive", "value"),
    [
        ("identity.entity.id", "e1"),
        ("identity.entity.name", ANN.name),
        (" identity.entity.name ", ANN.name),
        ("identity.entity.metadata", dict(ANN.metadata)),
        ("identity.entity.metadata.team", "x\ny"),
        ("identity.entity.metadata.dotted.key", "d"),
        ("identity.entity.metadata.none", ""),
        ("identity.entity.groups.ids", ["g1", "g2"]),
        ("identity.entity.groups.names", ["doctors", "“night”"]),
        ("identity.entity.aliases.acc_1.id", "a1"),
        ("identity.entity.aliases.acc_1.name", "ann@icu"),
        ("identity.entity.aliases.acc_1.metadata", {"ou": "icu"}),
        ("identity.entity.aliases.acc_1.metadata.ou", "icu"),
        ("identity.entity.aliases.acc_1.custom_metadata", {"k": "v"}),
        ("identity.entity.aliases.acc_1.custom_metadata.k", "v"),
        ("identity.entity.aliases.other.name", ""),
        ("identity.entity.aliases.other.metadata", {}),
        ("identity.entity.aliases.other.metadata.ou", ""),
        ("time.now", 1_700_000_000),
        ("time.now.plus.1h", 1_700_003_600),
        ("time.now.minus.60", 1_699_999_940),
    ],
)
def test_directive_becomes_json(directive: str, value: object) -> None:
    """A placeholder becomes the JSON of what it stands for, whatever is in it."""
    template = '{"claim": {{' + directive + "}}}"
    check_template(template)
    assert read_claims(template, ANN, NOW) == {"claim": value}


def test_name_cannot_add_a_claim() -> None:
    """A name that looks like JSON stays a name."""
    assert list(read_claims('{"name": {{identity.entity.name}}}', ANN, NOW)) == ["name"]


def test_template_is_text_or_base64_of_it() -> None:
    """Base64 is decoded, other text stays."""
    assert parse_template("eyJhIjoxfQ==") == '{"a":1}'
    assert parse_template('{"a": 1}') == '{"a": 1}'
    assert parse_template("null") == "null"


def test_claims_of_nobody_in_particular_do_without_an_entity() -> None:
    """Without an entity a template may speak of time, and not of entities."""
    assert read_claims('{"t": {{time.now}}}', None, NOW) == {"t": 1_700_000_000}
    with pytest.raises(InvalidRequest):
        read_claims('{"t": {{identity.entity.id}}}', None, NOW)


def test_empty_template_claims_nothing() -> None:
    """No template, no claims."""
    assert list_claims("") == ()
    assert list_claims('{"a": 1, "b": {"c": 2} }') == ("a", "b")
