"""Every setting that there is, as tables: its name, how its value is read, its default and what it is for.

A row of `TOP` is a key of the file's top level, the variable HEALTH_VAULT_<NAME> and the flag -<name>. A row of a block's table is a key
of the block, the variable HEALTH_VAULT_<BLOCK>_<NAME> and the flag -<block>-<name>. A secret has no flag: others see command lines.
"""

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any

from vault import limits
from vault.logical.args import parse_bool, parse_duration
from vault.settings import Address

DEV_ADDRESS = "127.0.0.1:4117"
POSTGRESQL_URL = "a URL like postgresql://user@host/database"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One setting. `parse` raises ValueError with what was expected."""

    name: str
    parse: Callable[[Any], Any]
    default: Callable[[], Any]
    help: str
    secret: bool = False


# --- how a value is read --------------------------------------------------------------------------------------------------


def parse_text(value: Any) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise ValueError("text")  # noqa: TRY004 - the caller turns every ValueError into one message
    return value


def parse_path(value: Any) -> str:
    """Read the path of a file or folder; empty stays empty."""
    return str(Path(parse_text(value)).expanduser().absolute()) if value else ""


def parse_switch(value: Any) -> bool:
    """Read true or false."""
    try:
        return parse_bool(value)
    except ValueError:
        raise ValueError("true or false") from None


def whole_number(low: int, high: int) -> Callable[[Any], int]:
    """Return how to read a whole number within bounds."""

    def parse(value: Any) -> int:
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,12}", text, re.ASCII) or not low <= int(text) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def one_of(choices: Mapping[str, str]) -> Callable[[Any], str]:
    """Return how to read one of these words; each stands for a meaning."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return choices[value]

    return parse


def seconds(low: int, high: int, example: str) -> Callable[[Any], int]:
    """Return how to read a duration within bounds, a number of seconds or a text with units."""

    def parse(value: Any) -> int:
        try:
            found = parse_duration(value)
        except ValueError:
            found = -1
        if not low <= found <= high:
            raise ValueError(f"a duration from {low} s to {high} s, like {example}")
        return found

    return parse


def parse_list(value: Any) -> tuple[str, ...]:
    """Read texts: a list, or one text with commas."""
    members = [member.strip() for member in value.split(",")] if isinstance(value, str) else value
    if not isinstance(members, list | tuple) or not all(isinstance(member, str) for member in members):
        raise ValueError("a list of texts")
    return tuple(member for member in members if member)


def parse_networks(value: Any) -> tuple[IPv4Network | IPv6Network, ...]:
    """Read addresses and networks."""
    try:
        return tuple(ip_network(member, strict=False) for member in parse_list(value))
    except ValueError:
        raise ValueError("IP addresses or networks, like 10.0.0.0/8") from None


def parse_header(value: Any) -> str:
    """Read the name of a header; one with an underscore never arrives."""
    if not re.fullmatch(r"[A-Za-z0-9-]*", parse_text(value), re.ASCII):
        raise ValueError("the name of a header, of letters, digits and -")
    return str(value)


def parse_decoders(value: Any) -> tuple[str, ...]:
    """Read the steps by which a header becomes a certificate."""
    names = tuple(name.upper() for name in parse_list(value))
    if not names or not set(names) <= {"URL", "BASE64", "DER"}:
        raise ValueError("URL, BASE64 or DER, in the order in which they are applied")
    return names


def parse_origins(value: Any) -> tuple[str, ...]:
    """Read the origins of pages, exactly as browsers send them."""
    origins = parse_list(value)
    if not all(re.fullmatch(r"https?://[^\s/*,]+", origin) for origin in origins):
        raise ValueError("origins like https://vault.example, without a path and without *")
    return origins


def parse_address(value: Any) -> Address:
    """Read `host:port`, an IPv6 host in brackets."""
    found = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]*)):([0-9]{1,5})", str(value), re.ASCII)
    if found is None or int(found[3]) > 65535:
        raise ValueError("host:port, like 127.0.0.1:4117")
    return Address(host=found[1] or found[2] or "0.0.0.0", port=int(found[3]))  # noqa: S104 - an empty host asks for all interfaces


def parse_options(value: Any) -> Mapping[str, str]:
    """Read options of a device: texts by name; numbers and bools are taken as Vault writes them."""
    if not isinstance(value, Mapping) or not all(isinstance(member, str | int | float) for member in value.values()):
        raise ValueError("options with plain values")
    return {str(name): _as_text(member) for name, member in value.items()}


def _as_text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def parse_postgresql(value: Any) -> str:
    """Read the URL of a PostgreSQL database."""
    if not re.match(r"postgres(?:ql)?://", parse_text(value)):
        raise ValueError(POSTGRESQL_URL)
    return str(value)


def parse_url(value: Any) -> str:
    """Read the URL of a host."""
    if not re.match(r"https?://[^/\s]", parse_text(value)):
        raise ValueError("a URL like https://vault.example:4117")
    return str(value)


def _flag_of(name: str) -> Callable[[Any], bool]:
    """Return how to read a block that holds one switch."""

    def parse(value: Any) -> bool:
        if not isinstance(value, Mapping):
            return parse_switch(value)
        return parse_switch(value.get(name, False))

    return parse


_VERSIONS = {"tls12": "tls12", "tls13": "tls13"}

# --- the tables -----------------------------------------------------------------------------------------------------------


def constant(value: Any) -> Callable[[], Any]:
    """Return a default that depends on nothing."""
    return lambda: value


_nothing = constant("")
_off = constant(False)
_on = constant(True)
_lockout = seconds(1, limits.LOCKOUT_SECONDS_MAX, "15m")
_lease = seconds(1, limits.DURATION_SECONDS_MAX, "768h")
# Vault's words and ours.
_LEVELS = {"trace": "debug", "debug": "debug", "info": "info", "warn": "warning", "warning": "warning", "error": "error", "err": "error"}
_FORMATS = {"console": "console", "standard": "console", "json": "json"}

TOP = (
    Option(
        name="workers",
        parse=whole_number(1, 256),
        default=lambda: len(os.sched_getaffinity(0)),
        help="Worker processes; one for each core.",
    ),
    Option(name="threads", parse=whole_number(1, 256), default=constant(8), help="Threads of each worker."),
    Option(
        name="log_level", parse=one_of(_LEVELS), default=constant("info"), help="Least level that is logged: debug, info, warning, error."
    ),
    Option(name="log_format", parse=one_of(_FORMATS), default=constant("console"), help="console or json."),
    Option(name="log_file", parse=parse_path, default=_nothing, help="File for the log instead of the standard error."),
    Option(name="pid_file", parse=parse_path, default=_nothing, help="File that holds the server's process id."),
    Option(name="api_addr", parse=parse_url, default=_nothing, help="URL by which clients reach this host."),
    Option(name="default_lease_ttl", parse=_lease, default=constant(limits.DEFAULT_LEASE_SECONDS), help="Lease where nobody says."),
    Option(name="max_lease_ttl", parse=_lease, default=constant(limits.MAX_LEASE_SECONDS), help="Longest lease."),
    Option(
        name="max_request_size",
        parse=whole_number(1, 2**31),
        default=constant(limits.BODY_BYTES_MAX),
        help="Largest body of a request, bytes.",
    ),
    Option(name="max_request_duration", parse=seconds(1, 3600, "90s"), default=constant(90), help="Longest time that a request may take."),
    Option(name="data_dir", parse=parse_path, default=_nothing, help="Folder of the embedded PostgreSQL."),
    Option(name="audit_dir", parse=parse_path, default=_nothing, help="Folder for audit files that are enabled over the API."),
    Option(name="audit_addresses", parse=parse_list, default=constant(()), help="Where devices enabled over the API may send."),
    Option(
        name="audit_retention_days",
        parse=whole_number(limits.AUDIT_RETENTION_DAYS_MIN, 36_500),
        default=constant(limits.AUDIT_RETENTION_DAYS),
        help="How long the audit table keeps records; at least six years.",
    ),
    Option(name="disable_mlock", parse=parse_switch, default=_off, help="Do not warn when memory cannot be locked."),
    Option(name="raw_storage_endpoint", parse=parse_switch, default=_off, help="Offer sys/raw."),
    Option(name="cors_allowed_origins", parse=parse_origins, default=constant(()), help="Pages that browsers let use this server."),
    Option(name="dev_root_token_id", parse=parse_text, default=_nothing, help="Root token of a development server."),
)

LISTENER = (
    Option(name="address", parse=parse_address, default=lambda: parse_address(DEV_ADDRESS), help="Where to listen."),
    Option(name="tls_disable", parse=parse_switch, default=_off, help="Serve plain HTTP."),
    Option(name="tls_cert_file", parse=parse_path, default=_nothing, help="Certificate and chain, PEM."),
    Option(name="tls_key_file", parse=parse_path, default=_nothing, help="Its private key, PEM."),
    Option(name="tls_min_version", parse=one_of(_VERSIONS), default=constant("tls12"), help="Oldest version: tls12 or tls13."),
    Option(name="tls_max_version", parse=one_of(_VERSIONS), default=constant("tls13"), help="Newest version: tls12 or tls13."),
    Option(name="tls_cipher_suites", parse=parse_list, default=constant(()), help="TLS 1.2 cipher suites, by OpenSSL's names."),
    Option(name="tls_client_ca_file", parse=parse_path, default=_nothing, help="Authorities of client certificates, PEM."),
    Option(name="tls_require_and_verify_client_cert", parse=parse_switch, default=_off, help="Refuse clients without a good certificate."),
    Option(name="tls_disable_client_certs", parse=parse_switch, default=_off, help="Do not ask for a client certificate."),
    Option(
        name="x_forwarded_for_authorized_addrs",
        parse=parse_networks,
        default=constant(()),
        help="Proxies whose X-Forwarded-For is believed.",
    ),
    Option(name="x_forwarded_for_hop_skips", parse=whole_number(0, 100), default=constant(0), help="Addresses to skip from the right."),
    Option(name="x_forwarded_for_reject_not_authorized", parse=parse_switch, default=_on, help="Refuse the header from any other peer."),
    Option(name="x_forwarded_for_reject_not_present", parse=parse_switch, default=_on, help="Refuse requests without the header."),
    Option(
        name="x_forwarded_for_client_cert_header",
        parse=parse_header,
        default=_nothing,
        help="Header in which those proxies hand on a client's certificate.",
    ),
    Option(
        name="x_forwarded_for_client_cert_header_decoders",
        parse=parse_decoders,
        default=constant(("BASE64",)),
        help="How to decode it, in order: URL, BASE64, DER.",
    ),
    Option(name="max_request_size", parse=whole_number(1, 2**31), default=constant(None), help="As at the top level, for this listener."),
    Option(name="disable_unauthed_rekey_endpoints", parse=parse_switch, default=_on, help="sys/rekey needs a token."),
    Option(name="disable_unauthed_generate_root_endpoints", parse=parse_switch, default=_on, help="sys/generate-root needs a token."),
    Option(name="telemetry", parse=_flag_of("unauthenticated_metrics_access"), default=_off, help="sys/metrics needs no token."),
    Option(
        name="inflight_requests_logging",
        parse=_flag_of("unauthenticated_in_flight_requests_access"),
        default=_off,
        help="sys/in-flight-req needs no token.",
    ),
)

STORAGE: Mapping[str, tuple[Option, ...]] = {
    "postgresql": (Option(name="connection_url", parse=parse_postgresql, default=_nothing, help="URL of PostgreSQL.", secret=True),),
    "embedded": (Option(name="path", parse=parse_path, default=_nothing, help="Folder of the embedded PostgreSQL."),),
    "inmem": (),
}

AUDIT = (
    Option(name="options", parse=parse_options, default=dict, help="Options of the device."),
    Option(name="description", parse=parse_text, default=_nothing, help="What the device is for."),
)

# Options of audit devices, of whatever kind; those that Vault has and that change nothing here are left out.
DEVICE_OPTIONS = frozenset(
    {
        *("elide_list_responses", "filter", "format", "hmac_accessor", "log_raw", "prefix"),
        *("file_path", "mode", "path", "reserve_bytes", "sync"),
        *("address", "facility", "socket_type", "tag", "write_timeout"),
    }
)

PLACE_OPTIONS = frozenset({"address", "facility", "file_path", "tag"})  # of places of checkpoints, of whatever kind

CHECKPOINT = (
    Option(name="options", parse=parse_options, default=dict, help="Where the checkpoints go."),
    Option(name="interval", parse=seconds(1, 86_400, "60s"), default=constant(60), help="Longest time between two checkpoints."),
    Option(name="records", parse=whole_number(1, 1_000_000), default=constant(1_000), help="Most records between two checkpoints."),
)

STATIC_SEAL = (
    Option(name="current_key_id", parse=parse_text, default=_nothing, help="Name of the key in use."),
    Option(name="current_key", parse=parse_text, default=_nothing, help="The key: file://..., env://..., base64 or hex.", secret=True),
    Option(name="previous_key_id", parse=parse_text, default=_nothing, help="Name of the key before it."),
    Option(name="previous_key", parse=parse_text, default=_nothing, help="The key before it.", secret=True),
    Option(name="disabled", parse=parse_switch, default=_off, help="Only used to migrate away from it."),
)

TELEMETRY = (
    Option(
        name="prometheus_retention_time",
        parse=seconds(0, limits.DURATION_SECONDS_MAX, "24h"),
        default=constant(86_400),
        help="0: no metrics in Prometheus' form.",
    ),
)

USER_LOCKOUT = (
    Option(
        name="lockout_threshold",
        parse=whole_number(1, limits.LOCKOUT_THRESHOLD_MAX),
        default=constant(limits.LOCKOUT_THRESHOLD),
        help="Failed logins that lock a user.",
    ),
    Option(name="lockout_duration", parse=_lockout, default=constant(limits.LOCKOUT_SECONDS), help="How long a user is locked."),
    Option(name="lockout_counter_reset", parse=_lockout, default=constant(limits.LOCKOUT_SECONDS), help="How long a failure counts."),
    Option(name="disable_lockout", parse=parse_switch, default=_off, help="Do not lock users."),
)

# The blocks whose keys are also variables and flags.
BLOCKS: Mapping[str, tuple[Option, ...]] = {
    "listener": LISTENER,
    "storage": tuple(option for table in STORAGE.values() for option in table),
    "seal": STATIC_SEAL,
    "telemetry": TELEMETRY,
    "audit_checkpoint": CHECKPOINT[1:],
}
