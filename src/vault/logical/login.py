"""What an auth method says of a caller: who it is, and what its token shall be. The core makes the token of it."""

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from vault.logical.request import EMPTY


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenParameters:
    """What roles and users say of their tokens. Times are seconds; zero and empty mean unset."""

    token_ttl: int = 0
    token_max_ttl: int = 0
    token_explicit_max_ttl: int = 0
    token_period: int = 0
    token_policies: tuple[str, ...] = ()
    token_bound_cidrs: tuple[str, ...] = ()
    token_no_default_policy: bool = False
    token_num_uses: int = 0  # zero: unlimited
    token_type: str = "default"  # noqa: S105 - the name of a kind, not a secret
    token_strictly_bind_ip: bool = False  # to the address that logs in


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """A caller whom an auth method has recognised."""

    alias: str = ""  # its name at this mount, in its one spelling; empty: it belongs to no entity
    alias_metadata: Mapping[str, str] = EMPTY
    groups: tuple[str, ...] = ()  # names at this mount of the external groups that it is in
    keeps_groups: bool = False  # of a renewal: nobody could be asked for the groups of now, so they stay as they are
    display_name: str = ""  # the name of the mount is put in front
    metadata: Mapping[str, str] = EMPTY
    policies: tuple[str, ...] = ()  # beside those of the parameters
    parameters: TokenParameters = TokenParameters()
    role: str = ""  # of the mount, that decided
    # A row of the mount's storage. Once it is gone or has another value, every token that was made under it is refused.
    session: str = ""
    memory: Mapping[str, str] = EMPTY  # what the method needs at a renewal; never shown
