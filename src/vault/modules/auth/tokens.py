"""The token store. A token id exists in storage only as a keyed hash; a batch token is not stored at all, it carries itself.

Rows of a service token: the token by key, its accessor, its place under its parent, its lease. Revocation first marks the
token (refused by every worker from that commit on), then removes the tree below it, children before parents, so that a
process killed half-way leaves a mark from which anyone can go on.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator
from typing import Protocol

import msgspec
from msgspec import structs

from vault import limits
from vault.clock import Clock
from vault.crypto import random
from vault.errors import IntegrityError, InvalidRequest, PermissionDenied
from vault.logical.token import Token, TokenKind
from vault.secret import Secret
from vault.storage.transaction import Transaction

SERVICE_PREFIX = "hvs."
BATCH_PREFIX = "hvb."
ID_CHARACTERS = 28  # 166 bits
ACCESSOR_CHARACTERS = 24

ROWS = "sys/token/id/"
_ACCESSOR = "sys/token/accessor/"
_PARENT = "sys/token/parent/"
_BATCH_AAD = "sys/token/batch"
_CUBBYHOLE_ROWS = 100  # deleted one by one


def make_service_id(length: int = len(SERVICE_PREFIX) + ID_CHARACTERS) -> str:
    """Return the id of a new service token, of this many characters in all."""
    return SERVICE_PREFIX + random.random_base62(length - len(SERVICE_PREFIX))


class Keys(Protocol):
    """What the token store needs of the open barrier."""

    def token_key(self) -> bytes:
        """Return the key of the token hashes; raises Sealed."""

    def encrypt(self, path: str, value: bytes) -> bytes:
        """Return `value` sealed under the current barrier key, bound to `path`."""

    def decrypt(self, path: str, value: bytes) -> bytes:
        """Return what `encrypt` sealed; raises IntegrityError."""


class Leases(Protocol):
    """What the token store needs of the lease store."""

    def charge(self, transaction: Transaction, token: Token) -> Token:
        """Return a new token as its quota has counted its lease; raises LeaseLimited."""

    def put_token(self, transaction: Transaction, token: Token) -> None:
        """Record or move the lease of a token."""

    def delete_token(self, transaction: Transaction, token: Token) -> None:
        """Forget the lease of a token."""


class Issued(msgspec.Struct, frozen=True):
    """A new token and the only copy of its id."""

    id: Secret
    token: Token


def decode_token(value: bytes) -> Token:
    """Return the token stored as `value`."""
    return msgspec.json.decode(value, type=Token)


class TokenStore:
    """Creates, finds, renews and removes tokens within a transaction."""

    def __init__(self, keys: Keys, leases: Leases, clock: Clock) -> None:
        self._keys = keys
        self._leases = leases
        self._clock = clock

    def hash_id(self, token_id: str) -> str:
        """Return the key of a token id."""
        return hmac.digest(self._keys.token_key(), token_id.encode("utf-8", "surrogatepass"), hashlib.sha256).hex()

    # -- finding ------------------------------------------------------------------------------------------------------

    def find(self, transaction: Transaction, secret: Secret) -> Token | None:
        """Return the live token with this id: known, not expired, not spent, not revoked."""
        token_id = secret.reveal()
        if token_id.startswith(BATCH_PREFIX):
            return self._find_batch(transaction, token_id)
        return self.find_key(transaction, self.hash_id(token_id))

    def find_key(self, transaction: Transaction, key: str) -> Token | None:
        """Return the live token with this key."""
        token = self.find_row(transaction, key)
        return token if token is not None and self._is_live(transaction, token) else None

    def find_row(self, transaction: Transaction, key: str) -> Token | None:
        """Return the stored token with this key, live or not."""
        entry = transaction.get(ROWS + key)
        return None if entry is None else entry.decode(decode_token)

    def find_accessor(self, transaction: Transaction, accessor: str) -> Token | None:
        """Return the live token with this accessor."""
        if not accessor or "/" in accessor or len(accessor) > limits.PATH_BYTES_MAX:
            return None
        entry = transaction.get(_ACCESSOR + accessor)
        return None if entry is None else self.find_key(transaction, entry.value.decode())

    def list_accessors(self, transaction: Transaction, after: str, limit: int | None) -> tuple[str, ...]:
        """Return accessors in byte order."""
        return transaction.list_children(_ACCESSOR, after, limit)

    def _is_live(self, transaction: Transaction, token: Token) -> bool:
        if token.revoked or token.uses_left == 0 or (token.session and not _is_in_session(transaction, token)):
            return False
        return token.expires_at is None or token.expires_at > self._clock.now()

    def _find_batch(self, transaction: Transaction, token_id: str) -> Token | None:
        body = token_id[len(BATCH_PREFIX) :]
        try:
            sealed = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
            if _encode_batch(sealed) != token_id:  # spare bits of the last character: another spelling of the same token
                return None
            token = decode_token(self._keys.decrypt(_BATCH_AAD, sealed))
        except (binascii.Error, ValueError, IntegrityError, InvalidRequest, msgspec.MsgspecError):
            return None
        if not self._is_live(transaction, token):
            return None
        if token.parent and self.find_key(transaction, token.parent) is None:
            return None
        return token

    # -- creating -----------------------------------------------------------------------------------------------------

    def create(self, transaction: Transaction, token: Token, *, token_id: str = "") -> Issued:
        """Store a new token; `key`, `accessor` and `cubbyhole` are chosen here.

        The parent's row is guarded: a parent that is being revoked gets no more children.
        """
        if token.kind is TokenKind.BATCH:
            sealed = self._keys.encrypt(_BATCH_AAD, msgspec.json.encode(token))
            return Issued(Secret(_encode_batch(sealed)), token)
        is_chosen, token_id = bool(token_id), token_id or make_service_id()
        token = structs.replace(
            token,
            key=self.hash_id(token_id),
            accessor=random.random_base62(ACCESSOR_CHARACTERS),
            cubbyhole=random.random_base62(ACCESSOR_CHARACTERS),
        )
        # Nobody has a random id already: asking the database would be a trip for each login.
        if is_chosen and self.find_row(transaction, token.key) is not None:
            raise InvalidRequest("cannot create a token with a duplicate ID")
        token = self._leases.charge(transaction, token)
        if token.parent:
            if self.find_key(transaction, token.parent) is None:
                raise PermissionDenied
            transaction.guard(ROWS + token.parent)
            transaction.put(f"{_PARENT}{token.parent}/{token.key}", b"", cached=False)
        transaction.put(_ACCESSOR + token.accessor, token.key.encode(), cached=False)
        self._save(transaction, token)
        return Issued(Secret(token_id), token)

    def _save(self, transaction: Transaction, token: Token) -> None:
        transaction.put(ROWS + token.key, msgspec.json.encode(token))
        self._leases.put_token(transaction, token)

    def update(self, transaction: Transaction, token: Token) -> None:
        """Store a changed service token."""
        self._save(transaction, token)

    def replace_row(self, transaction: Transaction, token: Token) -> None:
        """Store a service token whose lease stays as it is."""
        transaction.put(ROWS + token.key, msgspec.json.encode(token))

    def spend_use(self, transaction: Transaction, key: str) -> Token:
        """Take one use off a token with limited uses, as stored now; raises PermissionDenied when none is left."""
        current = self.find_key(transaction, key)
        if current is None or current.uses_left is None:
            raise PermissionDenied
        spent = structs.replace(current, uses_left=current.uses_left - 1)
        # When the last use goes, the lease falls due once this last request cannot be at work any more: a killed worker leaves
        # nothing behind, and what the request came for is not taken from under it.
        due = self._clock.now() + limits.SPENT_GRACE_SECONDS
        self._save(transaction, structs.replace(spent, expires_at=due) if spent.uses_left == 0 else spent)
        return spent

    def bind(self, transaction: Transaction, token: Token) -> None:
        """Let a transaction commit only while the token is as it is now; raises PermissionDenied if it was revoked meanwhile."""
        row = self.find_row(transaction, token.key)
        if row is None or row.revoked:
            raise PermissionDenied
        transaction.guard(ROWS + token.key)

    # -- revoking -----------------------------------------------------------------------------------------------------

    def mark_revoked(self, transaction: Transaction, key: str, *, spares_children: bool = False) -> Token | None:
        """Refuse a token from this commit on. Returns the marked token, None if there is none."""
        token = self.find_row(transaction, key)
        if token is None:
            return None
        if not token.revoked:
            token = structs.replace(token, revoked=True, spares_children=spares_children, expires_at=self._clock.now())
            self._save(transaction, token)
        return token

    def list_children(self, transaction: Transaction, key: str, after: str, limit: int) -> tuple[str, ...]:
        """Return keys of the children of a token, never from a cache: a child that was committed a moment ago must not be missed."""
        return transaction.list_subtree(f"{_PARENT}{key}/", after, limit)

    def orphan_child(self, transaction: Transaction, parent: str, key: str) -> None:
        """Cut a child from its parent."""
        child = self.find_row(transaction, key)
        if child is not None:
            transaction.put(ROWS + key, msgspec.json.encode(structs.replace(child, parent="")))
        transaction.delete(f"{_PARENT}{parent}/{key}")

    def remove(self, transaction: Transaction, token: Token, cubbyhole_prefix: str) -> None:
        """Delete all rows of a token that has no children any more."""
        folder = f"{cubbyhole_prefix}{token.cubbyhole}/"
        names = transaction.list_subtree(folder, "", _CUBBYHOLE_ROWS)
        if len(names) == _CUBBYHOLE_ROWS:
            transaction.delete_prefix(folder)  # the exception: other hosts can only be told to read everything anew
        for name in names:
            transaction.delete(folder + name)
        if token.parent:
            transaction.delete(f"{_PARENT}{token.parent}/{token.key}")
        transaction.delete(_ACCESSOR + token.accessor)
        transaction.delete(ROWS + token.key)
        self._leases.delete_token(transaction, token)

    def remove_stray_accessors(self, transaction: Transaction, accessors: tuple[str, ...]) -> int:
        """Delete accessors whose token is gone (tidy). Returns how many."""
        stray = [accessor for accessor in accessors if self._is_stray(transaction, accessor)]
        for accessor in stray:
            transaction.delete(_ACCESSOR + accessor)
        return len(stray)

    def _is_stray(self, transaction: Transaction, accessor: str) -> bool:
        entry = transaction.get(_ACCESSOR + accessor)
        return entry is not None and self.find_row(transaction, entry.value.decode()) is None


def _is_in_session(transaction: Transaction, token: Token) -> bool:
    entry = transaction.get(token.session)
    return entry is not None and entry.value.decode() == token.stamp


def _encode_batch(sealed: bytes) -> str:
    return BATCH_PREFIX + base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()


Run = Callable[[Callable[[Transaction], object]], object]


def walk_tree(list_children: Callable[[str], tuple[str, ...]], root: str) -> Iterator[str]:
    """Yield the keys of a token tree, children before their parent, whatever its depth."""
    stack: list[tuple[str, Iterator[str]]] = [(root, iter(list_children(root)))]
    while stack:
        key, children = stack[-1]
        child = next(children, None)
        if child is None:
            stack.pop()
            yield key
        else:
            stack.append((child, iter(list_children(child))))
