"""The keyed hash of one device: what a record shows in place of a value.

Every leaf is hashed as its text: a string as it is, a number or a bool as JSON writes it, so that `sys/audit-hash` finds those, too.
Containers keep their shape. Surprise: HMAC is spelled out, because copying two prepared states costs half of making them anew.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from vault.logical.args import Number
from vault.logical.token import Token
from vault.secret import Secret

MEMO_ENTRIES_MAX = 4096
MEMBERS_MAX = 100_000  # a longer listing is hashed as one text: about 0.3 s of hashing, and 8 MB of record
_MEMO_TEXT_MAX = 24  # numbers, true and false; nothing longer can come often
_PREFIX = "hmac-sha256:"
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class Hasher:
    """Hashes values as one device shows them."""

    def __init__(self, salt: bytes, *, hmac_accessor: bool = True, log_raw: bool = False, elide_list_responses: bool = False) -> None:
        block = hashlib.sha256().block_size
        key = (salt if len(salt) <= block else hashlib.sha256(salt).digest()).ljust(block, b"\0")
        self._inner = hashlib.sha256(key.translate(_INNER))
        self._outer = hashlib.sha256(key.translate(_OUTER))
        self._empty = self.hash_text("")
        self._scalars: dict[str, str] = {}
        self.hmac_accessor = hmac_accessor
        self.log_raw = log_raw
        self.elide_list_responses = elide_list_responses
        # What records say of a token, by its key; made again when the token or what granted the request is another.
        self.described: dict[str, tuple[Token, tuple[str, ...] | None, bytes, str, str]] = {}

    def hash_text(self, text: str) -> str:
        """Return what a record shows in place of a string."""
        inner = self._inner.copy()
        inner.update(text.encode("utf-8", "surrogatepass"))
        outer = self._outer.copy()
        outer.update(inner.digest())
        return _PREFIX + outer.hexdigest()

    def secret(self, secret: Secret | None) -> str:
        """Return a token as a record shows it; none stays empty. Never remembered: no memory of ours holds tokens."""
        return self.hash_text(secret.reveal()) if secret else ""

    def accessor(self, text: str) -> str:
        """Return an accessor as the device shows it; none stays empty."""
        return self.hash_text(text) if text and self.hmac_accessor else text

    def data(self, fields: Mapping[str, Any] | None, clear_keys: tuple[str, ...]) -> Any:
        """Return fields with every leaf hashed, except those that stand directly under a key that the mount wants clear."""
        if fields is None:
            return None
        return _reveal(fields) if self.log_raw else self._hash(fields, clear_keys, False)

    def _hash(self, value: Any, clear_keys: tuple[str, ...], is_clear: bool) -> Any:
        kind = type(value)
        if kind is str:
            return value if is_clear else self.hash_text(value) if value else self._empty
        if value is None:
            return None
        if isinstance(value, dict | list | tuple) and len(value) > MEMBERS_MAX:
            return self.hash_text(str(value))
        if kind is dict or isinstance(value, Mapping):
            # A loop and no comprehension, which would take a second frame for each of up to 300 levels.
            hashed = {}
            for key, item in value.items():
                hashed[str(key)] = self._hash(item, clear_keys, key in clear_keys)
            return hashed
        if isinstance(value, list | tuple):
            items = []
            for item in value:
                items.append(self._hash(item, clear_keys, is_clear))  # noqa: PERF401 - as above
            return items
        if isinstance(value, Secret):
            return self.hash_text(value.reveal())
        return value if is_clear else self._hash_scalar(_text_of(value))

    def _hash_scalar(self, text: str) -> str:
        if len(text) > _MEMO_TEXT_MAX:
            return self.hash_text(text)
        found = self._scalars.get(text)
        if found is None:
            if len(self._scalars) >= MEMO_ENTRIES_MAX:
                self._scalars.clear()
            found = self._scalars[text] = self.hash_text(text)
        return found


def _text_of(value: Any) -> str:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return msgspec.json.encode(value).decode()
    return value.literal if isinstance(value, Number) else str(value)


def _reveal(value: Any) -> Any:
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, Mapping):
        return {str(key): _reveal(item) for key, item in value.items()}
    return [_reveal(item) for item in value] if isinstance(value, list | tuple) else value
