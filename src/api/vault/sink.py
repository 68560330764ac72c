"""The one way from HTTP into the vault: decode, `Core.handle`, encode. Refusals of the decoder are put on record, too."""

import os
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Protocol

import structlog

from api.vault.codec import JSON, Answer, decode_head, decode_request, describe_refused, echo_namespace, encode_error, encode_response
from vault.clock import Clock, SystemClock
from vault.errors import InvalidRequest, VaultError
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.response import Response

INTERNAL_ERROR = b'{"errors":["internal error"]}'
_log = structlog.get_logger(__name__)


class Door(Protocol):
    """What delivery needs of the core."""

    def handle(self, request: Request) -> Response | None:
        """Answer a request; raises VaultError."""

    def refuse(self, request: Request, error: VaultError) -> None:
        """Put a request on record that could not be decoded; raises AuditFailed."""


def make_request_id() -> str:
    """Return a random UUID."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"


class Sink:
    """Answers WSGI environments of the vault's API."""

    def __init__(self, core: Door, clock: Clock | None = None, *, log_access: bool = False) -> None:
        self._core = core
        self._clock = clock or SystemClock()
        self.log_access = log_access

    def answer(self, environ: Mapping[str, Any]) -> Answer:
        """Return the answer to a request; never raises."""
        request_id = make_request_id()
        if not self.log_access:
            return self._answer(environ, request_id)
        begun = self._clock.monotonic()
        answer = self._answer(environ, request_id)
        seconds = round(self._clock.monotonic() - begun, 6)
        request = describe_refused(environ, request_id)
        _log.info(
            "request",
            request_id=request_id,
            method=environ["REQUEST_METHOD"],
            path=request.path,
            address=request.remote_address,
            status=answer.status,
            seconds=seconds,
        )
        return answer

    def accepts_head(self, environ: Mapping[str, Any]) -> bool:
        """Return whether the body of a request is worth waiting for."""
        try:
            decode_head(environ)
        except VaultError:
            return False
        return True

    def refuse_malformed(self, address: str, port: int) -> None:
        """Put on record that somebody sent what is not HTTP."""
        request = Request(id=make_request_id(), operation=Operation.READ, path="", remote_address=address, remote_port=port)
        self._record(request, InvalidRequest("malformed request"))

    def _answer(self, environ: Mapping[str, Any], request_id: str) -> Answer:
        try:
            request = decode_request(environ, request_id)
        except VaultError as error:
            return self._record(describe_refused(environ, request_id), error)
        except OSError:  # the body ended early, or its chunks are none
            return self._record(describe_refused(environ, request_id), InvalidRequest("incomplete body"))
        except Exception as error:  # noqa: BLE001 - the last resort: every request gets an answer
            log_unexpected(error, request_id)
            return Answer(500, INTERNAL_ERROR, JSON, close=True)
        try:
            answer = encode_response(request, self._core.handle(request))
            return echo_namespace(environ, answer) if "HTTP_X_VAULT_NAMESPACE" in environ else answer
        except VaultError as error:
            if error.__cause__ is not None:
                log_unexpected(error.__cause__, request_id)
            return encode_error(error)
        except Exception as error:  # noqa: BLE001 - the last resort: every request gets an answer
            log_unexpected(error, request_id)
            return Answer(500, INTERNAL_ERROR, JSON)

    def _record(self, request: Request, error: VaultError) -> Answer:
        """Put a refusal on record. Part of the request may be unread: nothing more is taken from that connection."""
        try:
            self._core.refuse(request, error)
        except VaultError as failure:
            return encode_error(failure, close=True)
        except Exception as unexpected:  # noqa: BLE001 - as above
            log_unexpected(unexpected, request.id)
            return Answer(500, INTERNAL_ERROR, JSON, close=True)
        return encode_error(error, close=True)


def log_unexpected(error: BaseException, request_id: str = "") -> None:
    """Log where an error came from. Neither its text nor the values around it: both may hold secrets."""
    places = [f"{place.filename}:{place.lineno} {place.name}" for place in traceback.extract_tb(error.__traceback__)]
    _log.error("unexpected error", request_id=request_id, error=type(error).__name__, places=places)


_STATUS_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


def status_line(status: int) -> str:
    """Return a status as WSGI wants it; health checks may choose numbers that have no phrase."""
    return _STATUS_LINES.get(status) or f"{status} Status"


def list_headers(answer: Answer) -> list[tuple[str, str]]:
    """Return the headers of an answer; one without content says nothing of a type."""
    headers = [("Cache-Control", "no-store"), *answer.headers]
    if answer.content_type:
        headers += [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
    if answer.close:
        headers.append(("Connection", "close"))
    return headers
