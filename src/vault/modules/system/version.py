"""`sys/version-history`: which releases have served this storage, and since when."""

from dataclasses import dataclass
from typing import Any

import msgspec

from vault.clock import format_rfc3339
from vault.logical.args import NoArgs
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, list_response
from vault.storage.transaction import Transaction
from vault.version import COMMIT_DATE, VERSION

HISTORY = "core/versions"


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A release as stored. Time in unix seconds."""

    version: str
    commit_date: str
    installed_at: int


def _decode(value: bytes) -> tuple[Release, ...]:
    return msgspec.json.decode(value, type=tuple[Release, ...])


def list_releases(transaction: Transaction) -> tuple[Release, ...]:
    """Return the releases, oldest first."""
    entry = transaction.get(HISTORY)
    return () if entry is None else entry.decode(_decode)


def record_release(transaction: Transaction, now: float) -> None:
    """Note that this release serves from now on, unless it was the last to do so."""
    known = list_releases(transaction)
    if not known or known[-1].version != VERSION:
        release = Release(version=VERSION, commit_date=COMMIT_DATE, installed_at=int(now))
        transaction.put(HISTORY, msgspec.json.encode((*known, release)))


def version_paths() -> tuple[Path, ...]:
    """Return the table."""
    return (
        path("version-history", help="List the releases that have served this storage.", list=Endpoint(handler=list_history, args=NoArgs)),
    )


def list_history(context: SystemContext, _: Any) -> Response | None:
    """List releases, oldest first."""
    info: dict[str, Any] = {}
    previous: str | None = None
    for release in list_releases(context.transaction):
        info[release.version] = {
            "previous_version": previous,
            "timestamp_installed": format_rfc3339(release.installed_at),
            "commit_date": release.commit_date,
        }
        previous = release.version
    return list_response(tuple(info), info)
