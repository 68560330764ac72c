"""The rows that a remembered value was made of: the value is good as long as they are the same, so nobody has to say what changed.

It is asked on every request, often for one row: hence a loop without calls of its own.
"""

from dataclasses import dataclass

from vault.storage.cache import Entry
from vault.storage.transaction import Transaction


@dataclass(frozen=True, slots=True)
class Sources:
    """Rows by path, None where there was none. What was made of them is added by subclasses."""

    rows: tuple[tuple[str, Entry | None], ...]

    def is_current(self, transaction: Transaction) -> bool:
        """Tell whether the rows hold what they held. Where nothing is cached, every read makes a new entry: then the values count."""
        for path, entry in self.rows:
            found = transaction.get(path)
            if found is not entry and (found is None or entry is None or found.value != entry.value):
                return False
        return True
