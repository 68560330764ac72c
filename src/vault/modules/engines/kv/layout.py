"""Where the rows of a key-value mount lie.

Each version keeps its secrets in folders of its own, so that an upgrade never meets its own output. A row says how far an upgrade
is. Unversioned writers make that row before anything else and hold on to it, because only a row that exists can be held: none of
them commits after an upgrade began. The row stays after the upgrade, so that "gone" is never mistaken for "not begun".
"""

from vault.errors import InvalidRequest
from vault.storage.view import View

CONFIG = "config"
METADATA = "metadata/"
UNVERSIONED = "unversioned/"
UPGRADE = "upgrade"
NOT_BEGUN = b"not begun"
RUNNING = b"running"
DONE = b"done"

_UPGRADING = (
    "Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period and will resume service shortly."
)


def version_row(path: str, number: int) -> str:
    """Return where a version's data lies; numbers have no slash, so no other secret's version can have this name."""
    return f"versions/{path}/{number}"


def refuse_while_upgrading(storage: View) -> None:
    """Refuse what could miss a secret that the upgrade has not reached yet."""
    mark = storage.get(UPGRADE)
    if mark is not None and mark.value == RUNNING:
        raise InvalidRequest(_UPGRADING)


def refuse_once_upgraded(storage: View) -> None:
    """Refuse an unversioned request that was routed before the upgrade and works after it began."""
    mark = storage.get(UPGRADE)
    if mark is not None and mark.value != NOT_BEGUN:
        raise InvalidRequest(_UPGRADING)


def hold_unversioned(storage: View) -> None:
    """Let the commit fail if an upgrade begins before it."""
    refuse_once_upgraded(storage)
    if storage.get(UPGRADE) is None:
        storage.put(UPGRADE, NOT_BEGUN)
    storage.guard(UPGRADE)


def require_object(path: str) -> None:
    """Refuse to store anything under the name of a folder."""
    if not path or path.endswith("/"):
        raise InvalidRequest("cannot write to a path ending in '/'")
