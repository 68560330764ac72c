from typing import Any

import falcon
import pytest

from api.app import create_app
from tests.unit.api.vault.environment import make
from tests.unit.api.vault.test_sink import FakeCore
from vault.logical.response import Response


class Resource:
    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.text = "falcon"


def call(app: Any, path: str) -> tuple[str, dict[str, str], bytes]:
    """Return status line, headers and body."""
    seen: list[Any] = []
    environ = make("GET", path, PATH_INFO=path, QUERY_STRING="", SERVER_NAME="a", SERVER_PORT="1", SERVER_PROTOCOL="HTTP/1.1")
    environ |= {"wsgi.url_scheme": "http", "wsgi.errors": None}
    body = b"".join(app(environ, lambda status, headers: seen.extend((status, dict(headers)))))
    return seen[0], seen[1], body


def test_app_answers_vault_requests() -> None:
    """What no route claims is the vault's, headers included."""
    status, headers, body = call(create_app(FakeCore(lambda _: Response(data={"a": 1}))), "/v1/secret/a")
    assert status == "200 OK"
    assert headers == {"Content-Type": "application/json", "Cache-Control": "no-store", "Content-Length": str(len(body))}


def test_app_answer_without_content_has_no_type() -> None:
    """Web clients take a type for a promise of content."""
    app = create_app(FakeCore(lambda _: Response(status=204)))
    status, headers, body = call(app, "/v1/secret/a")
    assert (status, headers, body) == ("204 No Content", {"Cache-Control": "no-store"}, b"")


def test_app_leaves_claimed_paths_to_falcon() -> None:
    """A route takes over everything that begins like it, and nothing else."""
    app = create_app(FakeCore(lambda _: Response(data={})))
    app.add_route("/v1/ehr/patients", Resource())
    assert call(app, "/v1/ehr/patients")[2] == b"falcon"
    assert call(app, "/v1/ehr/other")[0].startswith("404")
    assert b"request_id" in call(app, "/v1/ehrlich")[2]


def test_app_refuses_routes_that_could_claim_everything() -> None:
    """A route cannot take the vault's paths by a variable."""
    with pytest.raises(ValueError, match="literal"):
        create_app(FakeCore(lambda _: None)).add_route("/v1/{anything}", Resource())
