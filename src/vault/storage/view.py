"""What an engine sees of storage: its own mount, and nothing else."""

from vault.storage.cache import Entry
from vault.storage.transaction import Transaction


class View:
    """A transaction seen from one prefix."""

    __slots__ = ("_prefix", "_transaction")

    def __init__(self, transaction: Transaction, prefix: str) -> None:
        self._transaction = transaction
        self._prefix = prefix

    def get(self, path: str) -> Entry | None:
        """Return the entry at exactly this path."""
        return self._transaction.get(self._prefix + path)

    def put(self, path: str, value: bytes, expires_at: float | None = None) -> None:
        """Write a row."""
        self._transaction.put(self._prefix + path, value, expires_at)

    def delete(self, path: str) -> None:
        """Delete a row; a missing one is no error."""
        self._transaction.delete(self._prefix + path)

    def delete_prefix(self, prefix: str) -> None:
        """Delete all rows below a prefix."""
        self._transaction.delete_prefix(self._prefix + prefix)

    def guard(self, path: str) -> None:
        """Fail the commit if this row is not as it was read."""
        self._transaction.guard(self._prefix + path)

    def list_children(self, prefix: str, after: str = "", limit: int | None = None) -> tuple[str, ...]:
        """Return names directly below a prefix."""
        return self._transaction.list_children(self._prefix + prefix, after, limit)

    def list_subtree(self, prefix: str, after: str = "", limit: int = 1000) -> tuple[str, ...]:
        """Return paths below a prefix, relative to it."""
        return self._transaction.list_subtree(self._prefix + prefix, after, limit)
