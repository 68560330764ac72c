"""Sessions of the requests library whose exchanges are those of `outbound`, with its bounds: for libraries that bring such a session.

What the library would add of its own stays out: authorities, proxies and passwords of the environment, compressed answers.
"""

import io
from typing import Any

from requests import PreparedRequest, Response, Session
from requests.adapters import BaseAdapter
from requests.utils import get_encoding_from_headers

from vault import limits
from vault.modules.auth.outbound import REDIRECTED, Question, Reply, Unreachable, ask, make_tls


class Bounded(BaseAdapter):
    """The transport of a session."""

    def __init__(self, ca_pem: str, seconds_max: float) -> None:
        super().__init__()
        self.trust = make_tls(ca_pem)
        self._seconds_max = seconds_max

    def send(self, request: PreparedRequest, *_: Any, **__: Any) -> Response:
        """Return the answer; raises Unreachable. What the session says of timeouts, certificates and proxies does not count."""
        question = Question(
            url=str(request.url),
            method=str(request.method),
            body=request.body.encode() if isinstance(request.body, str) else request.body,
            headers={name: value for name, value in request.headers.items() if name.lower() != "accept-encoding"},
            trust=self.trust,
            seconds_max=self._seconds_max,
            bytes_max=limits.OUTBOUND_BYTES_MAX,
        )
        reply = ask(question)
        if reply.redirects:
            raise Unreachable(REDIRECTED)
        return _make_response(request, reply)

    def close(self) -> None:
        """Do nothing: each exchange has closed its connection."""


def _make_response(request: PreparedRequest, reply: Reply) -> Response:
    raw: Any = io.BytesIO(reply.body)  # any file will do, whatever the library's types say
    response = Response()
    response.request, response.url = request, str(request.url)
    response.status_code, response.raw = reply.status, raw
    response.headers.update(reply.headers)
    response.encoding = get_encoding_from_headers(response.headers)
    return response


def bind(session: Session, ca_pem: str, seconds_max: float = limits.OUTBOUND_SECONDS_MAX) -> None:
    """Make all requests of a session bounded ones; raises ValueError for what are no authorities."""
    adapter = Bounded(ca_pem, seconds_max)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.trust_env = False
