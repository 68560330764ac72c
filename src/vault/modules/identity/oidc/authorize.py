"""`oidc/provider/{name}/authorize`: somebody with a token lets a client know who they are. The answer is a code for the client."""

import re
from dataclasses import dataclass
from typing import Protocol

from vault import limits
from vault.crypto.random import random_base62
from vault.logical.args import INT, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.modules.identity.oidc.audience import is_assigned, require_scopes
from vault.modules.identity.oidc.oauth import (
    ACCESS_DENIED,
    INVALID_CLIENT_ID,
    INVALID_GRANT,
    INVALID_REDIRECT_URI,
    INVALID_REQUEST,
    MAX_AGE_VIOLATION,
    REQUEST_NOT_SUPPORTED,
    REQUEST_URI_NOT_SUPPORTED,
    UNAUTHORIZED_CLIENT,
    UNSUPPORTED_RESPONSE_TYPE,
    Refused,
    answering,
    refuse_authorization,
)
from vault.modules.identity.oidc.person import People, Person
from vault.modules.identity.oidc.rows import CODES, PROVIDERS, Client, Code, Provider, find_client
from vault.modules.identity.oidc.table import Named

PLAIN, S256 = "plain", "S256"
_CODE_CHARACTERS = 32
_CHALLENGE = re.compile(r"[A-Za-z0-9._~-]{43,128}")


class Hasher(Protocol):
    """What names the row of a code."""

    def hash_id(self, token_id: str) -> str:
        """Return a keyed hash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizeArgs(Named):
    """An authentication request of OpenID Connect."""

    client_id: str = arg(STRING, "The client.", default="", query=True)
    redirect_uri: str = arg(STRING, "Where the client expects the code; one that it has registered.", default="", query=True)
    scope: str = arg(STRING, "What the client wants to know; `openid` is among it.", default="", query=True)
    response_type: str = arg(STRING, "code.", default="", query=True)
    state: str = arg(STRING, "Comes back with the answer.", default="", query=True)
    nonce: str = arg(STRING, "Comes back in the ID token.", default="", query=True)
    max_age: int | None = arg(INT, "How many seconds ago the caller's token may have been made.", default=None, query=True)
    code_challenge: str = arg(STRING, "PKCE: of a secret that the client shows with the code.", default="", query=True)
    code_challenge_method: str = arg(STRING, "PKCE: plain or S256.", default="", query=True)


class Authorization:
    """The handler of authentication requests."""

    def __init__(self, people: People, hasher: Hasher) -> None:
        self._people = people
        self._hasher = hasher

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        endpoint = Endpoint(handler=answering(self.authorize, refuse_authorization), args=AuthorizeArgs, free=True)
        return (
            path(
                "oidc/provider/{name}/authorize",
                help="Let a client know who the caller is.",
                shape=Shape.BARE,
                read=endpoint,
                update=endpoint,
            ),
        )

    def authorize(self, context: SystemContext, args: AuthorizeArgs) -> Response:
        """Answer a code for the client."""
        client = _require_client(context, args)
        provider = _require_provider(context, args)
        _refuse_odd(context, args)
        scopes = require_scopes(args.scope, provider)
        if args.response_type != "code":
            what = "unsupported response_type value" if args.response_type else "response_type parameter is required"
            raise Refused(UNSUPPORTED_RESPONSE_TYPE if args.response_type else INVALID_REQUEST, what)
        person = self._require_person(context, client)
        challenge, method = _require_challenge(args, client)
        code = random_base62(_CODE_CHARACTERS)
        row = Code(
            provider=args.name,
            client_id=client.client_id,
            entity_id=person.id,
            redirect_uri=args.redirect_uri,
            scopes=scopes,
            expires_at=context.now + limits.OIDC_CODE_SECONDS,
            nonce=args.nonce,
            auth_time=_require_age(context, args),
            challenge=challenge,
            challenge_method=method,
        )
        CODES.put(context.storage, self._hasher.hash_id(code), row, row.expires_at)
        return Response(data={"code": code, "state": args.state})

    def _require_person(self, context: SystemContext, client: Client) -> Person:
        caller = context.token
        if caller is None or not caller.entity_id:
            raise Refused(ACCESS_DENIED, "identity entity must be associated with the request")
        person = self._people.find_person(context.transaction, caller.entity_id)
        if person is None:
            raise Refused(ACCESS_DENIED, "identity entity associated with the request not found")
        if not is_assigned(context.storage, client, person):
            raise Refused(ACCESS_DENIED, "identity entity not authorized by client assignment")
        return person


def _require_client(context: SystemContext, args: AuthorizeArgs) -> Client:
    if not args.client_id:
        raise Refused(INVALID_CLIENT_ID, "client_id parameter is required")
    client = find_client(context.storage, args.client_id)
    if client is None:
        raise Refused(INVALID_CLIENT_ID, "client with client_id not found")
    if not client.authorization_code:
        raise Refused(INVALID_GRANT, "client not allowed to perform authorization code credential flow")
    if not args.redirect_uri:
        raise Refused(INVALID_REQUEST, "redirect_uri parameter is required")
    if args.redirect_uri not in client.redirect_uris:
        raise Refused(INVALID_REDIRECT_URI, "redirect_uri is not allowed for the client")
    return client


def _require_provider(context: SystemContext, args: AuthorizeArgs) -> Provider:
    provider = PROVIDERS.find(context.storage, args.name)
    if provider is None:
        raise Refused(INVALID_REQUEST, "provider not found")
    if not provider.allows(args.client_id):
        raise Refused(UNAUTHORIZED_CLIENT, "client is not authorized to use the provider")
    return provider


def _refuse_odd(context: SystemContext, args: AuthorizeArgs) -> None:
    """Refuse what is not supported, and what would only fill rows and tokens."""
    if "request" in context.data:
        raise Refused(REQUEST_NOT_SUPPORTED, "request parameter is not supported")
    if "request_uri" in context.data:
        raise Refused(REQUEST_URI_NOT_SUPPORTED, "request_uri parameter is not supported")
    for name, value in (("state", args.state), ("nonce", args.nonce), ("redirect_uri", args.redirect_uri)):
        if len(value.encode()) > limits.OIDC_PARAMETER_BYTES_MAX:
            raise Refused(INVALID_REQUEST, f"{name} parameter is too long")


def _require_challenge(args: AuthorizeArgs, client: Client) -> tuple[str, str]:
    """Return challenge and method of PKCE, which clients that have no secret must use."""
    if not args.code_challenge:
        if client.is_public:
            raise Refused(INVALID_REQUEST, "PKCE is required for public clients")
        return "", ""
    method = args.code_challenge_method or PLAIN
    if method not in (PLAIN, S256):
        raise Refused(INVALID_REQUEST, "invalid code_challenge_method")
    if not _CHALLENGE.fullmatch(args.code_challenge):
        raise Refused(INVALID_REQUEST, "invalid code_challenge")
    return args.code_challenge, method


def _require_age(context: SystemContext, args: AuthorizeArgs) -> int:
    """Return when the caller signed in, if the client wants to know; raises Refused where that is too long ago."""
    if args.max_age is None or context.token is None:
        return 0
    if args.max_age < 1:
        raise Refused(INVALID_REQUEST, "max_age must be greater than zero")
    if int(context.now - context.token.creation_time) > args.max_age:
        raise Refused(MAX_AGE_VIOLATION, "active re-authentication is required by max_age")
    return context.token.creation_time
