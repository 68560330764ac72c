"""What a handler answers. The delivery layer turns it into Vault's envelope."""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any

import msgspec

from vault.logical.login import Login
from vault.logical.request import EMPTY
from vault.secret import Secret


class Shape(Enum):
    """How `data` is laid out in the body."""

    ENVELOPE = "envelope"  # under "data"
    DOUBLED = "doubled"  # under "data" and once more at top level, for old clients
    BARE = "bare"  # the body itself


class Auth(msgspec.Struct, frozen=True, kw_only=True):
    """A token as it is handed to its holder."""

    client_token: Secret
    accessor: str
    policies: tuple[str, ...]
    token_policies: tuple[str, ...]
    identity_policies: tuple[str, ...] = ()
    metadata: Mapping[str, str] = EMPTY
    lease_duration_seconds: int
    renewable: bool
    entity_id: str = ""
    token_type: str = "service"  # noqa: S105 - the name of a kind, not a secret
    orphan: bool
    num_uses: int = 0
    display_name: str = ""
    mfa_requirement: Mapping[str, Any] | None = None  # what is still asked before there is a token


class WrapInfo(msgspec.Struct, frozen=True, kw_only=True):
    """The single-use token that stands for a wrapped response."""

    token: Secret
    accessor: str
    ttl_seconds: int
    creation_time: str
    creation_path: str
    wrapped_accessor: str = ""


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """What the client is told about how long `data` is good for."""

    id: str = ""
    renewable: bool = False
    duration_seconds: int


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """An answer. No response at all (None) means: done, nothing to say, or for a read: nothing there."""

    data: Mapping[str, Any] | None = None
    auth: Auth | None = None
    login: Login | None = None  # whom an auth method has recognised; the core puts `auth` in its place
    lease: Lease | None = None
    wrap_info: WrapInfo | None = None
    warnings: tuple[str, ...] = ()
    shape: Shape = Shape.ENVELOPE
    # Protocol status where Vault's is not the one that follows from the content (health codes, 202, 404 with data).
    status: int | None = None
    # An answer that is stored and replayed as it was (unwrap), or that is not JSON.
    body: bytes | None = None
    content_type: str = "application/json"
    # Beyond those that every answer has; one of the same name takes its place.
    headers: Mapping[str, str] = EMPTY
    request_id: str = ""
    # Run once the answer has been handed to the network; never, if it was not.
    sent: Callable[[], None] | None = None


def list_response(keys: tuple[str, ...], key_info: Mapping[str, Any] | None = None) -> Response | None:
    """Answer a listing; an empty one is Vault's 404."""
    if not keys:
        return None
    return Response(data={"keys": list(keys)} if key_info is None else {"keys": list(keys), "key_info": key_info})
