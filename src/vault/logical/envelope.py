"""Vault's JSON envelope around a response. Here and not in the delivery layer, because wrapping stores a whole envelope.

Two departures from stock, decided for the web client: `auth` present means no `data` key at all; see the ADR on the wire.
"""

from collections.abc import Mapping
from typing import Any

from vault.logical.response import Auth, Response, Shape, WrapInfo


def build_envelope(response: Response, request_id: str) -> dict[str, Any]:
    """Return the JSON object that the client gets for a response with content."""
    if response.shape is Shape.BARE:
        return dict(response.data or {})
    wrapped = response.wrap_info is not None
    data = None if wrapped else response.data
    auth = None if wrapped else response.auth
    lease = response.lease
    body: dict[str, Any] = {
        "request_id": request_id,
        "lease_id": lease.id if lease else "",
        "renewable": lease.renewable if lease else False,
        "lease_duration": lease.duration_seconds if lease else 0,
        "data": data,
        "wrap_info": _wrap_info(response.wrap_info) if response.wrap_info else None,
        "warnings": list(response.warnings) or None,
        "auth": _auth(auth) if auth else None,
    }
    if auth is not None:
        del body["data"]
    if response.shape is Shape.DOUBLED and data is not None:
        body |= {key: value for key, value in data.items() if key not in body}
    return body


def _auth(auth: Auth) -> Mapping[str, Any]:
    if auth.mfa_requirement is not None:
        return _unfinished(auth)
    return {
        "client_token": auth.client_token.reveal(),
        "accessor": auth.accessor,
        "policies": list(auth.policies),
        "token_policies": list(auth.token_policies),
        **({"identity_policies": list(auth.identity_policies)} if auth.identity_policies else {}),
        "metadata": dict(auth.metadata) or None,
        "lease_duration": auth.lease_duration_seconds,
        "renewable": auth.renewable,
        "entity_id": auth.entity_id,
        "token_type": auth.token_type,
        "orphan": auth.orphan,
        "mfa_requirement": auth.mfa_requirement,
        "num_uses": auth.num_uses,
    }


def _unfinished(auth: Auth) -> Mapping[str, Any]:
    """Return what stands for a token that there is not yet."""
    return {
        "client_token": "",
        "accessor": "",
        "policies": None,
        "metadata": None,
        "lease_duration": 0,
        "renewable": False,
        "entity_id": "",
        "token_type": "default",
        "orphan": False,
        "mfa_requirement": auth.mfa_requirement,
        "num_uses": 0,
    }


def _wrap_info(info: WrapInfo) -> Mapping[str, Any]:
    body = {
        "token": info.token.reveal(),
        "accessor": info.accessor,
        "ttl": info.ttl_seconds,
        "creation_time": info.creation_time,
        "creation_path": info.creation_path,
    }
    return body | {"wrapped_accessor": info.wrapped_accessor} if info.wrapped_accessor else body
