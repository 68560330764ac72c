"""The way from the unversioned to the versioned layout, in bounded steps that may each be the last before a crash.

A step moves some secrets and commits; what is left in the old folder is what is left to do. So a step may be run by anyone at
any time, twice as well as once.
"""

from dataclasses import replace

from vault import limits
from vault.modules.engines.kv.config import Config
from vault.modules.engines.kv.layout import DONE, METADATA, NOT_BEGUN, RUNNING, UNVERSIONED, UPGRADE, version_row
from vault.modules.engines.kv.record import Version, new_record, put_record
from vault.storage.view import View


def begin_upgrade(storage: View) -> None:
    """Mark the mount as upgrading, in the transaction that makes it versioned: unversioned writes end here."""
    mark = storage.get(UPGRADE)
    if mark is None or mark.value == NOT_BEGUN:
        storage.put(UPGRADE, RUNNING)


def is_upgrading(storage: View) -> bool:
    """Return whether an upgrade has begun and not ended."""
    mark = storage.get(UPGRADE)
    return mark is not None and mark.value == RUNNING


def upgrade(storage: View, now_ns: int, batch: int = limits.KV_UPGRADE_BATCH) -> bool:
    """Move some secrets to the versioned layout; return whether to come again, in a transaction of its own."""
    if not is_upgrading(storage):
        return False
    paths = storage.list_subtree(UNVERSIONED, limit=batch)
    for path in paths:
        _move(storage, path, now_ns)
    if not paths:
        storage.put(UPGRADE, DONE)
    return bool(paths)


def _move(storage: View, path: str, now_ns: int) -> None:
    entry = storage.get(UNVERSIONED + path)
    if entry is None:  # moved by another process since the listing
        return
    storage.delete(UNVERSIONED + path)
    if storage.get(METADATA + path) is not None:
        return
    record = new_record(now_ns)
    storage.put(version_row(path, 1), entry.value)
    put_record(storage, path, replace(record.add_version(Version(created_time=record.created_time), Config()), oldest_version=1))
