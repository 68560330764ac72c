"""The paths of the identity store."""

from vault.logical.backend import Backend, Path
from vault.modules.identity.aliases import AliasPaths
from vault.modules.identity.entities import EntityPaths
from vault.modules.identity.group_aliases import GroupAliasPaths
from vault.modules.identity.groups import GroupPaths
from vault.mounts import Mounts


def build(mounts: Mounts, *others: Path) -> Backend:
    """Return the backend, with the paths of other parts of it."""
    rows = (*EntityPaths(mounts).paths(), *AliasPaths(mounts).paths(), *GroupPaths(mounts).paths(), *GroupAliasPaths(mounts).paths())
    return Backend(kind="identity", paths=(*rows, *others), help="The identity store knows who is who.", system=True)
