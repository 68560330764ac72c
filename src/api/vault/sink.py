"""The one way from HTTP into the vault: decode, `Core.handle`, encode. Refusals of the decoder are put on record, too."""

import os
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any, Protocol

import structlog

from api.vault.codec import JSON, Answer, decode_head, decode_request, describe_refused, echo_namespace, encode_error, encode_response
from api.vault.sharing import add_sharing, answer_preflight, has_body, is_preflight
from api.vault.status import find_status
from vault.clock import Clock, SystemClock
from vault.cors import Sharing
from vault.errors import InvalidRequest, OriginNotAllowed, RateLimited, VaultError
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.response import Response
from vault.quota import Standing

INTERNAL_ERROR = b'{"errors":["internal error"]}'
_log = structlog.get_logger(__name__)


class Door(Protocol):
    """What delivery needs of the core."""

    def handle(self, request: Request) -> Response | None:
        """Answer a request; raises VaultError."""

    def refuse(self, request: Request, error: VaultError) -> None:
        """Put a request on record that could not be decoded; raises AuditFailed."""

    def record(self, request: Request) -> None:
        """Put a request on record that needs no handler; raises AuditFailed."""


class Gate(Protocol):
    """What is asked before a request is read."""

    def admit(self, path: str, address: str) -> Standing | None:
        """Count a request against its quota; raises RateLimited."""

    def check_origin(self, origin: str) -> tuple[Sharing, str] | None:
        """Return what holds for a web page; raises OriginNotAllowed."""


class Entry:
    """One request at the gate."""

    __slots__ = ("_address", "_gate", "asked", "standing")

    def __init__(self, gate: Gate, address: str) -> None:
        self._gate = gate
        self._address = address
        self.asked = False
        self.standing: Standing | None = None

    def admit(self, path: str) -> bool:
        """Count the request; return that the gate has heard of other hosts' writes. Raises RateLimited."""
        self.asked = True
        self.standing = self._gate.admit(path, self._address)
        return True


def _list_standing(standing: Standing) -> Iterator[tuple[str, str]]:
    yield "X-Ratelimit-Limit", str(standing.limit)
    yield "X-Ratelimit-Remaining", str(standing.remaining)
    yield "X-Ratelimit-Reset", str(standing.reset_seconds)


def _list_limit(error: RateLimited) -> Iterator[tuple[str, str]]:
    yield "Retry-After", str(error.reset_seconds)
    if error.tells:
        yield from _list_standing(Standing(limit=error.limit, remaining=0, reset_seconds=error.reset_seconds))


def make_request_id() -> str:
    """Return a random UUID."""
    digits = os.urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"


class Sink:
    """Answers WSGI environments of the vault's API."""

    def __init__(self, core: Door, gate: Gate | None = None, clock: Clock | None = None, *, log_access: bool = False) -> None:
        self._core = core
        self._gate = gate
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
        if self._gate is None:
            return self._answer_admitted(environ, request_id, None)
        entry = Entry(self._gate, environ.get("REMOTE_ADDR", ""))
        try:
            page = self._gate.check_origin(environ["HTTP_ORIGIN"]) if "HTTP_ORIGIN" in environ else None
        except OriginNotAllowed as error:
            return self._refuse(environ, request_id, error, entry, close=has_body(environ))
        if page is not None and is_preflight(environ):
            answer = self._answer_preflight(environ, request_id, entry, page)
        else:
            answer = self._answer_admitted(environ, request_id, entry)
        if entry.standing is not None:
            answer = replace(answer, headers=(*answer.headers, *_list_standing(entry.standing)))
        return answer if page is None else add_sharing(answer, page)

    def _answer_preflight(self, environ: Mapping[str, Any], request_id: str, entry: "Entry", page: tuple[Sharing, str]) -> Answer:
        """Tell a browser what its page may send; nothing is done, and no token is asked for."""
        request = describe_refused(environ, request_id)
        try:
            entry.admit(request.path)
            answer = answer_preflight(environ, page)
            self._core.record(request)
        except VaultError as error:
            return self._refuse(environ, request_id, error, entry)
        return answer

    def _refuse(
        self, environ: Mapping[str, Any], request_id: str, error: VaultError, entry: "Entry | None", *, close: bool = True
    ) -> Answer:
        """Answer a request that could not be decoded; a path that is none counts as any other."""
        if entry is not None and not entry.asked:
            try:
                entry.admit("")
            except RateLimited as limited:
                error = limited
        answer = self._record(describe_refused(environ, request_id), error, close=close)
        if isinstance(error, RateLimited) and answer.status == find_status(error):
            answer = replace(answer, headers=tuple(_list_limit(error)), close=has_body(environ))
        return answer

    def _answer_admitted(self, environ: Mapping[str, Any], request_id: str, entry: "Entry | None") -> Answer:
        try:
            request = decode_request(environ, request_id, None if entry is None else entry.admit)
        except VaultError as error:
            return self._refuse(environ, request_id, error, entry)
        except OSError:  # the body ended early, or its chunks are none
            return self._record(describe_refused(environ, request_id), InvalidRequest("incomplete body"))
        except Exception as error:  # noqa: BLE001 - the last resort: every request gets an answer
            log_unexpected(error, request_id)
            return Answer(500, INTERNAL_ERROR, JSON, close=True)
        try:
            answer = encode_response(request, self._core.handle(request))
            return echo_namespace(environ, answer) if "HTTP_X_VAULT_NAMESPACE" in environ else answer
        except RateLimited as limited:  # by the quota of a role, which says more of it than that of the path
            if entry is not None:
                entry.standing = None
            return replace(encode_error(limited), headers=tuple(_list_limit(limited)))
        except VaultError as error:
            if error.__cause__ is not None:
                log_unexpected(error.__cause__, request_id)
            return encode_error(error)
        except Exception as error:  # noqa: BLE001 - the last resort: every request gets an answer
            log_unexpected(error, request_id)
            return Answer(500, INTERNAL_ERROR, JSON)

    def _record(self, request: Request, error: VaultError, *, close: bool = True) -> Answer:
        """Put a refusal on record. Part of the request may be unread: then nothing more is taken from that connection."""
        try:
            self._core.refuse(request, error)
        except VaultError as failure:
            return encode_error(failure, close=True)
        except Exception as unexpected:  # noqa: BLE001 - as above
            log_unexpected(unexpected, request.id)
            return Answer(500, INTERNAL_ERROR, JSON, close=True)
        return encode_error(error, close=close)


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
    kept = any(name == "Cache-Control" for name, _ in answer.headers)
    headers = [*answer.headers] if kept else [("Cache-Control", "no-store"), *answer.headers]
    if answer.content_type:
        headers += [("Content-Type", answer.content_type), ("Content-Length", str(len(answer.body)))]
    if answer.close:
        headers.append(("Connection", "close"))
    return headers
