"""HTTP to `Request`, and back from `Response` or refusal. What a client sends is judged here once, before anything sees it.

Strict where two readers could differ (paths, tokens, bodies), and as lenient as Vault where only spelling differs.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from api.vault.address import Target, parse_path, parse_query, split_target
from api.vault.body import check_framing, check_patch, read_fields
from api.vault.headers import Headers, parse_basic
from api.vault.status import find_status
from vault import limits
from vault.errors import HeaderTooLarge, InvalidRequest, NotFound, UnsupportedOperation, VaultError
from vault.logical.args import parse_bool, parse_duration
from vault.logical.envelope import build_envelope
from vault.logical.json import encode
from vault.logical.operation import Operation
from vault.logical.request import EMPTY, Request, SecondFactor, no_certificates
from vault.logical.response import Response
from vault.secret import Secret

JSON = "application/json"
NO_ERRORS = b'{"errors":[]}'
_METHODS = {
    "GET": Operation.READ,
    "HEAD": Operation.READ,
    "POST": Operation.UPDATE,
    "PUT": Operation.UPDATE,
    "PATCH": Operation.PATCH,
    "DELETE": Operation.DELETE,
    "LIST": Operation.LIST,
    "SCAN": Operation.SCAN,
}
_SWITCHES = {"list": Operation.LIST, "scan": Operation.SCAN}
_SILENT = frozenset({Operation.CREATE, Operation.UPDATE, Operation.PATCH, Operation.DELETE})
_ROOT_NAMESPACES = frozenset({"", "/", "root", "root/"})
_TOKEN_FREE = ("auth/token/", "sys/wrapping/")  # a query string ends up in logs and histories: no token may be in it
NO_DOORS: frozenset[str] = frozenset()
_UNSAFE = re.compile(r"[^\x20-\x7e]")
_RAW_PATH_MAX = 256  # of a target that was refused, for the audit record


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes to the client. No media type: no body."""

    status: int
    body: bytes = b""
    content_type: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    close: bool = False  # part of the request is unread or untrusted: nothing more may come over this connection
    sent: Callable[[], None] | None = None  # run once the answer has been handed to the network


# --- request ------------------------------------------------------------------------------------------------------------


def decode_head(environ: Mapping[str, Any]) -> tuple[Operation, Target, str, Secret | None]:
    """Return what can be said without the body: operation, target, path and token; raises a VaultError."""
    if "health_vault.refusal" in environ:
        raise environ["health_vault.refusal"]
    operation = _METHODS.get(environ["REQUEST_METHOD"])
    if operation is None:
        raise UnsupportedOperation("")
    target = split_target(environ["RAW_URI"])
    check_framing(environ)
    if environ.get("HTTP_X_VAULT_NAMESPACE", "") not in _ROOT_NAMESPACES:
        raise NotFound("namespace not found")
    return operation, target, parse_path(target.path), _read_token(environ)


def decode_request(environ: Mapping[str, Any], request_id: str, admit: Callable[[str], bool] | None = None) -> Request:
    """Return the request that a WSGI environment holds; raises a VaultError.

    `admit` is asked as soon as the path is known: before anything of the body is read. It returns whether it has heard of other
    hosts' writes.
    """
    operation, target, path, token = decode_head(environ)
    authorization = environ.get("HTTP_AUTHORIZATION", "")
    heard = admit is not None and admit(path)
    data: Mapping[str, Any] = EMPTY
    if operation.writes:
        data = _read_write(environ, operation, path)
    else:
        operation, path, data = _read_query(target, operation, path)
    wrap = environ.get("HTTP_X_VAULT_WRAP_TTL")
    factors = environ.get("HTTP_X_VAULT_MFA")
    return Request(
        id=request_id,
        operation=operation,
        path=path,
        data=data,
        token=token,
        is_bearer=authorization.startswith("Bearer ") and "HTTP_X_VAULT_TOKEN" not in environ,
        basic=parse_basic(authorization),
        wrap_ttl_seconds=_parse_wrap_ttl(wrap) if wrap else None,
        second_factors=_parse_factors(factors) if factors else (),
        headers=Headers(environ),
        remote_address=environ.get("REMOTE_ADDR", ""),
        remote_port=int(environ.get("REMOTE_PORT") or 0),
        open_doors=environ.get("health_vault.open_doors", NO_DOORS),
        heard=heard,
        show_certificates=environ.get("health_vault.certificates", no_certificates),
    )


def _read_write(environ: Mapping[str, Any], operation: Operation, path: str) -> Mapping[str, Any]:
    if operation is Operation.PATCH:
        check_patch(environ)
    if path.endswith("/"):
        raise InvalidRequest("cannot write to a path ending in '/'")
    return read_fields(environ)


def _read_query(target: Target, operation: Operation, path: str) -> tuple[Operation, str, Mapping[str, Any]]:
    """Settle what a request without fields in its body asks for."""
    data: Mapping[str, Any] = EMPTY
    if target.query:
        fields = parse_query(target.query)
        if operation is Operation.READ:
            operation = _apply_switches(fields)
        if "token" in fields and path.startswith(_TOKEN_FREE):
            raise InvalidRequest("a token in the query string is refused")
        data = fields
    if operation.enumerates:
        return operation, path if path.endswith("/") or not path else f"{path}/", data
    if path.endswith("/"):
        if operation is Operation.DELETE:
            raise InvalidRequest("cannot delete a path ending in '/'")
        path = path[:-1]
    return operation, path, data


def _apply_switches(fields: dict[str, Any]) -> Operation:
    """Return what GET means with these query fields, and take out the switch that said so."""
    chosen = [operation for name, operation in _SWITCHES.items() if name in fields and _is_on(fields[name])]
    if len(chosen) > 1:
        raise InvalidRequest("")
    if chosen:
        del fields[chosen[0].value]
        return chosen[0]
    return Operation.READ if fields.pop("help", None) is None else Operation.HELP


def _is_on(value: Any) -> bool:
    try:
        return parse_bool(value)  # a list is a doubled switch, and no bool
    except ValueError:
        raise InvalidRequest("") from None


def _read_token(environ: Mapping[str, Any]) -> Secret | None:
    """Return the one token of the request; a value that cannot be one is passed on, and known to nobody."""
    token: str = environ.get("HTTP_X_VAULT_TOKEN", "")
    authorization: str = environ.get("HTTP_AUTHORIZATION", "")
    if authorization.startswith("Bearer "):
        bearer = authorization[7:].strip(" ")
        if token and bearer and bearer != token:
            raise InvalidRequest("more than one token")
        token = token or bearer
    if not token:
        return None
    if len(token) > limits.TOKEN_BYTES_MAX:
        raise HeaderTooLarge
    if "," in token:  # servers join repeated headers with a comma
        raise InvalidRequest("more than one token")
    return Secret(token)


def _parse_wrap_ttl(text: str) -> int | None:
    try:
        seconds = parse_duration(text)
    except ValueError as expected:
        raise InvalidRequest(f"error parsing X-Vault-Wrap-TTL header: {expected}") from None
    if seconds < 0:
        raise InvalidRequest("error parsing X-Vault-Wrap-TTL header: requested wrap ttl cannot be negative")
    return seconds or None


def _parse_factors(text: str) -> tuple[SecondFactor, ...]:
    """Read `method:code`, several of them where servers have joined repeated headers with a comma."""
    parts = [part.strip(" ") for part in text.split(",")]
    if len(parts) > limits.MFA_FACTORS_MAX:
        raise InvalidRequest(f"failed to parse X-Vault-MFA header: more than {limits.MFA_FACTORS_MAX} methods")
    return tuple(_parse_factor(part) for part in parts)


def _parse_factor(text: str) -> SecondFactor:
    method, colon, code = text.partition(":")
    for missing, what in ((not method, "name or ID"), (colon and not code, "value")):
        if missing:
            raise InvalidRequest(f'failed to parse X-Vault-MFA header: invalid data in header "X-Vault-MFA"; missing method {what}')
    return SecondFactor(method=method, code=Secret(code.removeprefix("passcode=")))


def describe_refused(environ: Mapping[str, Any], request_id: str) -> Request:
    """Return what can be said, for the record, of a request that was refused before it was understood."""
    raw = environ.get("RAW_URI", "").partition("?")[0]
    try:
        token = _read_token(environ)
    except VaultError:
        token = None
    return Request(
        id=request_id,
        operation=_METHODS.get(environ.get("REQUEST_METHOD", ""), Operation.READ),
        path=_UNSAFE.sub("?", raw.removeprefix("/v1/"))[:_RAW_PATH_MAX],
        token=token,
        headers=Headers(environ),
        remote_address=environ.get("REMOTE_ADDR", ""),
        remote_port=int(environ.get("REMOTE_PORT") or 0),
    )


# --- response -----------------------------------------------------------------------------------------------------------


def echo_namespace(environ: Mapping[str, Any], answer: Answer) -> Answer:
    """Return the answer with the namespace header of the request, as Vault does; nothing but our own words for it is echoed."""
    name = environ.get("HTTP_X_VAULT_NAMESPACE")
    return replace(answer, headers=(*answer.headers, ("X-Vault-Namespace", name))) if name and name in _ROOT_NAMESPACES else answer


def encode_response(request: Request, response: Response | None) -> Answer:
    """Return the answer to a request that was handled."""
    if response is None:
        return Answer(204) if request.operation in _SILENT else Answer(404, NO_ERRORS, JSON)
    if response.body is not None:
        return Answer(response.status or 200, response.body, response.content_type, _list_headers(response))
    if response.status == 204:
        return Answer(204)
    body = encode(build_envelope(response, response.request_id or request.id))
    return Answer(response.status or 200, body, JSON, _list_headers(response), sent=response.sent)


def _list_headers(response: Response) -> tuple[tuple[str, str], ...]:
    return tuple(response.headers.items())


def encode_error(error: VaultError, *, close: bool = False) -> Answer:
    """Return the answer to a request that was refused."""
    body: dict[str, Any] = {"errors": error.messages}
    if isinstance(error, InvalidRequest) and error.data is not None:
        body["data"] = error.data
    return Answer(find_status(error), encode(body), JSON, close=close)
