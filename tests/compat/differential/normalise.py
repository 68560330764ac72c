"""Reduces two answers to what must be equal. Surprise: everything forgiven is listed here with its reason, nowhere else."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.compat.differential.case import Case
from tests.compat.wire import NO_ANSWER, Answer

TIME = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$")
UUID = re.compile(r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
TOKEN = re.compile(r"^(s|b|hvs|hvb)\.[A-Za-z0-9_-]{20,}$")
SECONDS_TOLERANCE = 8

# Values that differ between any two servers, or between any two calls, by their nature.
VOLATILE_KEYS = frozenset(
    [
        "request_id",
        "accessor",
        "mount_accessor",
        "client_token",
        "uuid",
        "migration_id",
        "token",
        "wrapped_accessor",
        "server_time_utc",
        "cluster_name",
        "cluster_id",
        "nonce",
    ]
)
# Values that tell which product and build answered.
BUILD_KEYS = frozenset(["commit_date", "build_date", "running_plugin_version", "running_sha256", "storage_type"])
COUNTDOWN_KEYS = frozenset(["ttl", "lease_duration"])
VERSION = re.compile(r"^v?\d+\.\d+\.\d+\S*$")

# Texts that quote the internals of the other product's language or parser; the part before them is compared.
PARSER_TEXTS = (
    (re.compile(r"^1 error occurred:\n\t\* (.*)\n\n$", re.DOTALL), r"\1"),
    # Ours names the field of every bad duration, the reference of some.
    (re.compile(r"^(?:Field validation failed: )?error converting input for field \"\w+\": (?=time: |multiplication )"), ""),
    (re.compile(r"^(failed to decode JSON input): .*", re.DOTALL), r"\1"),
    (re.compile(r"^(?:Field validation failed: )?(error converting input for field \"\w+\"): .*", re.DOTALL), r"\1"),
    (re.compile(r"^(failed to parse policy): .*", re.DOTALL), r"\1"),
    (re.compile(r"^(custom_metadata validation failed): .*", re.DOTALL), r"\1"),
    (re.compile(r"(time: (?:invalid duration|missing unit|unknown unit)|multiplication of durations resulted).*", re.DOTALL), "<duration>"),
    (re.compile(r"strconv\..*|illegal base64.*", re.DOTALL), "<parser>"),
    (re.compile(r"TTL of \".*?\" exceeded the effective max_ttl of \".*?\""), "TTL of <ttl> exceeded the effective max_ttl of <ttl>"),
    (re.compile(r"methodID: \[[0-9a-f-]{36}\]"), "methodID: [<uuid>]"),
    (re.compile(r"must match .*", re.DOTALL), "must match <pattern>"),
    (re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "<uuid>"),
    # Names that a server chooses.
    (re.compile(r"^(entity|group)_[0-9a-f]{8}(?:\.root)?$"), r"<\1 name>"),
)
# Every token id is stored as an HMAC by us, also a chosen one, so there is nothing to warn of.
WEAK_HASH = "Supplying a custom ID for the token uses the weaker SHA1 hashing"
# The product's own name in a sentence.
PRODUCT = re.compile(r"\b(OpenBao|Health Vault|Vault)(?=('s| CLI| API)\b)|\b(bao|vault|health-vault)(?= kv )")


def text(value: str) -> str:
    """Return a string without what only the other product's internals explain."""
    for pattern, replacement in PARSER_TEXTS:
        value = pattern.sub(replacement, value)
    return PRODUCT.sub("<product>", value)


def _plain(key: str, value: Any) -> Any:
    if value in (None, "", []):
        return value
    if key in VOLATILE_KEYS or key in BUILD_KEYS:
        return f"<{key}>"
    if key in ("creation_time", "issue_time") and not isinstance(value, bool):
        return "<time>"
    if not isinstance(value, str):
        return value
    if key == "response" and value.startswith("{"):
        return reduce("", json.loads(value))
    for name, pattern in (("time", TIME), ("uuid", UUID), ("token", TOKEN), ("build", VERSION)):
        if pattern.match(value):
            return f"<{name}>"
    return text(value)


def reduce(key: str, value: Any) -> Any:
    """Return the value with placeholders for ids, times and tokens."""
    if isinstance(value, dict):
        reduced = {("<build>" if VERSION.match(name) else name): reduce(name, inner) for name, inner in value.items()}
        if reduced.get("auth") and reduced.get("data", 0) is None:
            del reduced["data"]  # decided: an answer that carries auth has no data key
        if reduced.get("wrap_info"):
            reduced.pop("request_id", None)  # the reference leaves it empty when it wraps; ours names the audited request
        return reduced
    if isinstance(value, list):
        items = [reduce(key, inner) for inner in value]
        return sorted(item for item in items if not item.startswith(WEAK_HASH)) or None if key == "warnings" and items else items
    return _plain(key, value)


def without(value: Any, dotted: str) -> Any:
    """Return a copy lacking the member that the dotted path names; the empty path removes everything."""
    if not dotted:
        return None
    head, _, rest = dotted.partition(".")
    if not isinstance(value, dict) or head not in value:
        return value
    copy = dict(value)
    if rest:
        copy[head] = without(copy[head], rest)
    else:
        del copy[head]
    return copy


def body_of(case: Case, answer: Answer) -> Any:
    """Return the reduced body of one answer; a body that is not JSON is kept as text."""
    try:
        value = reduce("", answer.json)
    except ValueError:
        value = "<not JSON>"
    for dotted in case.ignore:
        value = without(value, dotted)
    return value


def same(key: str, left: Any, right: Any) -> bool:
    """Compare two reduced values; remaining lifetimes may differ by the seconds between two calls."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(name, left[name], right[name]) for name in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(key, one, two) for one, two in zip(left, right, strict=True))
    if key in COUNTDOWN_KEYS and isinstance(left, int) and isinstance(right, int):
        return abs(left - right) <= SECONDS_TOLERANCE
    return type(left) is type(right) and bool(left == right)


def status_problem(case: Case, reference: Answer, ours: Answer) -> str:
    """Say why the status is unacceptable, or return the empty string."""
    if reference.status in (NO_ANSWER, 500):
        # The other server crashed on input; input is never our fault.
        return "" if 400 <= ours.status < 500 else f"{ours.status}: input must give a 4xx"
    if reference.status == 307:
        # Aliases of a path: redirected there; the canonical answer or a refusal here, never another path's decision.
        return "" if ours.status in (307, 400, *case.allowed) else f"{ours.status}: an unclean path must be refused or redirected"
    if ours.status == reference.status or ours.status in case.allowed:
        return ""
    return f"status {ours.status} instead of {reference.status}"


def body_problem(case: Case, reference: Answer, ours: Answer) -> str:
    """Say how the bodies differ, or return the empty string."""
    if case.differs or ours.status != reference.status or reference.status in (NO_ANSWER, 307, 500):
        return ""
    left, right = body_of(case, reference), body_of(case, ours)
    return "" if same("", left, right) else f"body differs\n  theirs: {left}\n  ours:   {right}"


def header_problem(reference: Answer, ours: Answer, *, cached: bool = False) -> str:
    """Say which promised header is wrong, or return the empty string."""
    kept = ours.headers.get("cache-control", "")
    if kept != "no-store" and not (cached and kept.startswith("max-age=")):
        return "Cache-Control is not no-store"
    wanted = reference.headers.get("content-type") if ours.body else None
    if wanted == "application/json" and ours.headers.get("content-type") != wanted:
        return f"Content-Type is {ours.headers.get('content-type')}"
    return ""
