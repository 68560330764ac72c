"""One row of the differential table. Surprise: rows of a table run in order and may hand values to later rows by `save`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from tests.compat.wire import Answer, Wire

JSON = "application/json"
# Keys, certificates and tokens that are made at each start: an id of a test is the same in all processes of a run.
_MADE_ANEW = re.compile(r"-----BEGIN .*?(?=')|eyJ[\w.=-]+")
PATCH_JSON = "application/merge-patch+json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A request, what to keep from its answer, and how closely the answers are compared."""

    method: str
    path: str
    body: Any = None
    token: str | None = "root"
    headers: dict[str, str] = field(default_factory=dict)
    save: dict[str, str] = field(default_factory=dict)
    ignore: tuple[str, ...] = ()
    cached: bool = False  # the answer may be kept for a while
    # Why ours may answer otherwise; then bodies are not compared and `allowed` names the other statuses that are right too.
    differs: str = ""
    allowed: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Return a readable test id."""
        shown = "" if self.body is None else f" {self.body!r}"
        who = "" if self.token == "root" else f" as {self.token}"
        extra = f" {self.headers!r}" if self.headers else ""
        return _MADE_ANEW.sub("<...>", f"{self.method} {self.path}{shown}{extra}{who}")[:150]


def c(method: str, path: str, body: Any = None, **options: Any) -> Case:
    """Build a row; the short name keeps the tables readable."""
    return Case(method=method, path=path, body=body, **options)


STRICTER = "negative, fractional, boolean and hexadecimal numbers are refused by us, not converted"
CANONICAL = "a slash at the end of a path that is not listed: the same path for us, or refused; never another policy decision"
PAGINATED = "after and limit are honoured by us; the reference ignores them here"


def junk(method: str, path: str, body: Any, value: Any, **options: Any) -> Case:
    """Build a row whose body carries a doubtful value; we may refuse it where the reference converts it."""
    doubtful = isinstance(value, bool | float) or (isinstance(value, int | str) and str(value).startswith(("-", "0x")))
    nested = isinstance(value, list) and any(isinstance(item, bool) or (isinstance(item, int) and item < 1) for item in value)
    if doubtful or nested:
        options |= {"differs": STRICTER, "allowed": (400,)}
    return c(method, path, body, **options)


def _fill(value: Any, known: dict[str, str]) -> Any:
    if isinstance(value, str):
        for name, replacement in known.items():
            value = value.replace(f"<<{name}>>", replacement)
        return value
    if isinstance(value, dict):
        return {key: _fill(inner, known) for key, inner in value.items()}
    if isinstance(value, list):
        return [_fill(inner, known) for inner in value]
    return value


def _pick(body: Any, path: str) -> str:
    for part in path.split("."):
        body = body[int(part)] if isinstance(body, list) else body[part]
    return str(body)


def run_table(wire: Wire, table: tuple[Case, ...], root_token: str) -> list[Answer]:
    """Send every row in order and return the answers; `<<name>>` in a row is replaced by what `save` kept under that name."""
    known: dict[str, str] = {"root": root_token}
    answers = []
    for case in table:
        token = None if case.token is None else known.get(case.token, case.token)
        sender = wire.with_token(token)
        answer = sender.send(case.method, _fill(case.path, known), _fill(case.body, known), _fill(case.headers, known))
        for name, path in case.save.items():
            try:
                known[name] = _pick(answer.json, path)
            except (KeyError, TypeError, ValueError, IndexError):
                known[name] = f"missing-{name}"
        answers.append(answer)
    return answers
