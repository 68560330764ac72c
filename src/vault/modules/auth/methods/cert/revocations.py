"""Revocation lists of the method `cert`: written as text, or fetched from a URL. Stored as `crls/<name>`.

A serial that any list names is refused, whoever signed the list and whether or not it is still new: deleting a list ends its effect,
nothing else does. A list from a URL is fetched anew by the first login after its next one is due; until that has come, the old one holds.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from vault import limits
from vault.clock import format_rfc3339
from vault.crypto.certificate import Certificate, RevocationList, is_signed_by, parse_revocations
from vault.errors import InvalidRequest
from vault.logical.args import STRING, arg
from vault.logical.context import Context
from vault.logical.page import Page
from vault.logical.response import Response, list_response
from vault.modules.auth.methods.cert.role import list_trusts
from vault.modules.auth.outbound import Question, Unreachable, ask, parse_url
from vault.modules.auth.role_name import RoleName
from vault.storage.view import View

_LISTS = "crls/"
_Key = tuple[str, str]  # a mount, and a name there

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocations:
    """A list as stored."""

    serials: frozenset[str]  # in decimal
    url: str = ""
    due_at: float = 0.0  # when the next one is fetched; unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteList(RoleName):
    """A list, or where to find it."""

    crl: str | None = arg(STRING, "A revocation list, PEM.", default=None)
    url: str | None = arg(STRING, "Where a revocation list is fetched from.", default=None)


def _decode(value: bytes) -> Revocations:
    return msgspec.json.decode(value, type=Revocations)


def _find(storage: View, name: str) -> Revocations | None:
    entry = storage.get(_LISTS + name)
    return None if entry is None else entry.decode(_decode)


def _get(context: Context, name: str) -> Revocations:
    found = _find(context.storage, name)
    if found is None:
        raise InvalidRequest(f"no such CRL {name}")
    return found


def is_revoked(storage: View, chain: tuple[Certificate, ...]) -> bool:
    """Return whether any list names a certificate of a chain."""
    serials = {str(certificate.serial) for certificate in chain}
    lists = (_find(storage, name) for name in storage.list_children(_LISTS))
    return any(not found.serials.isdisjoint(serials) for found in lists if found is not None)


def read_list(context: Context, args: RoleName) -> Response:
    """Answer a list in the wire's names."""
    found = _get(context, args.name)
    data: dict[str, Any] = {}
    if found.serials:
        data["serials"] = {serial: {} for serial in sorted(found.serials)}
    if found.url:
        data["cdp"] = {"url": found.url, "valid_until": format_rfc3339(found.due_at)}
    return Response(data=data)


def delete_list(context: Context, args: RoleName) -> None:
    """Delete a list: its serials are good again."""
    _get(context, args.name)
    context.storage.delete(_LISTS + args.name)


def list_lists(context: Context, args: Page) -> Response | None:
    """List names of lists."""
    return list_response(context.storage.list_children(_LISTS, args.after, args.size))


def prepare_write(context: Context, args: WriteList) -> Revocations:
    """Return the list that is to be stored; raises InvalidRequest where there is none."""
    if args.crl is not None:
        try:
            return Revocations(serials=_bound(parse_revocations(args.crl.encode("utf-8", "surrogatepass"))))
        except ValueError as expected:
            raise InvalidRequest(f"failed to parse CRL: {expected}") from None
    if args.url is None:
        raise InvalidRequest("one of 'crl' or 'url' must be provided")
    if not args.url:
        raise InvalidRequest("empty CRL url")
    try:
        parse_url(args.url)
        return _fetch(context, args.url)
    except ValueError as expected:
        raise InvalidRequest(f"invalid CRL url: {expected}") from None
    except Unreachable as error:
        raise InvalidRequest(f"fetching the CRL failed: {error.detail}") from None


def write_list(context: Context, args: WriteList) -> None:
    """Store a list in place of what was there."""
    _store(context.storage, args.name, context.prepared)


def _store(storage: View, name: str, found: Revocations) -> None:
    storage.put(_LISTS + name, msgspec.json.encode(found))


def _bound(found: RevocationList) -> frozenset[str]:
    if len(found.serials) > limits.REVOKED_MAX:
        raise ValueError(f"expected at most {limits.REVOKED_MAX} serials")
    return frozenset(found.serials)


def _fetch(context: Context, url: str) -> Revocations:
    """Return the list at a URL; raises Unreachable, also for one that the authority of its name has not signed."""
    reply = ask(Question(url=url, seconds_max=limits.REVOCATIONS_SECONDS_MAX, bytes_max=limits.REVOCATIONS_BYTES_MAX))
    if reply.status != 200:
        raise Unreachable(f"unexpected response code {reply.status}")
    known = tuple(certificate for trust in list_trusts(context.storage) if trust.is_authority for certificate in trust.certificates)
    try:
        if not is_signed_by(reply.body, known):
            raise Unreachable("no trusted authority of the list's issuer has signed it")
        found = parse_revocations(reply.body)
        serials = _bound(found)
    except ValueError as expected:
        raise Unreachable(str(expected)) from None
    now = datetime.fromtimestamp(context.now, UTC)
    due = found.next_update or now + timedelta(seconds=limits.REVOCATIONS_FRESH_SECONDS)
    # A server that hands out an old list must not be asked by every login.
    least = context.now + limits.REVOCATIONS_RETRY_SECONDS
    return Revocations(serials=serials, url=url, due_at=max(due.timestamp(), least))


class Refresher:
    """Fetches lists that are due. One thread of a worker tries one list; others go on with what there is.

    A login that a new list refuses stores nothing. So a list is kept here until a login has stored it.
    """

    def __init__(self) -> None:
        self._tried: dict[_Key, float] = {}
        self._fetched: dict[_Key, Revocations] = {}

    def fetch_due(self, context: Context) -> dict[str, Revocations]:
        """Return lists that are newer than the stored ones, by name, for `store_fetched`."""
        names = context.storage.list_children(_LISTS)
        return {name: fetched for name in names if (fetched := self._find_newer(context, name)) is not None}

    def _find_newer(self, context: Context, name: str) -> Revocations | None:
        key, stored = (context.mount.uuid, name), _find(context.storage, name)
        if stored is None or not stored.url or stored.due_at > context.now:
            self._fetched.pop(key, None)
            return None
        known = self._fetched.get(key)
        if known is not None and known.url == stored.url and known.due_at > context.now:
            return known
        if context.now < self._tried.get(key, 0.0) + limits.REVOCATIONS_RETRY_SECONDS:
            return None
        self._tried[key] = context.now
        try:
            self._fetched[key] = fetched = _fetch(context, stored.url)
        except Unreachable as error:
            _log.warning("revocation list not fetched, the old one holds", mount=context.mount.path, name=name, reason=error.detail)
            return None
        return fetched


def store_fetched(context: Context, found: dict[str, Revocations]) -> None:
    """Store what `fetch_due` returned, unless somebody has written or deleted the list meanwhile."""
    for name, fetched in found.items():
        stored = _find(context.storage, name)
        if stored is not None and stored.url == fetched.url and stored.due_at < fetched.due_at:
            _store(context.storage, name, fetched)
