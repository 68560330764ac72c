"""The identity store as a backend: the tables of its parts, joined."""

from vault.logical.backend import Backend
from vault.modules.identity.mfa.paths import mfa_paths
from vault.modules.identity.store import IdentityStore
from vault.mounts import Mounts


def identity_backend(store: IdentityStore, mounts: Mounts) -> Backend:
    """Return the backend."""
    return Backend(kind="identity", paths=mfa_paths(store, mounts), help="Who is who, whichever way they come.", system=True)
