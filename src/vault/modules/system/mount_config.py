"""Settings of mounts: how they are read from requests, and how mounts are shown. Durations on the wire are seconds, or text.

Zero, and the word `system`, mean the server's own value.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vault import limits
from vault.errors import InvalidRequest
from vault.failures import KINDS
from vault.logical.args import Number, parse_bool, parse_count, parse_duration, parse_list, parse_map, parse_string, parse_ttl
from vault.logical.mount import Lifetimes, Mount, MountConfig
from vault.version import VERSION

SYSTEM = "system"
TOKEN_TYPE_DEFAULT = "default-service"  # noqa: S105 - the name of a kind, not a secret
TOKEN_TYPES = frozenset({"", "service", "batch", TOKEN_TYPE_DEFAULT, "default-batch"})
VISIBILITIES = frozenset({"", "unauth", "hidden"})
LISTS = ("audit_non_hmac_request_keys", "audit_non_hmac_response_keys", "passthrough_request_headers", "allowed_response_headers")
_PLUGIN_VERSION = f"v{VERSION}+builtin.vault"
_WITHOUT_STATUS = frozenset({"system", "cubbyhole", "identity", "token", "generic"})  # kinds that are no plugins


def parse_lease_time(value: Any) -> int:
    """Read seconds; `system` is zero. Raises InvalidRequest."""
    if isinstance(value, bool | float | Number) or not isinstance(value, str | int):
        raise InvalidRequest(f'time: invalid duration "{value}"')
    try:
        seconds = 0 if value == SYSTEM else parse_duration(value)
    except ValueError:
        raise InvalidRequest(f'time: invalid duration "{value}"') from None
    if seconds < 0:
        raise InvalidRequest(f"cannot provide negative value '{value}'")
    return seconds


def check_visibility(value: str) -> str:
    """Return a listing visibility; raises InvalidRequest."""
    if value not in VISIBILITIES:
        raise InvalidRequest(f"invalid listing_visibility {value}")
    return value


def check_token_type(value: str) -> str:
    """Return a kind of token that an auth method may issue; raises InvalidRequest."""
    if value not in TOKEN_TYPES:
        raise InvalidRequest("invalid value for 'token_type'")
    return value


# --- reading the config of a new mount ----------------------------------------------------------------------------------


def _convert(value: Any, parse: Callable[[Any], Any]) -> Any:
    try:
        return parse(value)
    except ValueError:
        raise InvalidRequest("unable to convert given mount config information") from None


def _read_time(config: Mapping[str, Any], name: str, word: str) -> int:
    value = config.get(name)
    if value is None or value == "":
        return 0
    if isinstance(value, list | dict):
        raise InvalidRequest("unable to convert given mount config information")
    try:
        return parse_lease_time(value)
    except InvalidRequest as refusal:
        raise InvalidRequest(f"unable to parse {word} TTL of {value}: {refusal}") from None


def parse_config(config: Mapping[str, Any], *, is_auth: bool, kind: str, lifetimes: Lifetimes) -> MountConfig:
    """Return the settings of a new mount; raises InvalidRequest."""
    default, longest = _read_time(config, "default_lease_ttl", "default"), _read_time(config, "max_lease_ttl", "max")
    if longest and default > longest:
        raise InvalidRequest("given default lease TTL greater than given max lease TTL")
    if not longest and default > lifetimes.max_seconds:
        raise InvalidRequest(f"given default lease TTL greater than system max lease TTL of {lifetimes.max_seconds}")
    if config.get("plugin_version"):
        raise InvalidRequest(f"cannot select non-builtin version of {'auth' if is_auth else 'secrets'} plugin {kind}")
    lists = {name: _convert(config[name], parse_list) for name in LISTS if config.get(name) is not None}
    token_type = _convert(config.get("token_type") or "", parse_string)
    lockout = _convert(config.get("user_lockout_config") or {}, parse_map)
    if lockout and (kind not in KINDS or not is_auth):
        raise InvalidRequest(f'tuning of user lockout configuration for auth type "{kind}" not allowed')
    return MountConfig(
        user_lockout_config=parse_lockout(lockout),
        default_lease_seconds=default,
        max_lease_seconds=longest,
        force_no_cache=_convert(config.get("force_no_cache") or False, parse_bool),
        listing_visibility=check_visibility(_convert(config.get("listing_visibility") or "", parse_string)),
        token_type=check_token_type(token_type) if is_auth else "",
        **lists,
    )


_LOCKOUT: tuple[tuple[str, str, Callable[[Any], Any]], ...] = (
    ("lockout_threshold", "threshold", parse_count),
    ("lockout_duration", "duration", parse_ttl),
    ("lockout_counter_reset", "counter_reset", parse_ttl),  # the name in configuration files
    ("lockout_counter_reset_duration", "counter_reset", parse_ttl),
    ("lockout_disable", "disable", parse_bool),
)
_LOCKOUT_MAX = {
    "threshold": limits.LOCKOUT_THRESHOLD_MAX,
    "duration": limits.LOCKOUT_SECONDS_MAX,
    "counter_reset": limits.LOCKOUT_SECONDS_MAX,
}


def parse_lockout(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return when users are locked out, as far as it is said; raises InvalidRequest. Zero: the server's own value."""
    found = {}
    for name, key, parse in _LOCKOUT:
        value = config.get(name)
        if value is None or value == "":
            continue
        try:
            found[key] = parse(value)
        except ValueError as refusal:
            raise InvalidRequest(f"unable to parse user {name.replace('_', ' ')}: {refusal}") from None
        if found[key] > _LOCKOUT_MAX.get(key, 1):
            raise InvalidRequest(f"unable to parse user {name.replace('_', ' ')}: expected at most {_LOCKOUT_MAX[key]}")
    return found


def _describe_lockout(mount: Mount) -> dict[str, Any]:
    config = mount.config.user_lockout_config
    if not config:
        return {}
    return {
        "user_lockout_counter_reset_duration": config.get("counter_reset", 0),
        "user_lockout_disable": config.get("disable", False),
        "user_lockout_duration": config.get("duration", 0),
        "user_lockout_threshold": config.get("threshold", 0),
    }


# --- showing ------------------------------------------------------------------------------------------------------------


def _describe_optional(mount: Mount) -> dict[str, Any]:
    """Return the settings that are shown only where somebody made them."""
    config = mount.config
    data: dict[str, Any] = {name: list(value) for name in LISTS if (value := getattr(config, name))}
    if config.listing_visibility:
        data["listing_visibility"] = config.listing_visibility
    if mount.is_auth:
        data["token_type"] = config.token_type or TOKEN_TYPE_DEFAULT
    return data


def describe_mount(mount: Mount) -> dict[str, Any]:
    """Return a mount as the listings show it."""
    lockout = _describe_lockout(mount)
    data: dict[str, Any] = {
        "type": mount.kind,
        "description": mount.description,
        "accessor": mount.accessor,
        "uuid": mount.uuid,
        "local": mount.local,
        "seal_wrap": mount.seal_wrap,
        "external_entropy_access": mount.external_entropy_access,
        "options": None if mount.options is None else dict(mount.options),
        "plugin_version": mount.plugin_version,
        "running_plugin_version": _PLUGIN_VERSION,
        "running_sha256": "",
        "config": {
            "default_lease_ttl": mount.config.default_lease_seconds,
            "max_lease_ttl": mount.config.max_lease_seconds,
            "force_no_cache": mount.config.force_no_cache,
            **_describe_optional(mount),
            **({"user_lockout_config": lockout} if lockout else {}),
        },
    }
    return data if mount.kind in _WITHOUT_STATUS else data | {"deprecation_status": "supported"}


def describe_tuning(mount: Mount) -> dict[str, Any]:
    """Return the settings of a mount as they take effect."""
    data: dict[str, Any] = {
        "description": mount.description,
        "default_lease_ttl": mount.config.default_lease_seconds or mount.lifetimes.default_seconds,
        "max_lease_ttl": mount.max_lease_seconds,
        "force_no_cache": mount.config.force_no_cache,
        **_describe_optional(mount),
        **_describe_lockout(mount),
    }
    return data | {"options": dict(mount.options)} if mount.options else data


def with_lease_times(config: MountConfig, default: int | None, longest: int | None) -> MountConfig:
    """Return the settings with other lease times, None meaning as they are; raises InvalidRequest where they contradict."""
    changed = replace(
        config,
        default_lease_seconds=config.default_lease_seconds if default is None else default,
        max_lease_seconds=config.max_lease_seconds if longest is None else longest,
    )
    if changed.default_lease_seconds > changed.max_lease_seconds > 0:
        raise InvalidRequest(
            f"backend max lease TTL of {changed.max_lease_seconds} would be less than "
            f"backend default lease TTL of {changed.default_lease_seconds}"
        )
    return changed
