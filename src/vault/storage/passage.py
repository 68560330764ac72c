"""Lets one other user walk through folders that are closed to all but their owner.

The embedded PostgreSQL of a service that runs as root has a user of its own. Opening the folders above its data to everybody would
open `/root` in many containers; so the way is opened for that user alone, by an access control list, which the kernel takes as an
extended attribute and the standard library can write.
"""

import os
import stat
import struct
from pathlib import Path

from vault.errors import StorageUnavailable

_ATTRIBUTE = "system.posix_acl_access"
_HEAD = struct.pack("<I", 2)
_ENTRY = struct.Struct("<HHI")  # tag, permissions, user or group
_NOBODY = 0xFFFFFFFF
_OWNER, _USER, _OWNING_GROUP, _MASK, _OTHERS = 0x01, 0x02, 0x04, 0x10, 0x20
_PASS = 0o1


def let_pass(folder: Path, uid: int) -> None:
    """Let a user walk through (not look into) a folder and all above it; raises StorageUnavailable where that cannot be."""
    for path in (folder, *folder.parents):
        status = path.stat()
        if not status.st_mode & stat.S_IXOTH and status.st_uid != uid:
            _grant(path, status.st_mode, uid)


def _grant(path: Path, mode: int, uid: int) -> None:
    entries = _read(path, mode)
    entries[_USER, uid] = entries.get((_USER, uid), 0) | _PASS
    # The mask bounds every entry but those of the owner and of the others.
    entries[_MASK, _NOBODY] = entries.get((_MASK, _NOBODY), entries[_OWNING_GROUP, _NOBODY]) | _PASS
    packed = b"".join(_ENTRY.pack(tag, allowed, owner) for (tag, owner), allowed in sorted(entries.items()))
    try:
        os.setxattr(path, _ATTRIBUTE, _HEAD + packed)
    except OSError as cause:
        raise StorageUnavailable(f"the user of the embedded PostgreSQL cannot pass through {path}: choose another folder") from cause


def _read(path: Path, mode: int) -> dict[tuple[int, int], int]:
    try:
        packed = os.getxattr(path, _ATTRIBUTE)[len(_HEAD) :]
    except OSError:  # none: the mode says it all
        parts = ((_OWNER, mode >> 6), (_OWNING_GROUP, mode >> 3), (_OTHERS, mode))
        return {(tag, _NOBODY): allowed & 0o7 for tag, allowed in parts}
    return {(tag, owner): allowed for tag, allowed, owner in _ENTRY.iter_unpack(packed)}
