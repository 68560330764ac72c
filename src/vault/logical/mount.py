"""One row of the mount table: where a backend answers, under which limits, and where its data lies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from vault import limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetimes:
    """The system's lease times, where neither request, role nor mount says."""

    default_seconds: int = limits.DEFAULT_LEASE_SECONDS
    max_seconds: int = limits.MAX_LEASE_SECONDS


@dataclass(frozen=True, slots=True, kw_only=True)
class MountConfig:
    """What `tune` changes. Zero means: the system's value."""

    default_lease_seconds: int = 0
    max_lease_seconds: int = 0
    force_no_cache: bool = False
    token_type: str = ""
    listing_visibility: str = ""
    audit_non_hmac_request_keys: tuple[str, ...] = ()
    audit_non_hmac_response_keys: tuple[str, ...] = ()
    passthrough_request_headers: tuple[str, ...] = ()
    allowed_response_headers: tuple[str, ...] = ()
    user_lockout_config: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mounted backend. `path` ends with a slash; auth methods are mounted under `auth/`."""

    path: str
    kind: str
    uuid: str
    accessor: str
    description: str = ""
    options: Mapping[str, str] | None = None
    config: MountConfig = MountConfig()
    local: bool = False
    seal_wrap: bool = False
    external_entropy_access: bool = False
    plugin_version: str = ""
    # Unmounting or moving: refused for everything but the work that empties it.
    tainted: bool = False
    # Of the configuration, and so no part of the row.
    lifetimes: Lifetimes = Lifetimes()

    @property
    def is_auth(self) -> bool:
        """Return whether this is an auth method."""
        return self.path.startswith("auth/")

    @property
    def storage_prefix(self) -> str:
        """Return where the data of this mount lies. The uuid makes the data of an earlier mount of that path unreachable."""
        return f"logical/{self.uuid}/"

    @property
    def default_lease_seconds(self) -> int:
        """Return the lease time where a request names none."""
        return min(self.config.default_lease_seconds or self.lifetimes.default_seconds, self.max_lease_seconds)

    @property
    def max_lease_seconds(self) -> int:
        """Return the longest lease time of this mount."""
        return self.config.max_lease_seconds or self.lifetimes.max_seconds
