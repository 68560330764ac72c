"""Response wrapping: an answer waits in the cubbyhole of a token that opens it once.

Unwrapping deletes the token's row on the condition that it is as it was read, so of many concurrent callers one succeeds.
"""

from dataclasses import dataclass, replace

import msgspec
import orjson
from msgspec import structs

from vault.clock import Clock, format_rfc3339_nano
from vault.errors import InvalidRequest
from vault.logical import json
from vault.logical.envelope import build_envelope
from vault.logical.request import Request
from vault.logical.response import Response, Shape, WrapInfo
from vault.logical.token import Token
from vault.modules.auth.tokens import TokenStore
from vault.mounts import Mounts
from vault.secret import Secret
from vault.storage.transaction import Transaction

POLICY = "response-wrapping"
INVALID = "wrapping token is not valid or does not exist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapped:
    """What is stored behind a wrapping token."""

    body: str  # the JSON text of the wrapped answer; empty when the answer was a 204
    creation_path: str
    creation_time: str
    ttl_seconds: int
    wrapped_accessor: str = ""


class Wrapping:
    """Wraps, opens and moves answers within a transaction."""

    def __init__(self, tokens: TokenStore, mounts: Mounts, clock: Clock) -> None:
        self._tokens = tokens
        self._mounts = mounts
        self._clock = clock

    def wrap(self, transaction: Transaction, response: Response, request: Request) -> Response:
        """Return the answer that stands for `response`."""
        body = response.body if response.body is not None else json.encode(build_envelope(_plain(response), request.id))
        wrapped = Wrapped(
            body=body.decode(),
            creation_path=request.path,
            creation_time=format_rfc3339_nano(self._clock.now_ns()),
            ttl_seconds=request.wrap_ttl_seconds or 0,
            wrapped_accessor=response.auth.accessor if response.auth else "",
        )
        return Response(wrap_info=self._store(transaction, wrapped))

    def _store(self, transaction: Transaction, wrapped: Wrapped) -> WrapInfo:
        now_ns = self._clock.now_ns()
        token = Token(
            key="",
            policies=(POLICY,),
            path=wrapped.creation_path,
            display_name="token",
            creation_time=now_ns // 10**9,
            issued_ns=now_ns,
            creation_ttl_seconds=wrapped.ttl_seconds,
            ttl_seconds=wrapped.ttl_seconds,
            explicit_max_ttl_seconds=wrapped.ttl_seconds,
            expires_at=now_ns / 1e9 + wrapped.ttl_seconds,
            uses_left=1,
        )
        issued = self._tokens.create(transaction, token)
        place = self._place(transaction, issued.token)
        transaction.put(place + "wrapped", msgspec.json.encode(wrapped))
        # Old clients open a wrapping token by reading cubbyhole/response.
        transaction.put(place + "response", orjson.dumps({"response": wrapped.body}))
        return WrapInfo(
            token=issued.id,
            accessor=issued.token.accessor,
            ttl_seconds=wrapped.ttl_seconds,
            creation_time=wrapped.creation_time,
            creation_path=wrapped.creation_path,
            wrapped_accessor=wrapped.wrapped_accessor,
        )

    def cubbyhole_prefix(self, transaction: Transaction) -> str:
        """Return where cubbyholes lie in storage."""
        return self._mounts.require(transaction, "cubbyhole/").storage_prefix

    def _place(self, transaction: Transaction, token: Token) -> str:
        return f"{self.cubbyhole_prefix(transaction)}{token.cubbyhole}/"

    def find(self, transaction: Transaction, token: Token | None) -> Wrapped | None:
        """Return what waits behind a wrapping token, without opening it."""
        if token is None or token.policies != (POLICY,):
            return None
        entry = transaction.get(self._place(transaction, token) + "wrapped")
        return None if entry is None else msgspec.json.decode(entry.value, type=Wrapped)

    def lookup(self, transaction: Transaction, secret: Secret) -> Wrapped:
        """Return what waits behind a wrapping token id; raises InvalidRequest, the same for every cause."""
        wrapped = self.find(transaction, self._tokens.find(transaction, secret))
        if wrapped is None:
            raise InvalidRequest(INVALID)
        return wrapped

    def open(self, transaction: Transaction, token: Token | None) -> Wrapped:
        """Take what waits behind a wrapping token, and the token with it."""
        wrapped = self.find(transaction, token)
        if wrapped is None or token is None or self._tokens.find_row(transaction, token.key) is None:
            raise InvalidRequest(INVALID)
        self._tokens.remove(transaction, token, self.cubbyhole_prefix(transaction))
        return wrapped

    def rewrap(self, transaction: Transaction, token: Token | None) -> Response:
        """Move what waits behind a wrapping token behind a new one."""
        wrapped = self.open(transaction, token)
        moved = replace(wrapped, creation_time=format_rfc3339_nano(self._clock.now_ns()))
        return Response(wrap_info=self._store(transaction, moved))


def _plain(response: Response) -> Response:
    """Return the answer as it is stored: what is told twice for old clients is told once inside a wrapping."""
    return structs.replace(response, shape=Shape.ENVELOPE) if response.shape is Shape.DOUBLED else response
