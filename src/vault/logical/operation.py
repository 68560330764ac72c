"""What can be asked of a path."""

from enum import StrEnum


class Operation(StrEnum):
    """The operations of the wire. A write arrives as UPDATE; the core turns it into CREATE where a path tells the two apart."""

    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    PATCH = "patch"
    DELETE = "delete"
    LIST = "list"
    SCAN = "scan"
    HELP = "help"

    @property
    def writes(self) -> bool:
        """Return whether a body may carry the fields of this operation."""
        return self in _WRITES

    @property
    def enumerates(self) -> bool:
        """Return whether the path names a folder."""
        return self in _ENUMERATES


_WRITES = frozenset({Operation.CREATE, Operation.UPDATE, Operation.PATCH})
_ENUMERATES = frozenset({Operation.LIST, Operation.SCAN})
