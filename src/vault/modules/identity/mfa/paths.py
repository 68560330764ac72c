"""`identity/mfa`: the whole table, to be joined with the other paths of the identity store."""

from vault.logical.backend import Path
from vault.modules.identity.mfa.enforcements import Directory, EnforcementPaths
from vault.modules.identity.mfa.methods import MethodPaths
from vault.mounts import Mounts


def mfa_paths(directory: Directory, mounts: Mounts) -> tuple[Path, ...]:
    """Return the table."""
    return (*MethodPaths(directory).paths(), *EnforcementPaths(directory, mounts).paths())
