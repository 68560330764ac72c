"""What a handler may use. Engines get `Context`; the system backends get `SystemContext`, which sees past one mount."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import msgspec

from vault.logical.mount import Mount
from vault.logical.request import Request
from vault.logical.token import Token
from vault.modules.policy.acl import Acl
from vault.storage.transaction import Transaction
from vault.storage.view import View

if TYPE_CHECKING:
    from vault.logical.backend import Backend, Match


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a handler."""

    request: Request
    mount: Mount
    path: str  # below the mount
    storage: View  # of this mount only
    token: Token | None
    now: float  # unix seconds, the same for the whole request
    now_ns: int
    prepared: Any = None  # what the endpoint's `prepare` has found

    @property
    def data(self) -> Mapping[str, Any]:
        """Return the untyped fields, for paths that take free ones."""
        return self.request.data


class SystemContext(Context, frozen=True, kw_only=True):
    """One call of a handler of a system backend."""

    transaction: Transaction
    acl: Acl
    backend: "Backend"
    match: "Match"
    # What is done once for the request, however often its handler runs.
    kept: dict[str, Any] = msgspec.field(default_factory=dict)
    # Run after the commit: effects outside storage (the seal state) must not happen for a request that was refused.
    after_commit: list[Callable[[], None]] = msgspec.field(default_factory=list)
    # Run if the request is refused after all: takes back an effect that the answer had to show already (an unseal).
    if_refused: list[Callable[[], None]] = msgspec.field(default_factory=list)
