"""Keys that tokens are verified with: from PEM texts, or from a key set (JWKS). Secret keys are never among them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from jwt import PyJWK
from jwt.exceptions import PyJWTError

from vault import limits
from vault.crypto.public_key import list_algorithms, load_public_key

_KINDS = frozenset({"RSA", "EC", "OKP"})  # no `oct`: who can verify with one can sign with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """A public key and what it may verify."""

    id: str | None = None  # None: tokens with any key id
    algorithms: frozenset[str]
    key: Any

    def fits(self, key_id: str, algorithm: str) -> bool:
        """Return whether a token that says so may have been signed by this key."""
        return algorithm in self.algorithms and (self.id is None or not key_id or self.id == key_id)


def parse_pems(pems: tuple[str, ...]) -> tuple[Key, ...]:
    """Return the keys of PEM texts; raises ValueError."""
    if len(pems) > limits.JWT_KEYS_MAX:
        raise ValueError("too many keys")
    keys = [load_public_key(pem) for pem in pems]
    return tuple(Key(key=key, algorithms=list_algorithms(key)) for key in keys)


def parse_key_set(document: Mapping[str, Any]) -> tuple[Key, ...]:
    """Return the keys of a key set that we can use; raises ValueError for what is no key set."""
    rows = document.get("keys")
    if not isinstance(rows, list) or len(rows) > limits.JWT_KEYS_MAX:
        raise ValueError("the answer is not a key set")
    found = (_parse_row(row) for row in rows if isinstance(row, dict))
    return tuple(key for key in found if key is not None)


def _parse_row(row: Mapping[str, Any]) -> Key | None:
    if not isinstance(row.get("kty"), str) or row["kty"] not in _KINDS or row.get("use", "sig") != "sig" or "d" in row:
        return None
    try:
        key = PyJWK({name: value for name, value in row.items() if name != "alg"}).key
    except (PyJWTError, ValueError, TypeError):
        return None
    algorithms = list_algorithms(key)
    if "alg" in row:
        algorithms = algorithms & {row["alg"]} if isinstance(row["alg"], str) else frozenset()
    key_id = row.get("kid", "")
    return Key(id=key_id, algorithms=algorithms, key=key) if algorithms and isinstance(key_id, str) else None
