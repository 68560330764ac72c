from typing import Any

import pytest

from vault import limits
from vault.hcl import Body, Item, SyntaxFault, is_json, parse_hcl, parse_json

REFUSED = {
    "a": "At 1:2: ",
    "a = ": "At 1:5: ",
    "a b = 1": "At 1:5: ",
    "= 1": "At 1:1: ",
    "a = b": "At 1:5: ",
    "a = [1 2]": "At 1:8: ",
    "a = [1": "At 1:7: ",
    "a {": "At 1:4: ",
    "a {}}": "At 1:5: ",
    "a {{}}": "At 1:4: ",
    "a: 1": "At 1:2: illegal char",
    "a = 1; b = 2": "At 1:6: illegal char",
    "a = 'x'": "At 1:5: illegal char",
    "a = 1 + 2": "At 1:7: illegal char",
    "a = null": "At 1:5: ",
    'a = "x': "At 1:7: literal not terminated",
    'a = "x\ny"': "At 1:7: literal not terminated",
    'a = "${x"': "At 1:6: literal not terminated",
    'a = "\\q"': "At 1:6: illegal char escape",
    'a = "\\ud800"': "At 1:6: illegal char escape",
    'a = "\\xff"': "At 1:6: illegal char escape",
    "/* a = 1": "At 1:1: comment not terminated",
    "a = <<X\ny": "At 1:5: heredoc not terminated",
    "a = <X": "At 1:5: invalid heredoc anchor",
    "a = 08": "At 1:5: illegal octal number",
    "a = 9223372036854775808": "At 1:5: number out of range",
    "a = 1e999": "At 1:5: number out of range",
    "\n\n  b = }": "At 3:7: ",
    "\ufeffa = 1": "At 1:1: illegal char",
    "a = 1\0": "unexpected null character",
    "a = " + "[" * 3000: "nested too deep",
    "a {" * 3000: "nested too deep",
    "a = [" + "9" * 100_000 + "]": "number out of range",
}
VALUES: dict[str, Any] = {
    "5": 5,
    "-5": -5,
    "0x1F": 31,
    "017": 15,
    "1.50": 1.5,
    "-2.5e-3": -0.0025,
    "1e3": 1000.0,
    "true": True,
    "false": False,
    '"x"': "x",
    '"é"': "é",
    '"a\\"b\\\\c\\u00e9\\x41\\101\\t"': 'a"b\\céAA\t',
    '"a$b$$"': "a$b$$",
    '"a/${foo("x")}/b"': 'a/${foo("x")}/b',
    '"${\nx}"': "${\nx}",
    "[]": (),
    "[1, 2,]": (1, 2),
    "[,1,,2]": (1, 2),
    "[[1], {a = 2}]": ((1,), Body((Item(("a",), 2),))),
    "<<E\n  x\ny\nE\n": "  x\ny\n",
    "<<-E\n    x\n   y\n   E\n": " x\ny\n",
    "<<-E\n  x\n y\n  E\n": "  x\n y\n",
}
SPELLINGS = (
    'a "b" { c = 1 d = 2 }',
    'a "b" {\n c = 1\n d = 2\n}',
    '"a" "b" { "c" = 1, "d" = 2, }',
    "a b {\nc\n=\n1\nd=2}",
    '# x\na "b" // y\n{ /* z */ c = 1 # {\n d = 2 }',
    'a "b" {\r\n c = 1\r\n d = 2\r\n}\r\n',
    'a\t"b"\t{\tc=1\td=2\t},',
)
JSON_REFUSED = (
    '{"a": 1',
    '{"a": 1} x',
    '{"a": 1,}',
    '{"a": NaN}',
    '{"a": 1e999}',
    '{"a": 9223372036854775808}',
    '{"a":' * 100_000,
    '{"a":' + "9" * 5000 + "}",
)


def _strip_lines(value: Any) -> Any:
    if isinstance(value, Body):
        return Body(tuple(Item(item.keys, _strip_lines(item.value)) for item in value.items))
    return tuple(_strip_lines(member) for member in value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(("text", "message"), REFUSED.items())
def test_hcl_refusal_says_where(text: str, message: str) -> None:
    """What is not HCL is refused with line and column, whatever its depth."""
    with pytest.raises(SyntaxFault) as caught:
        parse_hcl(text)
    assert message in str(caught.value)


@pytest.mark.parametrize("text", JSON_REFUSED)
def test_json_refusal_is_a_syntax_fault(text: str) -> None:
    """Malformed, too deep and too large JSON end in the same refusal."""
    with pytest.raises(SyntaxFault):
        parse_json(text)


@pytest.mark.parametrize(("text", "value"), VALUES.items())
def test_hcl_value_is_read(text: str, value: Any) -> None:
    """Numbers, texts, heredocs and lists have the values that HCL 1 gives them."""
    (item,) = parse_hcl(f"a = {text}").items
    assert _strip_lines(item.value) == value
    assert type(item.value) is type(value)


@pytest.mark.parametrize("text", SPELLINGS)
def test_hcl_block_may_be_written_in_many_ways(text: str) -> None:
    """Comments, commas, line ends and quotes do not change what a block says."""
    assert _strip_lines(parse_hcl(text)) == Body((Item(("a", "b"), Body((Item(("c",), 1), Item(("d",), 2)))),))


def test_hcl_keeps_repeated_keys_and_lines() -> None:
    """Items keep their order, their repetitions and the line that they start on."""
    assert parse_hcl("a = 1\n\n/* \n */ a = 2\n").items == (Item(("a",), 1, 1), Item(("a",), 2, 4))


def test_json_keeps_repeated_keys() -> None:
    """A member that stands twice counts twice."""
    assert parse_json('{"a": 1, "a": [null, 2.5]}').items == (Item(("a",), 1), Item(("a",), (None, 2.5)))


def test_nesting_up_to_the_bound_is_read() -> None:
    """The deepest legal value is read."""
    depth = limits.POLICY_DEPTH_MAX
    parse_hcl("a = " + "[" * depth + "]" * depth)
    with pytest.raises(SyntaxFault, match="too deep"):
        parse_hcl("a = " + "[" * (depth + 1) + "]" * (depth + 1))


@pytest.mark.parametrize(("text", "expected"), [("{}", True), (" \n{", True), ("", False), ('path "a" {}', False), ("[]", False)])
def test_json_is_told_by_its_brace(text: str, expected: bool) -> None:
    """Only an opening brace makes a text JSON."""
    assert is_json(text) is expected
