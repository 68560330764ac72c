"""What is counted, and where in a worker's piece of memory each number lies.

Every number is a float of eight bytes: one store, so that a reader in another process sees either the old or the new one. What a
label may hold is decided here: operations and outcomes are fixed, mounts come from the mount table, and there are no others.
"""

from enum import IntEnum

from vault.errors import (
    InvalidRequest,
    LeaseLimited,
    NotFound,
    PermissionDenied,
    RateLimited,
    UnsupportedOperation,
    UnsupportedPath,
    VaultError,
)
from vault.host import AUDIT_SLOTS
from vault.logical.operation import Operation

OUTCOMES = ("ok", "denied", "limited", "refused", "failed")
# Upper bounds in seconds; a cached read takes a third of a millisecond, and the longest answer five seconds.
BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_REFUSALS: tuple[tuple[type[VaultError], int], ...] = (
    (LeaseLimited, 2),
    (RateLimited, 2),
    (PermissionDenied, 1),
    (InvalidRequest, 3),
    (NotFound, 3),
    (UnsupportedPath, 3),
    (UnsupportedOperation, 3),
)
FAILED = len(OUTCOMES) - 1


class Number(IntEnum):
    """Numbers of a worker that have no labels."""

    AUDIT_REQUESTS = 0
    AUDIT_RESPONSES = 1
    AUDIT_REQUEST_FAILURES = 2  # no device accepted the record
    AUDIT_RESPONSE_FAILURES = 3
    CACHE_HITS = 4
    CACHE_MISSES = 5
    POOL_WAITS = 6
    POOL_REFUSALS = 7
    BACKGROUND_RUNS = 8
    BACKGROUND_FAILURES = 9
    PASSWORD_CHECKS = 10  # at whatever name, real or not: nobody learns from it which names there are
    LOCKED_LOGINS = 11
    # What follows is true of the present only, and begins at nothing with each process.
    POOL_IN_USE = 12
    POOL_IDLE = 13
    LEADER = 14


FIRST_GAUGE = Number.POOL_IN_USE
NUMBERS = 32

# Of each audit device: records accepted, records refused.
AUDIT = NUMBERS
MOUNTS = AUDIT + 2 * AUDIT_SLOTS
MOUNTS_MAX = 256  # the first is no mount at all, the last all that are too many
OPERATIONS = tuple(Operation)
BUCKETS = len(OUTCOMES)
SUM = BUCKETS + len(BOUNDS) + 1
SERIES = SUM + 1
MOUNT_NUMBERS = SERIES * len(OPERATIONS)
OFFSETS = {operation: index * SERIES for index, operation in enumerate(OPERATIONS)}
ALL = MOUNTS + MOUNTS_MAX * MOUNT_NUMBERS


def find_outcome(error: BaseException | None) -> int:
    """Return which outcome an error means."""
    if error is None:
        return 0
    return next((outcome for kind, outcome in _REFUSALS if isinstance(error, kind)), FAILED)
