"""What is written about a request and its response, in Vault's record format, with every value hashed.

Keys, paths, operations and times stay clear; tokens, accessors and every leaf of `data` become a keyed hash, so that the log
tells that two values are the same but not what they are.
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

import orjson

from vault.authority import Principal
from vault.clock import format_rfc3339_nano
from vault.logical.args import Number
from vault.logical.mount import Mount
from vault.logical.request import Request
from vault.logical.response import Auth, Response
from vault.logical.token import Token
from vault.secret import Secret

_MEMO_MAX = 4096
_DEPTH_MAX = 400  # deeper than any body that is accepted
_PREFIX = "hmac-sha256:"


class Hasher:
    """The keyed hash of one device. Hashes of tokens and accessors are remembered: they come again and again."""

    def __init__(self, salt: bytes, *, hmac_accessor: bool = True, log_raw: bool = False, elide_list_responses: bool = False) -> None:
        self._salt = salt
        self._memo: dict[str, str] = {}
        self.hmac_accessor = hmac_accessor
        self.log_raw = log_raw
        self.elide_list_responses = elide_list_responses

    def hash_text(self, text: str) -> str:
        """Return what a record shows in place of a string."""
        return _PREFIX + hmac.digest(self._salt, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()

    def hash_known(self, text: str) -> str:
        """Return the hash of a string that is likely to come again; empty stays empty."""
        if not text:
            return ""
        found = self._memo.get(text)
        if found is None:
            if len(self._memo) >= _MEMO_MAX:
                self._memo.clear()
            found = self._memo[text] = self.hash_text(text)
        return found

    def accessor(self, text: str) -> str:
        """Return an accessor as the device shows it."""
        return self.hash_known(text) if self.hmac_accessor else text

    def data(self, fields: Mapping[str, Any] | None, clear_keys: tuple[str, ...]) -> Any:
        """Return fields with every leaf hashed, except under the keys that the mount wants clear."""
        if fields is None:
            return None
        if self.log_raw:
            return {key: _reveal(value) for key, value in fields.items()}
        return {key: _reveal(value) if key in clear_keys else self._leaves(value, 0) for key, value in fields.items()}

    def _leaves(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.hash_text(value)
        if value is None:
            return None
        if isinstance(value, Secret):
            return self.hash_text(value.reveal())
        if depth > _DEPTH_MAX:
            return self.hash_text(repr(value))
        if isinstance(value, Mapping):
            return {str(key): self._leaves(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._leaves(item, depth + 1) for item in value]
        if isinstance(value, Number):
            return self.hash_text(value.literal)
        return self.hash_text(orjson.dumps(value, default=str).decode())


def _reveal(value: Any) -> Any:
    return value.reveal() if isinstance(value, Secret) else value


def _describe_token(token: Token, request: Request, principal: Principal, hasher: Hasher) -> dict[str, Any]:
    secret = request.token.reveal() if request.token else ""
    described: dict[str, Any] = {
        "client_token": hasher.hash_known(secret),
        "accessor": hasher.accessor(token.accessor),
        "display_name": token.display_name,
        "policies": token.policies,
        "token_policies": token.policies,
        "policy_results": {
            "allowed": True,
            "granting_policies": [{"name": name, "namespace_id": "root", "type": "acl"} for name in principal.granting_policies],
        },
        "metadata": token.meta or None,
        "entity_id": token.entity_id,
        "token_type": token.kind.value,
        "token_ttl": token.ttl_seconds,
        "token_issue_time": format_rfc3339_nano(token.issued_ns),
    }
    if token.uses_left is not None:
        described["remaining_uses"] = token.uses_left
    return described


def _describe_mount(mount: Mount | None) -> dict[str, Any]:
    if mount is None:
        return {}
    return {
        "mount_point": mount.path,
        "mount_type": mount.kind,
        "mount_accessor": mount.accessor,
        "mount_class": "auth" if mount.is_auth else "secret",
    }


def describe_request(request: Request, principal: Principal | None, mount: Mount | None, hasher: Hasher) -> dict[str, Any]:
    """Return the `auth` and `request` parts, which both records of a request carry."""
    token = principal.token if principal else None
    clear = mount.config.audit_non_hmac_request_keys if mount else ()
    seen = principal.request if principal else request
    described: dict[str, Any] = {
        "id": request.id,
        "operation": seen.operation.value,
        **_describe_mount(mount),
        "client_token": hasher.hash_known(request.token.reveal()) if request.token else "",
        "client_token_accessor": hasher.accessor(token.accessor) if token else "",
        "namespace": {"id": request.realm.id, "path": request.realm.path},
        "path": request.path,
        "data": hasher.data(request.data, clear) or None,
        "remote_address": request.remote_address,
        "remote_port": request.remote_port,
    }
    if request.wrap_ttl_seconds:
        described["wrap_ttl"] = request.wrap_ttl_seconds
    if request.headers:
        described["headers"] = {name: [value] for name, value in request.headers.items()}
    auth = _describe_token(token, request, principal, hasher) if token and principal else {}
    return {"auth": auth, "request": described}


def describe_response(response: Response | None, mount: Mount | None, hasher: Hasher) -> dict[str, Any]:
    """Return the `response` part."""
    described = _describe_mount(mount)
    if response is None:
        return described
    if response.auth:
        described["auth"] = _describe_auth(response.auth, hasher)
    if response.data is not None:
        clear = mount.config.audit_non_hmac_response_keys if mount else ()
        data = _elide(response.data) if hasher.elide_list_responses else response.data
        described["data"] = hasher.data(data, clear)
    if response.lease and response.lease.id:
        described["secret"] = {"lease_id": response.lease.id}
    if response.warnings:
        described["warnings"] = response.warnings
    wrap = response.wrap_info
    if wrap:
        described["wrap_info"] = {
            "token": hasher.hash_text(wrap.token.reveal()),
            "accessor": hasher.accessor(wrap.accessor),
            "ttl": wrap.ttl_seconds,
            "creation_time": wrap.creation_time,
            "creation_path": wrap.creation_path,
            "wrapped_accessor": hasher.accessor(wrap.wrapped_accessor),
        }
    return described


def _describe_auth(auth: Auth, hasher: Hasher) -> dict[str, Any]:
    return {
        "client_token": hasher.hash_text(auth.client_token.reveal()),
        "accessor": hasher.accessor(auth.accessor),
        "display_name": auth.display_name,
        "policies": auth.policies,
        "token_policies": auth.token_policies,
        "metadata": dict(auth.metadata) or None,
        "num_uses": auth.num_uses,
        "entity_id": auth.entity_id,
        "token_type": auth.token_type,
        "token_ttl": auth.lease_duration_seconds,
    }


def _elide(data: Mapping[str, Any]) -> Mapping[str, Any]:
    counted = {key: len(data[key]) for key in ("keys", "key_info") if isinstance(data.get(key), list | tuple | dict)}
    return {**data, **counted}


def encode_members(members: Mapping[str, Any]) -> bytes:
    """Return the members of a JSON object on one line, without its braces."""
    return orjson.dumps(members, default=_encode_other, option=orjson.OPT_NON_STR_KEYS)[1:-1]


def encode_text(text: str) -> bytes:
    """Return a JSON string; what is not text in it becomes `?`."""
    return orjson.dumps(text.encode("utf-8", "replace").decode())


def _encode_other(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Number):
        return orjson.Fragment(value.literal)
    return str(value)
