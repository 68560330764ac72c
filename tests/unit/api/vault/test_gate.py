"""What the sink does with a gate: limits before the body, and words for browsers on every answer."""

import json
from typing import Any

import pytest

from api.vault.sink import Sink
from tests.unit.api.vault.environment import Unread, make
from tests.unit.api.vault.test_sink import FakeCore, fail, unreachable
from vault.cors import Sharing
from vault.errors import AuditFailed, OriginNotAllowed, PermissionDenied, RateLimited
from vault.logical.response import Response
from vault.quota import Standing

PAGE = "https://a.example"


class FakeGate:
    def __init__(self, *, limited: bool = False, standing: Standing | None = None, sharing: Sharing | None = None) -> None:
        self.limited = limited
        self.standing = standing
        self.sharing = sharing
        self.asked: list[str] = []

    def admit(self, path: str, address: str) -> Standing | None:
        self.asked.append(path)
        if self.limited:
            raise RateLimited(path, limit=4, reset_seconds=9, tells=self.standing is not None)
        return self.standing

    def check_origin(self, origin: str) -> tuple[Sharing, str] | None:
        if self.sharing is None:
            return None
        if origin != PAGE:
            raise OriginNotAllowed
        return self.sharing, origin


def unread(target: str) -> dict[str, Any]:
    """Return a write whose body must not be read."""
    return make("PUT", target) | {"wsgi.input": Unread(), "CONTENT_LENGTH": "9"}


def test_limit_comes_before_the_body() -> None:
    """A limited request is refused unread, is on record, and its connection ends."""
    core, gate = FakeCore(unreachable), FakeGate(limited=True)
    answer = Sink(core, gate).answer(unread("auth/x/login"))
    assert (answer.status, answer.close, gate.asked) == (429, True, ["auth/x/login"])
    assert json.loads(answer.body) == {"errors": ['request path "auth/x/login": rate limit quota exceeded']}
    assert answer.headers == (("Retry-After", "9"),)
    assert len(core.refused) == 1


def test_limited_read_keeps_its_connection_and_is_told_its_limit() -> None:
    """Nothing of it is unread."""
    gate = FakeGate(limited=True, standing=Standing(limit=4, remaining=1, reset_seconds=2))
    answer = Sink(FakeCore(unreachable), gate).answer(make("GET", "a"))
    assert (answer.status, answer.close) == (429, False)
    assert dict(answer.headers) == {"Retry-After": "9", "X-Ratelimit-Limit": "4", "X-Ratelimit-Remaining": "0", "X-Ratelimit-Reset": "9"}


@pytest.mark.parametrize(("method", "target"), [("FOO", "a"), ("GET", "a//b"), ("GET", "/"), ("GET", "a/%2e%2e/b")])
def test_what_is_no_path_counts_too(method: str, target: str) -> None:
    """Nobody gets round the limit by a request that cannot be understood."""
    gate = FakeGate(limited=True)
    assert Sink(FakeCore(unreachable), gate).answer(make(method, target)).status == 429
    assert gate.asked == [""]


def test_unrecorded_limit_is_replaced() -> None:
    """Without an audit record there is no other answer than that."""
    answer = Sink(FakeCore(unreachable, AuditFailed()), FakeGate(limited=True)).answer(make("GET", "a"))
    assert (answer.status, answer.headers) == (500, ())


def test_standing_is_in_the_headers_of_every_answer() -> None:
    """Also of a refusal by the core."""
    gate = FakeGate(standing=Standing(limit=4, remaining=1, reset_seconds=2))
    for core in (FakeCore(lambda _: Response(data={})), FakeCore(fail(PermissionDenied()))):
        answer = Sink(core, gate).answer(make("GET", "a"))
        assert {"X-Ratelimit-Limit": "4", "X-Ratelimit-Remaining": "1", "X-Ratelimit-Reset": "2"}.items() <= dict(answer.headers).items()


def preflight(method: str | None = "PUT", origin: str = PAGE) -> dict[str, Any]:
    """Return what a browser sends on behalf of a page."""
    wanted = {} if method is None else {"HTTP_ACCESS_CONTROL_REQUEST_METHOD": method}
    return make("OPTIONS", "secret/a", HTTP_ORIGIN=origin) | wanted


def test_preflight_of_a_known_page_is_answered_and_recorded() -> None:
    """204 without a token and without a handler, once on record."""
    core = FakeCore(unreachable)
    answer = Sink(core, FakeGate(sharing=Sharing(origins=(PAGE,)))).answer(preflight())
    headers = dict(answer.headers)
    assert (answer.status, answer.body, answer.close) == (204, b"", False)
    assert (headers["Access-Control-Allow-Origin"], headers["Vary"]) == (PAGE, "Origin")
    assert "PUT" in headers["Access-Control-Allow-Methods"].split(",")
    assert "X-Vault-Token" in headers["Access-Control-Allow-Headers"].split(",")
    assert "Access-Control-Allow-Credentials" not in headers
    assert (len(core.recorded), len(core.refused)) == (1, 0)


@pytest.mark.parametrize(
    ("environ", "status"),
    [(preflight(origin="https://b.example"), 403), (preflight(origin="null"), 403), (preflight("TRACE"), 405), (preflight(None), 405)],
)
def test_other_preflights_are_refused_and_recorded(environ: dict[str, Any], status: int) -> None:
    """A foreign page, and a method that nothing has."""
    core = FakeCore(unreachable)
    answer = Sink(core, FakeGate(sharing=Sharing(origins=(PAGE,)))).answer(environ)
    assert (answer.status, len(core.refused), len(core.recorded)) == (status, 1, 0)
    assert status != 403 or "Access-Control-Allow-Origin" not in dict(answer.headers)


def test_foreign_page_is_refused_before_anything_is_done() -> None:
    """A request that a browser sends without asking first does nothing either."""
    environ = unread("a") | {"HTTP_ORIGIN": "https://b.example"}
    answer = Sink(FakeCore(unreachable), FakeGate(sharing=Sharing(origins=(PAGE,)))).answer(environ)
    assert (answer.status, answer.close, json.loads(answer.body)) == (403, True, {"errors": ["origin not allowed"]})


def test_known_page_can_read_every_answer() -> None:
    """Refusals, limits and what cannot be decoded included; credentials only where they are allowed."""
    sharing = Sharing(origins=(PAGE,), credentials=True)
    for core, target, limited in (
        (FakeCore(lambda _: Response(data={})), "a", False),
        (FakeCore(fail(PermissionDenied())), "a", False),
        (FakeCore(unreachable), "a//b", False),
        (FakeCore(unreachable), "a", True),
    ):
        answer = Sink(core, FakeGate(sharing=sharing, limited=limited)).answer(make("GET", target, HTTP_ORIGIN=PAGE))
        assert {"Access-Control-Allow-Origin": PAGE, "Access-Control-Allow-Credentials": "true"}.items() <= dict(answer.headers).items()


def test_without_an_origin_nothing_is_said_of_it() -> None:
    """Programs see the answers they always saw."""
    answer = Sink(FakeCore(lambda _: Response(data={})), FakeGate(sharing=Sharing(origins=(PAGE,)))).answer(make("GET", "a"))
    assert answer.headers == ()


def test_page_that_may_not_ask_is_counted() -> None:
    """A wrong origin is no way round the limit: its refusals cost records, too."""
    core, gate = FakeCore(unreachable), FakeGate(limited=True, sharing=Sharing(origins=(PAGE,)))
    answer = Sink(core, gate).answer(make("GET", "a") | {"HTTP_ORIGIN": "https://evil.example"})
    assert (answer.status, gate.asked, len(core.refused)) == (429, [""], 1)
