"""Reads HCL version 1 and its JSON form, the languages of policies, into plain values.

Vault speaks HCL 1, which is not a subset of HCL 2: quoted keys, repeated commas and `=` on the next line are legal, expressions
are not. The same key may stand any number of times and all of it counts, so an object is a sequence of items, not a dict.
"""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from vault import limits

Value = Any  # str, int, float, bool, None, tuple of values, Body


@dataclass(frozen=True, slots=True)
class Item:
    """`keys = value` or `keys { ... }`, with the line of its first key."""

    keys: tuple[str, ...]
    value: Value
    line: int = 1


@dataclass(frozen=True, slots=True)
class Body:
    """The items of an object, in their order, repetitions included."""

    items: tuple[Item, ...] = ()


class SyntaxFault(ValueError):
    """The text is not HCL; the message says where."""


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    value: Value
    line: int
    column: int


_INT_MAX = 2**63 - 1
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*|//[^\n]*|/\*.*?\*/)+", re.DOTALL)
_NUMBER = re.compile(
    r"-?(?:0[xX][0-9a-fA-F]+|[0-9]+(?P<float>\.[0-9]*(?:[eE][+-]?[0-9]+)?|[eE][+-]?[0-9]+)?|(?P<point>\.[0-9]+))", re.ASCII
)
_WORD = re.compile(r"[^\W\d][\w.\-]*")
_PLAIN = re.compile(r'"([^"\\\n$]*)"')
_PIECE = re.compile(r'[^"\\\n$]+|\$(?!\{)')
_ESCAPE = re.compile(r'\\(?:([abfnrtv\\"])|([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))')
_LETTERS = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}
_BRACE = re.compile(r"[{}]")
_HEREDOC = re.compile(r"<<(-?)(\w+)\r?\n")
_PUNCTUATION = {"{": "LBRACE", "}": "RBRACE", "[": "LBRACK", "]": "RBRACK", ",": "COMMA", "=": "ASSIGN"}
_SCALARS = frozenset({"NUMBER", "BOOL", "STRING"})
_KEYS = frozenset({"IDENT", "STRING"})


class _Scanner:
    """Cuts a text into tokens."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._line = 1
        self._line_start = 0

    def __iter__(self) -> Iterator[_Token]:
        while self._skip_blank():
            yield self._scan()
        yield self._token("EOF", None)

    def _token(self, kind: str, value: Value) -> _Token:
        return _Token(kind, value, self._line, self._position - self._line_start + 1)

    def _fault(self, message: str) -> SyntaxFault:
        return SyntaxFault(f"At {self._line}:{self._position - self._line_start + 1}: {message}")

    def _advance(self, end: int) -> None:
        lines = self._text.count("\n", self._position, end)
        if lines:
            self._line += lines
            self._line_start = self._text.rindex("\n", self._position, end) + 1
        self._position = end

    def _skip_blank(self) -> bool:
        """Move to the next token; false at the end."""
        if (blank := _BLANK.match(self._text, self._position)) is not None:
            self._advance(blank.end())
        return self._position < len(self._text)

    def _scan(self) -> _Token:
        character = self._text[self._position]
        if (punctuation := _PUNCTUATION.get(character)) is not None:
            token = self._token(punctuation, None)
            self._position += 1
            return token
        if character == '"':
            return self._scan_string()
        if (word := _WORD.match(self._text, self._position)) is not None:
            kind, value = ("BOOL", word[0] == "true") if word[0] in {"true", "false"} else ("IDENT", word[0])
            token = self._token(kind, value)
            self._position = word.end()
            return token
        if (number := _NUMBER.match(self._text, self._position)) is not None:
            token = self._token("NUMBER", self._read_number(number))
            self._position = number.end()
            return token
        if character == "<":
            return self._scan_heredoc()
        raise self._fault("comment not terminated" if self._text.startswith("/*", self._position) else "illegal char")

    def _read_number(self, match: re.Match[str]) -> int | float:
        text = match[0]
        digits = text.removeprefix("-")
        if match["float"] is not None or match["point"] is not None:
            number = float(text)
            if math.isinf(number):
                raise self._fault("number out of range")
            return number
        if len(digits) > 30:
            raise self._fault("number out of range")
        is_octal = digits[0] == "0" and digits.isdecimal()
        if is_octal and re.search(r"[89]", digits):
            raise self._fault("illegal octal number")
        value = int(text, 8 if is_octal else 0)
        if not -_INT_MAX - 1 <= value <= _INT_MAX:
            raise self._fault("number out of range")
        return value

    def _scan_string(self) -> _Token:
        if (plain := _PLAIN.match(self._text, self._position)) is not None:
            token = self._token("STRING", plain[1])
            self._position = plain.end()
            return token
        start = self._token("STRING", None)
        self._position += 1
        pieces: list[str] = []
        while self._text[self._position : self._position + 1] != '"':
            pieces.append(self._scan_piece())
        self._position += 1
        return _Token("STRING", "".join(pieces), start.line, start.column)

    def _scan_piece(self) -> str:
        if (piece := _PIECE.match(self._text, self._position)) is not None:
            self._position = piece.end()
            return piece[0]
        if self._text.startswith("${", self._position):
            return self._scan_interpolation()
        if self._text.startswith("\\", self._position):
            return self._scan_escape()
        raise self._fault("literal not terminated")

    def _scan_interpolation(self) -> str:
        """Return `${...}` as it stands: policies are not evaluated, but quotes inside do not end the string."""
        depth, position = 1, self._position + 2
        while depth:
            match = _BRACE.search(self._text, position)
            if match is None:
                raise self._fault("literal not terminated")
            depth += 1 if match[0] == "{" else -1
            position = match.end()
        raw = self._text[self._position : position]
        self._advance(position)
        return raw

    def _scan_escape(self) -> str:
        match = _ESCAPE.match(self._text, self._position)
        if match is None:
            raise self._fault("illegal char escape")
        letter, octal, byte, short, long = match.groups()
        code = ord(_LETTERS[letter]) if letter else int(octal or byte or short or long, 8 if octal else 16)
        ceiling = 0x7F if octal or byte else 0x10FFFF  # a lone byte above is no character
        if code > ceiling or 0xD800 <= code <= 0xDFFF:
            raise self._fault("illegal char escape")
        self._position = match.end()
        return chr(code)

    def _scan_heredoc(self) -> _Token:
        opening = _HEREDOC.match(self._text, self._position)
        if opening is None:
            raise self._fault("invalid heredoc anchor")
        closing = re.compile(rf"^([ \t\f\v]*){re.escape(opening[2])}\r*$", re.MULTILINE).search(self._text, opening.end())
        if closing is None:
            raise self._fault("heredoc not terminated")
        lines = self._text[opening.end() : closing.start()].splitlines(keepends=True)
        margin = closing[1]
        if opening[1] and all(line.startswith(margin) for line in lines):
            lines = [line[len(margin) :] for line in lines]
        token = self._token("STRING", "".join(lines))
        self._advance(closing.end())
        return token


class _Parser:
    """Puts tokens together, one token ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = iter(_Scanner(text))
        self._token = next(self._tokens)

    def _next(self) -> _Token:
        token = self._token
        if token.kind != "EOF":
            self._token = next(self._tokens)
        return token

    def _fault(self, message: str) -> SyntaxFault:
        return SyntaxFault(f"At {self._token.line}:{self._token.column}: {message}, got: {self._token.kind}")

    def read_body(self, end: str, depth: int) -> Body:
        """Read items up to the token `end`, and that token."""
        if depth > limits.POLICY_DEPTH_MAX:
            raise self._fault("nested too deep")
        items: list[Item] = []
        while self._token.kind != end:
            items.append(self._read_item(depth))
            if self._token.kind == "COMMA":
                self._next()
        self._next()
        return Body(tuple(items))

    def _read_item(self, depth: int) -> Item:
        first = self._token
        keys: list[str] = []
        while self._token.kind in _KEYS:
            keys.append(self._next().value)
        if keys and self._token.kind == "LBRACE":
            self._next()
            return Item(tuple(keys), self.read_body("RBRACE", depth + 1), first.line)
        if len(keys) == 1 and self._token.kind == "ASSIGN":
            self._next()
            return Item(tuple(keys), self._read_value(depth + 1), first.line)
        raise self._fault("an object ('{') or, after one key, an assignment ('=') expected" if keys else "a key expected")

    def _read_value(self, depth: int) -> Value:
        if self._token.kind in _SCALARS:
            return self._next().value
        if self._token.kind == "LBRACE":
            self._next()
            return self.read_body("RBRACE", depth)
        if self._token.kind == "LBRACK":
            self._next()
            return self._read_list(depth)
        raise self._fault("a value expected")

    def _read_list(self, depth: int) -> tuple[Value, ...]:
        if depth > limits.POLICY_DEPTH_MAX:
            raise self._fault("nested too deep")
        values: list[Value] = []
        while self._token.kind != "RBRACK":
            if self._token.kind == "COMMA":
                self._next()
                continue
            values.append(self._read_value(depth + 1))
            if self._token.kind not in {"COMMA", "RBRACK"}:
                raise self._fault("comma or end of list expected")
        self._next()
        return tuple(values)


def parse_hcl(text: str) -> Body:
    """Read HCL 1; raises SyntaxFault."""
    if "\0" in text:
        raise SyntaxFault("unexpected null character")
    return _Parser(text).read_body("EOF", 0)


def _refuse_constant(name: str) -> NoReturn:
    raise SyntaxFault(f"{name} is not a number")


# Every string of a JSON text, and whether it is the name of a member; names come in the order of a walk through the values.
_JSON_STRING = re.compile(r'"(?:[^"\\]|\\.)*"(\s*:)?', re.DOTALL)


def _name_lines(text: str) -> Iterator[int]:
    line, end = 1, 0
    for found in _JSON_STRING.finditer(text):
        line, end = line + text.count("\n", end, found.start()), found.start()
        if found[1]:
            yield line


def _settle(value: Any, depth: int, lines: Iterator[int]) -> Value:
    """Turn decoded JSON into values within bounds, each member with the line of its name."""
    if depth > limits.POLICY_DEPTH_MAX:
        raise SyntaxFault("nested too deep")
    if isinstance(value, list):
        return tuple([_settle(member, depth + 1, lines) for member in value])
    if isinstance(value, Body):
        items = []
        for item in value.items:
            line = next(lines)
            items.append(Item(item.keys, _settle(item.value, depth + 1, lines), line))
        return Body(tuple(items))
    if (isinstance(value, float) and math.isinf(value)) or (isinstance(value, int) and not -_INT_MAX - 1 <= value <= _INT_MAX):
        raise SyntaxFault("number out of range")
    return value


def parse_json(text: str) -> Body:
    """Read the JSON form; raises SyntaxFault."""
    try:
        value = json.loads(
            text,
            object_pairs_hook=lambda pairs: Body(tuple(Item((key,), member) for key, member in pairs)),
            parse_constant=_refuse_constant,
        )
        return _settle(value, 0, _name_lines(text))  # type: ignore[no-any-return]  # the caller has seen the opening brace
    except SyntaxFault:
        raise
    except RecursionError:
        raise SyntaxFault("nested too deep") from None
    except ValueError as error:
        raise SyntaxFault(str(error)) from None


def is_json(text: str) -> bool:
    """Tell whether Vault would read the text as JSON."""
    return text.lstrip().startswith("{")
