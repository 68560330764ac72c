"""Logins by the certificate that the client showed on this connection, or that an authorised proxy says it showed there.

The token remembers which certificate it was, in full: neither its successor nor another one with the same name or number renews it.
"""

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime

from vault import limits
from vault.crypto.certificate import Certificate, parse_certificate
from vault.crypto.chain import find_chain, may_enter
from vault.errors import InvalidRequest
from vault.logical.args import STRING, arg
from vault.logical.context import Context
from vault.logical.login import Login
from vault.logical.request import EMPTY
from vault.logical.response import Response
from vault.logical.token import Token
from vault.modules.auth.methods.cert.config import get_config
from vault.modules.auth.methods.cert.match import describe, matches_role
from vault.modules.auth.methods.cert.revocations import Refresher, Revocations, is_revoked, store_fetched
from vault.modules.auth.methods.cert.role import Role, Trust, find_trust, list_trusts
from vault.modules.auth.renewal import require_same_policies

_NONE = "no client certificate found"
_INVALID = "invalid certificate or no client certificate supplied"
_UNMATCHED = "no chain matching all constraints could be found for this login certificate"
_FINGERPRINT, _ROLE = "fingerprint", "role"


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginArgs:
    """What a client says beside its certificate."""

    name: str = arg(STRING, "Role to log in by; else the first that fits.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The certificate of a client, and what it sent to explain it."""

    own: Certificate
    others: tuple[Certificate, ...]


class Logins:
    """Logs in and renews, and keeps the revocation lists new on the way."""

    def __init__(self) -> None:
        self._refresher = Refresher()

    def prepare(self, context: Context, _: object) -> dict[str, Revocations]:
        """Fetch revocation lists that are due."""
        return self._refresher.fetch_due(context)

    def login(self, context: Context, args: LoginArgs) -> Response:
        """Recognise a client by its certificate."""
        store_fetched(context, context.prepared or {})
        shown = _read_shown(context)
        try:
            role = find_role(context, shown, args.name.lower())
        except InvalidRequest as refusal:
            tells = get_config(context.storage).enable_metadata_on_failures
            raise InvalidRequest(str(refusal), data={"metadata": describe("", shown.own)} if tells else None) from None
        return Response(login=_recognise(context, role, shown.own))

    def renew(self, context: Context, token: Token) -> Login:
        """Recognise the holder of a token once more: the same certificate, unless the mount waives it, and the same policies."""
        store_fetched(context, context.prepared or {})
        name = token.memory.get(_ROLE, "")
        trust = find_trust(context.storage, name)
        if trust is None:
            raise InvalidRequest("the role of the login does not exist any more, not renewing")
        login = Login(parameters=trust.role.parameters, role=name)
        require_same_policies(login, token)
        if not get_config(context.storage).disable_binding:
            shown = _read_shown(context)
            find_role(context, shown, name)
            if not hmac.compare_digest(shown.own.fingerprint, token.memory.get(_FINGERPRINT, "")):
                raise InvalidRequest("client identity during renewal not matching client identity used during login")
        return login


def name_role(context: Context, args: LoginArgs) -> str:
    """Return the role that a login is for; the same that `login` finds."""
    try:
        return find_role(context, _read_shown(context), args.name.lower()).name
    except InvalidRequest:
        return args.name.lower()


def _read_shown(context: Context) -> Shown:
    """Return what the client showed; raises InvalidRequest for nothing, and for what no certificate can be."""
    found = context.request.show_certificates()
    if not found:
        raise InvalidRequest(_NONE)
    try:
        own = parse_certificate(found[0])
        others = tuple(parse_certificate(der) for der in found[1:])
    except ValueError:
        raise InvalidRequest(_INVALID) from None
    if len(own.common_name) > limits.COMMON_NAME_CHARACTERS_MAX or not own.common_name.isprintable():
        raise InvalidRequest(_INVALID)
    return Shown(own=own, others=others)


def find_role(context: Context, shown: Shown, name: str) -> Role:
    """Return the first role that lets a client in, of all or of one name; raises InvalidRequest.

    Clients that are trusted by themselves come before authorities.
    """
    now = datetime.fromtimestamp(context.now, UTC)
    trusts = _list_trusts(context, name)
    if not may_enter(shown.own, now):
        raise InvalidRequest(_INVALID)
    for trust in trusts:
        if not trust.is_authority and trust.certificates[0].der == shown.own.der and _admits(context, trust, trust.certificates):
            return trust.role
    chained = False
    for trust in trusts:
        for chain in _list_chains(trust, shown, now):
            if _admits(context, trust, chain):
                return trust.role
            chained = True
    raise InvalidRequest(_UNMATCHED if chained else _INVALID)


def _list_trusts(context: Context, name: str) -> tuple[Trust, ...]:
    if not name:
        return list_trusts(context.storage)
    trust = find_trust(context.storage, name)
    return () if trust is None else (trust,)


def _list_chains(trust: Trust, shown: Shown, now: datetime) -> tuple[tuple[Certificate, ...], ...]:
    if not trust.is_authority:
        return ()
    chains = (find_chain(shown.own, shown.others, authority, now) for authority in trust.certificates)
    return tuple(chain for chain in chains if chain is not None)


def _admits(context: Context, trust: Trust, chain: tuple[Certificate, ...]) -> bool:
    """Return whether a role takes the first certificate of a chain of which none is revoked."""
    return matches_role(trust.role, chain[0]) and not is_revoked(context.storage, chain)


def _recognise(context: Context, role: Role, own: Certificate) -> Login:
    metadata = describe(role.name, own, role.allowed_metadata_extensions)
    return Login(
        alias=own.common_name,
        alias_metadata=metadata if get_config(context.storage).enable_identity_alias_metadata else EMPTY,
        display_name=role.display_name,
        metadata=metadata,
        parameters=role.parameters,
        role=role.name,
        memory={_FINGERPRINT: own.fingerprint, _ROLE: role.name},
    )
