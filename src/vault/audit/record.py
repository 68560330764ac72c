"""What is written about a request and its response, in Vault's record format, with every value hashed.

Keys, paths, operations and times stay clear; tokens, accessors and every leaf of `data` become a keyed hash, so that the log
tells that two values are the same but not what they are. What has nothing to say is left out, as Vault does.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from vault.audit.hasher import MEMO_ENTRIES_MAX, Hasher
from vault.authority import Principal
from vault.clock import format_rfc3339
from vault.limits import STRANGER_DATA_BYTES_MAX
from vault.logical import json
from vault.logical.mount import Mount
from vault.logical.operation import Operation
from vault.logical.request import Request
from vault.logical.response import Auth, Response
from vault.logical.token import Token

NO_HEADERS: Mapping[str, bool] = MappingProxyType({})
_NO_TOKEN = b'{"token_type":"default"}'
ALWAYS_HASHED = frozenset(
    {"authorization", "cookie", "proxy-authorization", "x-bao-token", "x-vault-mfa", "x-vault-token"}
)  # carry credentials
_COUNTED = ("keys", "key_info")


def encode_subject(
    request: Request,
    principal: Principal | None,
    mount: Mount | None,
    hasher: Hasher,
    *,
    allowed: bool,
    headers: Mapping[str, bool] = NO_HEADERS,
    stranger_bytes_max: int = STRANGER_DATA_BYTES_MAX,
) -> bytes:
    """Return the `auth` and `request` members, which both records of a request carry, as JSON text without braces.

    `headers` are those to show, and whether hashed. What a body without a token would take beyond `stranger_bytes_max` is one hash.
    """
    token = principal.token if principal else None
    if token and principal:
        auth, secret, accessor = _describe_caller(token, principal.granting_policies if allowed else None, request, hasher)
    else:
        auth, secret, accessor = _NO_TOKEN, hasher.secret(request.token), ""
    described: dict[str, Any] = {"id": request.id, "operation": (principal.request if principal else request).operation.value}
    if mount is not None:
        described.update(_describe_mount(mount))
    if secret:
        described["client_token"] = secret
    if accessor:
        described["client_token_accessor"] = accessor
    described["namespace"] = {"id": request.realm.id, "path": request.realm.path} if request.realm.path else {"id": request.realm.id}
    described["path"] = request.path
    if request.data:
        data = hasher.data(request.data, mount.config.audit_non_hmac_request_keys if mount else ())
        described["data"] = data if token else _shorten(data, hasher, stranger_bytes_max)
    if request.remote_address:
        described["remote_address"] = request.remote_address
        described["remote_port"] = request.remote_port
    if request.wrap_ttl_seconds:
        described["wrap_ttl"] = request.wrap_ttl_seconds
    if headers and (shown := _describe_headers(request, headers, hasher)):
        described["headers"] = shown
    return b'"auth":%b,"request":%b' % (auth, encode(described))


def _shorten(data: Any, hasher: Hasher, bytes_max: int) -> Any:
    """Return what a stranger sent, or the hash of it: many small values fill a log fifty times as fast as they come."""
    text = encode(data)
    return data if len(text) <= bytes_max else hasher.hash_text(text.decode())


def _describe_headers(request: Request, headers: Mapping[str, bool], hasher: Hasher) -> dict[str, list[str]]:
    shown = {}
    for name, hashed in headers.items():
        value = request.headers.get(name)
        if value is not None:
            shown[name] = [hasher.hash_text(value) if hashed or name in ALWAYS_HASHED else value]
    return shown


def _describe_caller(token: Token, granting: tuple[str, ...] | None, request: Request, hasher: Hasher) -> tuple[bytes, str, str]:
    """Return the `auth` object, the hash of the token's id and its accessor; remembered as long as the token is the same object."""
    found = hasher.described.get(token.key)
    if found is not None and found[0] is token and found[1] == granting:
        return found[2:]
    secret, accessor = hasher.secret(request.token), hasher.accessor(token.accessor)
    auth = encode(_describe_token(token, granting, secret, accessor))
    if token.key:  # a batch token has none
        if len(hasher.described) >= MEMO_ENTRIES_MAX:
            hasher.described.clear()
        hasher.described[token.key] = (token, granting, auth, secret, accessor)
    return auth, secret, accessor


def _describe_token(token: Token, granting: tuple[str, ...] | None, secret: str, accessor: str) -> dict[str, Any]:
    results: dict[str, Any] = {"allowed": granting is not None}
    if granting:
        results["granting_policies"] = [{"name": name, "namespace_id": "root", "type": "acl"} for name in granting]
    described: dict[str, Any] = {
        "client_token": secret,
        "accessor": accessor,
        "display_name": token.display_name,
        "policies": token.policies,
        "token_policies": token.policies,
        "policy_results": results,
        "metadata": token.meta,
        "remaining_uses": token.uses_left,
        "entity_id": token.entity_id,
        "token_type": token.kind.value,
        "token_ttl": token.ttl_seconds,
        "token_issue_time": format_rfc3339(token.issued_ns // 10**9),
    }
    if token.uses_left == 0:
        return {**_drop_empty(described), "remaining_uses": 0}  # this request was its last
    return _drop_empty(described)


def _drop_empty(members: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value}


def _describe_mount(mount: Mount) -> dict[str, str]:
    return {
        "mount_point": mount.path,
        "mount_type": mount.kind,
        "mount_accessor": mount.accessor,
        "mount_class": "auth" if mount.is_auth else "secret",
    }


def encode_response(response: Response | None, operation: Operation, mount: Mount | None, hasher: Hasher) -> bytes:
    """Return the `response` member as JSON text."""
    described: dict[str, Any] = {}
    if response is not None:
        if response.auth:
            described["auth"] = _describe_auth(response.auth, hasher)
        if response.data is not None:
            clear = mount.config.audit_non_hmac_response_keys if mount else ()
            counts = _count(response.data) if hasher.elide_list_responses and operation.enumerates else {}
            rest = {key: value for key, value in response.data.items() if key not in counts} if counts else response.data
            described["data"] = {**hasher.data(rest, clear), **counts} if counts else hasher.data(rest, clear)
        if response.lease and response.lease.id:
            described["secret"] = {"lease_id": response.lease.id}
        if response.warnings:
            described["warnings"] = response.warnings
        if response.wrap_info:
            described["wrap_info"] = _describe_wrapping(response, hasher)
    if mount is not None:
        described.update(_describe_mount(mount))
    return b'"response":%b' % encode(described)


def _count(data: Mapping[str, Any]) -> dict[str, int]:
    return {key: len(data[key]) for key in _COUNTED if isinstance(data.get(key), list | tuple | dict)}


def _describe_wrapping(response: Response, hasher: Hasher) -> dict[str, Any]:
    wrap = response.wrap_info
    if wrap is None:
        return {}
    return _drop_empty(
        {
            "ttl": wrap.ttl_seconds,
            "token": hasher.secret(wrap.token),
            "accessor": hasher.accessor(wrap.accessor),
            "creation_time": wrap.creation_time,
            "creation_path": wrap.creation_path,
            "wrapped_accessor": hasher.accessor(wrap.wrapped_accessor),
        }
    )


def _describe_auth(auth: Auth, hasher: Hasher) -> dict[str, Any]:
    return _drop_empty(
        {
            "client_token": hasher.secret(auth.client_token),
            "accessor": hasher.accessor(auth.accessor),
            "display_name": auth.display_name,
            "policies": auth.policies,
            "token_policies": auth.token_policies,
            "metadata": dict(auth.metadata),
            "num_uses": auth.num_uses,
            "entity_id": auth.entity_id,
            "token_type": auth.token_type,
            "token_ttl": auth.lease_duration_seconds,
        }
    )


def encode(value: Any) -> bytes:
    """Return JSON text on one line, whatever is in it: what is not text is written as its escapes."""
    try:
        return orjson.dumps(value, default=_encode_other)
    except TypeError:  # lone surrogates, numbers over 64 bits, or deeper than this encoder goes
        return json.encode(_clean(value))


def _encode_other(value: Any) -> Any:
    # A number that no Python number holds becomes a string: a reader of the log may not take 1e500 for a number at all.
    return dict(value) if isinstance(value, Mapping) else str(value)


def _clean(value: Any) -> Any:
    """Return what any encoder takes; a loop and no comprehension, which would take two frames for each of up to 300 levels."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, Mapping):
        members = {}
        for key, item in value.items():
            members[_clean(str(key))] = _clean(item)
        return members
    if isinstance(value, list | tuple):
        items = []
        for item in value:
            items.append(_clean(item))  # noqa: PERF401 - as above
        return items
    return value if value is None or isinstance(value, bool | int | float) else str(value)
