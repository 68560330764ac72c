"""Password hashes: ours, and bcrypt hashes that were made elsewhere.

bcrypt sees 72 bytes and ends at a NUL, so ours is a bcrypt of a keyed digest of the password. An imported hash was made of the password
itself: for it a password that bcrypt would see only in part is wrong, whatever the hash says. A check does as much work as was asked
for, however little its hash needs: what it costs tells nothing of the hash, nor whether there is one.
"""

import base64
import hashlib
import hmac
import re

import bcrypt

from vault.crypto.random import random_bytes
from vault.errors import InvalidRequest

COST = 12  # of our own hashes
IMPORTED_COST_MIN = 10
IMPORTED_COST_MAX = 12  # a cost of 31 would keep a core busy for days
PASSWORD_BYTES_MAX = 4096  # a digest of more is not worth its time; nobody types that much

_OWN = "hmac-sha256"  # in front of our own hashes
_SALT_CHARACTERS = 29  # with version and cost
_SEEN_BYTES_MAX = 72
# Salt and digest are bytes in base64: the last characters of both have bits to spare, which are zero in the one right spelling.
_BCRYPT = re.compile(r"\$2[aby]\$([0-9]{2})\$([./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{30}[.CGKOSWaeimquy26])")


def encode_password(text: str) -> bytes:
    """Return the bytes of a password; raises InvalidRequest where it is too long."""
    password = text.encode("utf-8", "surrogatepass")
    if len(password) > PASSWORD_BYTES_MAX:
        raise InvalidRequest(f"password is longer than {PASSWORD_BYTES_MAX} bytes")
    return password


def hash_password(password: bytes) -> str:
    """Return a new hash of a password."""
    salt = bcrypt.gensalt(COST)
    return _OWN + bcrypt.hashpw(_digest(password, salt), salt).decode()


def parse_imported_hash(text: str) -> str:
    """Return a bcrypt hash as it is kept; raises InvalidRequest where it is none, or costs too little or too much."""
    found = _BCRYPT.fullmatch(text)
    if found is None:
        raise InvalidRequest("password_hash is not a valid bcrypt hash")
    cost = int(found[1])
    if cost > IMPORTED_COST_MAX:
        raise InvalidRequest(f"bcrypt cost of {cost} exceeds maximum cost of {IMPORTED_COST_MAX}")
    if cost < IMPORTED_COST_MIN:
        raise InvalidRequest(f"bcrypt cost of {cost} is below the minimum cost of {IMPORTED_COST_MIN}")
    return f"$2b${found[1]}${found[2]}"


def find_cost(stored: str) -> int:
    """Return the cost of a hash that is kept: the logarithm of its rounds."""
    return int(stored.removeprefix(_OWN)[4:6])


def make_decoy(cost: int) -> str:
    """Return what looks like a hash of that cost, and is of no password."""
    return _OWN + bcrypt.gensalt(cost).decode() + base64.b64encode(random_bytes(24)).decode()[:31]


def check_password(password: bytes, stored: str, cost: int) -> bool:
    """Return whether a hash is of this password, after as many rounds as `cost` means, or more where the hash needs more."""
    is_own, hashed = stored.startswith(_OWN), stored.removeprefix(_OWN).encode()
    salt = hashed[:_SALT_CHARACTERS]
    is_seen_whole = len(password) <= _SEEN_BYTES_MAX and b"\0" not in password
    digest = _digest(password, salt)  # for an imported hash as well: what is left out tells which kind it is
    known = password if is_seen_whole and not is_own else digest
    found = bcrypt.hashpw(known, salt)
    for _ in range(2 ** max(cost - find_cost(stored), 0) - 1):
        bcrypt.hashpw(known, salt)
    return hmac.compare_digest(found, hashed) and (is_own or is_seen_whole)


def _digest(password: bytes, salt: bytes) -> bytes:
    """Return a digest without NUL, short enough for bcrypt. It is keyed: leaked lists of plain digests cannot be tried on it."""
    return base64.b64encode(hmac.digest(salt, password, hashlib.sha256))
