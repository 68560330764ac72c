"""The comparison itself: what it must see as different, and the little that it forgives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.compat.differential.case import Case, c, junk
from tests.compat.differential.normalise import WEAK_HASH, body_problem, header_problem, status_problem
from tests.compat.wire import NO_ANSWER, Answer

CASE = c("GET", "x")


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """Build an answer."""
    return Answer(status=status, headers=headers or {}, body=json.dumps(body).encode())


def problems(left: Answer, right: Answer, case: Case = CASE) -> list[str]:
    """Return what the comparison objects to."""
    return [text for text in (status_problem(case, left, right), body_problem(case, left, right)) if text]


DIFFERENT: list[tuple[Any, Any]] = [
    ({"data": {"a": 1}}, {"data": {"a": 2}}),
    ({"data": {"a": 1}}, {"data": {"a": True}}),
    ({"data": {"a": 1}}, {"data": {"a": "1"}}),
    ({"data": {"a": 1}}, {"data": {}}),
    ({"data": None}, {}),
    ({"data": None, "auth": None}, {"auth": None}),
    ({"data": {"keys": ["a", "b"]}}, {"data": {"keys": ["b", "a"]}}),
    ({"data": {"deletion_time": ""}}, {"data": {"deletion_time": "2026-01-01T00:00:00Z"}}),
    ({"data": {"accessor": ""}}, {"data": {"accessor": "abc"}}),
    ({"data": {"ttl": 3600}}, {"data": {"ttl": 3590}}),
    ({"errors": []}, {"errors": ["permission denied"]}),
    ({"errors": ["permission denied"]}, {"errors": ["denied"]}),
    ({"warnings": None}, {"warnings": []}),
    ({"warnings": ["a"]}, {"warnings": ["a", "b"]}),
    ({"warnings": None}, {"warnings": ["a custom ID"]}),
    ({"request_id": ""}, {"request_id": "a"}),
    ({"request_id": "", "wrap_info": None}, {"request_id": "a", "wrap_info": None}),
    ({"errors": ['time: invalid duration "x"']}, {"errors": ["expected a duration"]}),
    ({"errors": ['error converting input for field "a": x']}, {"errors": ['error converting input for field "b": x']}),
]


@pytest.mark.parametrize(("left", "right"), DIFFERENT, ids=str)
def test_differences_are_seen(left: Any, right: Any) -> None:
    """Values, types, missing members, order and texts all count."""
    assert problems(answer(left), answer(right))


ALIKE: list[tuple[Any, Any]] = [
    ({"request_id": "a"}, {"request_id": "b"}),
    ({"data": {"t": "2026-01-01T00:00:00.5Z"}}, {"data": {"t": "2027-01-01T00:00:00Z"}}),
    ({"data": {"ttl": 3600}}, {"data": {"ttl": 3598}}),
    ({"auth": {"policies": []}, "data": None}, {"auth": {"policies": []}}),
    ({"errors": ["1 error occurred:\n\t* permission denied\n\n"]}, {"errors": ["permission denied"]}),
    ({"errors": ["failed to decode JSON input: unexpected EOF"]}, {"errors": ["failed to decode JSON input: something else"]}),
    ({"warnings": ["b", "a"]}, {"warnings": ["a", "b"]}),
    ({"warnings": [f"{WEAK_HASH} instead of another"]}, {"warnings": None}),
    ({"warnings": [f"{WEAK_HASH} instead of another", "a"]}, {"warnings": ["a"]}),
    ({"request_id": "", "wrap_info": {"ttl": 60}}, {"request_id": "a", "wrap_info": {"ttl": 60}}),
    (
        {"errors": ['time: invalid duration "x"']},
        {"errors": ['Field validation failed: error converting input for field "ttl": time: invalid duration, expected one like 90s']},
    ),
    ({"data": {"id": "s.abcdefghijklmnopqrstuvwx"}}, {"data": {"id": "hvs.abcdefghijklmnopqrstuvwxyz0123"}}),
]


@pytest.mark.parametrize(("left", "right"), ALIKE, ids=str)
def test_volatile_values_are_forgiven(left: Any, right: Any) -> None:
    """Ids, times, tokens, seconds that passed, and the other product's parser texts."""
    assert not problems(answer(left), answer(right))


def test_status_rules() -> None:
    """The same status, a 4xx where the reference crashes, a refusal where it redirects or converts; never a 500."""
    assert problems(answer({}, 200), answer({}, 204))
    assert problems(answer({}, 400), answer({}, 500))
    for crashed in (answer({}, 500), answer({}, NO_ANSWER)):
        assert problems(crashed, answer({}, 500))
        assert problems(crashed, answer({}, 200))
        assert not problems(crashed, answer({}, 400))
    assert problems(answer({}, 307), answer({}, 200))
    assert not problems(answer({}, 307), answer({}, 400))
    doubtful = junk("PUT", "x", {"n": -1}, -1)
    assert not problems(answer({}, 204), answer({}, 400), doubtful)
    assert problems(answer({}, 204), answer({}, 403), doubtful)
    assert problems(answer({}, 204), answer({}, 400), junk("PUT", "x", {"n": "1h"}, "1h"))


def test_header_rules() -> None:
    """Nothing may be cached, and JSON is called exactly that."""
    reference = answer({}, headers={"content-type": "application/json"})
    assert header_problem(reference, answer({}, headers={"content-type": "application/json"}))
    good = {"content-type": "application/json", "cache-control": "no-store"}
    assert not header_problem(reference, answer({}, headers=good))
    assert header_problem(reference, answer({}, headers={**good, "content-type": "application/json; charset=utf-8"}))
