"""Requests to sys/rotate and sys/key-status, and for a seal migration where none is due."""

from __future__ import annotations

from typing import Any

from tests.compat.differential.case import Case, c, junk

COUNTED = ("data.encryptions", "encryptions")
INPUT = "an unusable input is a 400 for us, not a 500"
MINE = 'path "sys/*" { capabilities = ["create", "read", "update", "delete", "list"] }'


def _change(path: str, field: str, value: Any) -> Case:
    """Build a row that changes one field."""
    if (field, value) == ("max_operations", None):
        return c("POST", path, {field: value}, differs="null counts as absent", allowed=(204,))
    return junk("POST", path, {field: value}, value)


CHANGES: dict[str, tuple[Any, ...]] = {
    "max_operations": (1, 0, -5, 999_999, 1_000_000, "2000000", 3_865_470_566, 3_865_470_567, "abc", 1.5, True, [], None, ""),
    "interval": ("1h", "24h", 86_400, "90061s", "23h59m59s", -1, "-24h", "xx", 0, "", "0", [], "2400h"),
    "enabled": (False, "true", "maybe", 0, 1, "", None, []),
}
STATUS_READS = (
    c("GET", "sys/key-status", ignore=COUNTED),
    c("GET", "sys/key-status", token=None),
    c("GET", "sys/key-status", token="nosuch"),
    c("GET", "sys/key-status", token="weak"),
    c("GET", "sys/key-status", token="mine", ignore=COUNTED),
    c("PUT", "sys/key-status"),
    c("DELETE", "sys/key-status"),
    c("LIST", "sys/key-status"),
)
ROTATIONS = tuple(
    row
    for path in ("sys/rotate", "sys/rotate/keyring")
    for row in (
        c("PUT", path),
        c("POST", path, {}),
        c("PUT", path, {"x": 1}),
        c("PUT", path, token=None),
        c("PUT", path, token="weak"),
        c("PUT", path, token="mine"),
        c("GET", path),
        c("DELETE", path),
        c("LIST", path),
        c("GET", "sys/key-status", ignore=COUNTED),
    )
)
CONFIGS = tuple(
    row
    for path in ("sys/rotate/config", "sys/rotate/keyring/config")
    for row in (
        c("GET", path),
        c("GET", path, token=None),
        c("GET", path, token="weak"),
        c("GET", path, token="mine"),
        c("POST", path, {}, token="weak"),
        c("POST", path, {}, token="mine"),
        c("DELETE", path),
        c("LIST", path),
        *(changed for field, values in CHANGES.items() for value in values for changed in (_change(path, field, value), c("GET", path))),
        c("POST", path, {"max_operations": 5, "interval": "48h"}),
        c("POST", path, {"max_operations": 3_865_470_566, "interval": 0, "enabled": True, "x": 1}),
        c("GET", path),
    )
)
MIGRATIONS = (
    c("PUT", "sys/unseal", {"key": "00" * 33, "migrate": True}, token=None, differs=INPUT, allowed=(400,)),
    c("PUT", "sys/unseal", {"key": "00" * 33, "migrate": False}, token=None),
    c("PUT", "sys/init", {"recovery_shares": 5, "recovery_threshold": 3}, token=None),
)
TABLE: tuple[Case, ...] = (
    c("PUT", "sys/policies/acl/mine", {"policy": MINE}),
    c("POST", "auth/token/create", {"policies": ["mine"]}, save={"mine": "auth.client_token"}),
    c("POST", "auth/token/create", {"policies": ["default"]}, save={"weak": "auth.client_token"}),
    *STATUS_READS,
    *ROTATIONS,
    *CONFIGS,
    *MIGRATIONS,
)
