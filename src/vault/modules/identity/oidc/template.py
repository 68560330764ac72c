"""Templates of claims: JSON with placeholders, `{"groups": {{identity.entity.groups.names}}}`.

A placeholder is replaced by JSON and not by text, so no name or metadata can add a claim. A template is tried when it is written, with
an entity that has nothing; what is JSON then is JSON with every entity.
"""

import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from vault import limits
from vault.errors import InvalidRequest
from vault.logical import json
from vault.logical.args import Kind, parse_string, parse_ttl
from vault.modules.identity.oidc.person import Alias, Person

RESERVED = ("iat", "aud", "exp", "iss", "sub", "namespace", "nonce", "auth_time", "at_hash", "c_hash")

_NO_VALUE = "no value could be found for one of the template directives"
_NOBODY = Person()
_NO_ALIAS = Alias()


class _Unknown(ValueError):
    """A placeholder that stands for nothing."""


def _alias(person: Person, accessor: str) -> Alias:
    return person.aliases.get(accessor, _NO_ALIAS)


def _shift(now: float, sign: str, span: str) -> int:
    try:
        seconds = parse_ttl(span)
    except ValueError as error:
        raise _Unknown(f"invalid duration: {error}") from None
    return int(now) + (seconds if sign == "plus" else -seconds)


Resolve = Callable[..., Any]
_DIRECTIVES: tuple[tuple[re.Pattern[str], Resolve], ...] = tuple(
    (re.compile(pattern), resolve)
    for pattern, resolve in (
        (r"identity\.entity\.(id|name)", lambda person, _, field: getattr(person, field)),
        (r"identity\.entity\.metadata", lambda person, _: dict(person.metadata)),
        (r"identity\.entity\.metadata\.(.+)", lambda person, _, key: person.metadata.get(key, "")),
        (r"identity\.entity\.groups\.ids", lambda person, _: person.group_ids),
        (r"identity\.entity\.groups\.names", lambda person, _: person.group_names),
        (r"identity\.entity\.aliases\.([^.]+)\.(id|name)", lambda person, _, at, field: getattr(_alias(person, at), field)),
        (
            r"identity\.entity\.aliases\.([^.]+)\.(metadata|custom_metadata)",
            lambda person, _, at, field: dict(getattr(_alias(person, at), field)),
        ),
        (
            r"identity\.entity\.aliases\.([^.]+)\.(metadata|custom_metadata)\.(.+)",
            lambda person, _, at, field, key: getattr(_alias(person, at), field).get(key, ""),
        ),
        (r"time\.now", lambda _, now: int(now)),
        (r"time\.now\.(plus|minus)\.(.+)", lambda _, now, sign, span: _shift(now, sign, span)),
    )
)


def _resolve(directive: str, person: Person | None, now: float) -> bytes:
    if person is None and directive.startswith("identity."):
        raise _Unknown("string contains entity template directives but no entity was provided")
    for pattern, resolve in _DIRECTIVES:
        found = pattern.fullmatch(directive)
        if found is not None:
            return json.encode(resolve(person, now, *found.groups()))
    raise _Unknown(_NO_VALUE)


def _fill(template: str, person: Person | None, now: float) -> bytes:
    head, *pieces = template.split("{{")
    if "}}" in head:
        raise _Unknown("unbalanced templating characters")
    filled = [head.encode()]
    for piece in pieces:
        directive, end, rest = piece.partition("}}")
        if not end or "}}" in rest:
            raise _Unknown("unbalanced templating characters")
        filled += (_resolve(directive.strip(), person, now), rest.encode())
    return b"".join(filled)


def _claim(template: str, person: Person | None, now: float) -> Mapping[str, Any]:
    if not template:
        return {}
    try:
        text = _fill(template, person, now)
    except _Unknown as problem:
        raise InvalidRequest(f"error parsing template: {problem}") from None
    try:
        return json.decode_object(text)
    except InvalidRequest:
        raise InvalidRequest("error parsing template JSON: expected one JSON object") from None


def read_claims(template: str, person: Person | None, now: float) -> Mapping[str, Any]:
    """Return what a template claims of somebody, never what only the service itself may claim; raises InvalidRequest."""
    return {name: value for name, value in _claim(template, person, now).items() if name not in RESERVED}


def list_claims(template: str) -> tuple[str, ...]:
    """Return the names of the claims that a template makes."""
    return tuple(_claim(template, _NOBODY, 0))


def parse_template(value: Any) -> str:
    """Read a template: its text, or the base64 of it."""
    text = parse_string(value)
    try:
        return b64decode(text, validate=True).decode()
    except ValueError:
        return text


TEMPLATE = Kind("string", {"type": "string"}, parse_template)


def check_template(template: str) -> None:
    """Raise InvalidRequest for a template that would not do for everybody, or claims what only the service itself may."""
    if len(template.encode()) > limits.CLAIM_TEMPLATE_BYTES_MAX:
        raise InvalidRequest(f"a template has at most {limits.CLAIM_TEMPLATE_BYTES_MAX} bytes")
    for name in list_claims(template):
        if name in RESERVED:
            raise InvalidRequest(f'top level key "{name}" not allowed. Restricted keys: {", ".join(RESERVED)}')
