import json
import uuid
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from api.framing import RefusedBody
from api.vault.sink import Sink, make_request_id, status_line
from tests.unit.api.vault.environment import make
from vault.errors import AuditFailed, InvalidRequest, Overloaded, PermissionDenied, StorageUnavailable, TooLarge, VaultError
from vault.logical.request import Request
from vault.logical.response import Response


class FakeCore:
    def __init__(self, handler: Callable[[Request], Response | None], failure: Exception | None = None) -> None:
        self.handler = handler
        self.failure = failure
        self.recorded: list[Request] = []
        self.refused: list[tuple[Request, VaultError]] = []

    def handle(self, request: Request) -> Response | None:
        return self.handler(request)

    def record(self, request: Request) -> None:
        self.recorded.append(request)

    def refuse(self, request: Request, error: VaultError) -> None:
        self.refused.append((request, error))
        if self.failure is not None:
            raise self.failure


def fail(error: Exception) -> Callable[[Request], Response | None]:
    """Return a handler that raises."""

    def handler(_: Request) -> Response | None:
        raise error

    return handler


def unreachable(_: Request) -> Response | None:
    """Fail: a refused request must not be handled."""
    raise AssertionError("a refused request was handled")


@pytest.mark.parametrize(("method", "target", "status"), [("FOO", "a", 405), ("GET", "a//b", 400), ("GET", "/", 404), ("PUT", "a/", 400)])
def test_refused_request_is_recorded_and_never_handled(method: str, target: str, status: int) -> None:
    """What the decoder refuses is put on record once, and its connection ends."""
    core = FakeCore(unreachable)
    answer = Sink(core).answer(make(method, target))
    assert (answer.status, answer.close, len(core.refused)) == (status, True, 1)


def test_refusal_that_cannot_be_recorded_is_replaced() -> None:
    """Without an audit record there is no other answer than that."""
    answer = Sink(FakeCore(unreachable, AuditFailed())).answer(make("GET", "a//b"))
    assert answer.status == 500


def test_refusal_of_the_core_has_its_status() -> None:
    """The core's refusals keep the connection: all of the request was read."""
    answer = Sink(FakeCore(fail(PermissionDenied()))).answer(make("GET", "a"))
    assert (answer.status, answer.close, json.loads(answer.body)) == (403, False, {"errors": ["permission denied"]})


def test_unexpected_error_tells_nothing() -> None:
    """Neither the client nor the log sees the text of an error that nobody foresaw."""
    with capture_logs() as logs:
        answer = Sink(FakeCore(fail(KeyError("canary")))).answer(make("GET", "a"))
    assert (answer.status, answer.body) == (500, b'{"errors":["internal error"]}')
    assert "canary" not in repr(logs)
    assert logs[0]["error"] == "KeyError"


def test_cause_of_a_refusal_is_logged_by_type() -> None:
    """Operators see what is behind a refusal, without its text."""

    def handler(_: Request) -> Response | None:
        raise StorageUnavailable from OSError("canary")

    with capture_logs() as logs:
        assert Sink(FakeCore(handler)).answer(make("GET", "a")).status == 503
    assert logs[0]["error"] == "OSError"
    assert "canary" not in repr(logs)


@pytest.mark.parametrize(("given", "echoed"), [("root", (("X-Vault-Namespace", "root"),)), ("", ()), ("canary\r\nX: y", ())])
def test_namespace_is_echoed_only_in_our_own_words(given: str, echoed: tuple[tuple[str, str], ...]) -> None:
    """A namespace header comes back where it names the root, and never anything else that a client sent."""
    environ = make("GET", "a", HTTP_X_VAULT_NAMESPACE=given)
    assert Sink(FakeCore(lambda _: Response(data={}))).answer(environ).headers == echoed


def test_body_that_breaks_off_is_refused() -> None:
    """An error while reading the body is the client's."""

    class Broken:
        def read(self, _: int) -> bytes:
            raise ConnectionResetError

    environ = make("POST", "a", CONTENT_LENGTH="5")
    environ["wsgi.input"] = Broken()
    answer = Sink(FakeCore(unreachable)).answer(environ)
    assert (answer.status, answer.close) == (400, True)


def test_access_log_has_no_query() -> None:
    """A query string may hold what does not belong in logs."""
    with capture_logs() as logs:
        Sink(FakeCore(lambda _: None), log_access=True).answer(make("GET", "a?b=canary"))
    assert (logs[0]["path"], logs[0]["status"]) == ("a", 404)
    assert "canary" not in repr(logs)


def test_request_ids_are_random_uuids() -> None:
    """Each is a version 4 UUID in its usual form."""
    made = {make_request_id() for _ in range(1000)}
    assert len(made) == 1000
    assert all(str(uuid.UUID(text)) == text and uuid.UUID(text).version == 4 and uuid.UUID(text).variant == uuid.RFC_4122 for text in made)


def test_status_line_takes_any_status() -> None:
    """Health checks may ask for numbers that have no name."""
    assert status_line(404) == "404 Not Found"
    assert status_line(299).startswith("299 ")


@pytest.mark.parametrize(("error", "status"), [(Overloaded(), 503), (TooLarge(), 413), (OSError("late"), 400)])
def test_body_that_did_not_come_is_refused_and_recorded(error: Exception, status: int) -> None:
    """Why a body was not waited for decides the status, and nothing more is taken from that connection."""
    core = FakeCore(unreachable)
    answer = Sink(core).answer(make("PUT", "a", CONTENT_LENGTH="7") | {"wsgi.input": RefusedBody(error)})
    assert (answer.status, answer.close) == (status, True)
    assert [request.path for request, _ in core.refused] == ["a"]


def test_refusal_of_delivery_comes_first() -> None:
    """What is wrong with where a request comes from is said before anything else is looked at."""
    core = FakeCore(unreachable)
    answer = Sink(core).answer(make("PUT", "a//b") | {"health_vault.refusal": InvalidRequest("who are you")})
    assert (answer.status, answer.body) == (400, b'{"errors":["who are you"]}')
    assert Sink(core).accepts_head(make("PUT", "a", CONTENT_LENGTH="7"))
    assert not Sink(core).accepts_head(make("PUT", "a//b", CONTENT_LENGTH="7"))
