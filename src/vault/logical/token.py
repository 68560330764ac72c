"""A token as the service knows it. Its id is never here: storage and memory hold only a keyed hash of it."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec


class TokenKind(StrEnum):
    """Service tokens are stored; batch tokens carry themselves, sealed by the barrier."""

    SERVICE = "service"
    BATCH = "batch"


class Token(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A verified token."""

    key: str  # keyed hash of the id: names the stored row, the lease and the cubbyhole; empty for batch tokens
    accessor: str = ""
    kind: TokenKind = TokenKind.SERVICE
    policies: tuple[str, ...]
    path: str  # the login or create path that made it
    display_name: str = ""
    meta: Mapping[str, str] = msgspec.field(default_factory=dict)
    entity_id: str = ""
    parent: str = ""  # key of the parent; empty for orphans
    role: str = ""
    creation_time: int  # unix seconds
    creation_ttl_seconds: int = 0  # as granted when it was made; 0 never expires (root only)
    ttl_seconds: int = 0  # as granted last
    explicit_max_ttl_seconds: int = 0  # 0: none
    period_seconds: int = 0  # 0: not periodic
    issued_ns: int = 0  # unix nanoseconds
    expires_at: float | None = None  # unix seconds; None: never
    last_renewal: int | None = None
    renewable: bool = False
    uses_left: int | None = None  # None: unlimited; 0: spent
    bound_cidrs: tuple[str, ...] = ()
    cubbyhole: str = ""  # folder of this token in the cubbyhole
    session: str = ""  # path of the row that says whether such tokens are still good; empty: there is none
    stamp: str = ""  # its value when the token was made
    memory: Mapping[str, str] = msgspec.field(default_factory=dict)  # of the auth method, for renewals; never shown
    login_role: str = ""  # of the auth mount that made it
    charge: str = ""  # to which counter of a lease-count quota its lease was put; empty: none
    revoked: bool = False  # revocation has begun
    spares_children: bool = False  # that revocation makes orphans of the children

    @property
    def is_root(self) -> bool:
        """Return whether the token holds the root policy."""
        return "root" in self.policies

    @property
    def orphan(self) -> bool:
        """Return whether no parent's revocation reaches this token."""
        return not self.parent
