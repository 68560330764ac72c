"""What expires and who revokes it.

A lease row is named by its lease id, so prefixes of ids are prefixes of rows. Its `expires_at` column is only the index by
which the expiry worker finds it; the decision is made on the encrypted record. Leases of this issue belong to tokens: the
lease id of a token is the path that made it and a hash.
"""

import msgspec

from vault import lease_quota, limits
from vault.errors import InvalidRequest
from vault.logical.token import Token
from vault.storage.transaction import Transaction

PREFIX = "sys/lease/"


class LeaseRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A lease as stored. Times are unix seconds."""

    token_key: str  # the token that the lease is of
    accessor: str
    issued_at: int
    expires_at: float
    renewed_at: int | None = None
    renewable: bool = False
    attempts: int = 0  # failed revocations; many make a lease irrevocable
    last_error: str = ""

    @property
    def irrevocable(self) -> bool:
        """Return whether revocation has failed so often that only force removes the lease."""
        return self.attempts >= ATTEMPTS_MAX


ATTEMPTS_MAX = 6  # Vault gives a lease up after six tries


def decode_lease(value: bytes) -> LeaseRecord:
    """Return the lease stored as `value`."""
    return msgspec.json.decode(value, type=LeaseRecord)


def token_lease_id(token: Token) -> str:
    """Return the lease id of a token."""
    return f"{token.path}/h{token.key}"


class LeaseStore:
    """Finds, records and forgets leases within a transaction."""

    def charge(self, transaction: Transaction, token: Token) -> Token:
        """Return a new token as its quota has counted its lease; raises LeaseLimited."""
        return lease_quota.charge(transaction, token)

    def put_token(self, transaction: Transaction, token: Token) -> None:
        """Record the lease of a token at its present expiry; a token that never expires has none."""
        if token.expires_at is None:
            return
        record = LeaseRecord(
            token_key=token.key,
            accessor=token.accessor,
            issued_at=token.creation_time,
            expires_at=token.expires_at,
            renewed_at=token.last_renewal,
            renewable=token.renewable,
        )
        self.put(transaction, token_lease_id(token), record)

    def delete_token(self, transaction: Transaction, token: Token) -> None:
        """Forget the lease of a token, and make room for another."""
        lease_quota.release(transaction, token)
        transaction.delete(PREFIX + token_lease_id(token))

    def put(self, transaction: Transaction, lease_id: str, record: LeaseRecord) -> None:
        """Store a lease."""
        transaction.put(PREFIX + lease_id, msgspec.json.encode(record), record.expires_at, cached=False)

    def find(self, transaction: Transaction, lease_id: str) -> LeaseRecord | None:
        """Return the lease with this id."""
        if not lease_id or lease_id.endswith("/") or "//" in lease_id or len(lease_id) > limits.PATH_BYTES_MAX:
            return None
        entry = transaction.get(PREFIX + lease_id)
        return None if entry is None else entry.decode(decode_lease)

    def require(self, transaction: Transaction, lease_id: str) -> LeaseRecord:
        """Return the lease with this id; raises InvalidRequest, the same for unknown and foreign ids."""
        record = self.find(transaction, lease_id)
        if record is None:
            raise InvalidRequest("invalid lease")
        return record

    def list_keys(self, transaction: Transaction, folder: str, after: str, limit: int) -> tuple[tuple[str, str], ...]:
        """Return ids below a folder, relative to it, each with the key of its token, in byte order."""
        names = self.list_subtree(transaction, folder, after, limit)
        found = ((name, self.find(transaction, folder + name)) for name in names)
        return tuple((name, "" if record is None else record.token_key) for name, record in found)

    def delete(self, transaction: Transaction, lease_id: str) -> None:
        """Forget a lease."""
        transaction.delete(PREFIX + lease_id)

    def list_children(self, transaction: Transaction, prefix: str, after: str, limit: int | None) -> tuple[str, ...]:
        """Return ids and folders directly below a prefix of lease ids."""
        return transaction.list_children(PREFIX + prefix, after, limit)

    def list_subtree(self, transaction: Transaction, prefix: str, after: str, limit: int) -> tuple[str, ...]:
        """Return ids below a prefix, relative to it, in byte order."""
        return transaction.list_subtree(PREFIX + prefix, after, limit)
