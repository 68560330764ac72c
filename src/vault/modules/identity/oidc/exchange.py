"""`oidc/provider/{name}/token`: a client shows a code and gets an ID token and an access token.

A code is a row that is deleted by whoever shows it first, on the condition that it is as it was read: of many at once one gets tokens,
and a code that was shown with anything wrong is used up. An access token is a batch token without any policy.
"""

import hashlib
import hmac
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from vault.crypto.random import random_bytes
from vault.logical.args import SECRET, STRING, arg
from vault.logical.backend import Endpoint, Path, path
from vault.logical.context import SystemContext
from vault.logical.response import Response, Shape
from vault.logical.token import Token, TokenKind
from vault.modules.auth.tokens import Issued
from vault.modules.identity.oidc.audience import is_assigned, read_scope_claims, require_scopes
from vault.modules.identity.oidc.authorize import S256, Hasher
from vault.modules.identity.oidc.claims import make_payload
from vault.modules.identity.oidc.issuer import Issuers
from vault.modules.identity.oidc.keys import require_signer
from vault.modules.identity.oidc.oauth import (
    INVALID_CLIENT,
    INVALID_GRANT,
    INVALID_REQUEST,
    NO_CACHE,
    UNSUPPORTED_GRANT_TYPE,
    Refused,
    answering,
    refuse_token,
)
from vault.modules.identity.oidc.person import People, Person
from vault.modules.identity.oidc.rows import CODES, KEYS, PROVIDERS, Client, Code, Provider, find_client
from vault.modules.identity.oidc.table import Named
from vault.secret import Secret
from vault.storage.transaction import Transaction

# What an access token remembers; no auth method uses these names.
CLIENT, ENTITY, PROVIDER, SCOPES = "oidc_client_id", "oidc_entity_id", "oidc_provider", "oidc_scopes"
_NO_CLIENT = "client failed to authenticate"


class Tokens(Hasher, Protocol):
    """What makes access tokens."""

    def create(self, transaction: Transaction, token: Token) -> Issued:
        """Make a token."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenArgs(Named):
    """A token request of OAuth."""

    grant_type: str = arg(STRING, "authorization_code or client_credentials.", default="")
    code: Secret = arg(SECRET, "The code.", default=Secret(""))
    redirect_uri: str = arg(STRING, "The same as when the code was asked for.", default="")
    client_id: str = arg(STRING, "The client, where it does not use HTTP Basic.", default="")
    client_secret: Secret = arg(SECRET, "Its secret, where it does not use HTTP Basic.", default=Secret(""))
    code_verifier: Secret = arg(SECRET, "PKCE: the secret that the challenge was made of.", default=Secret(""))
    scope: str = arg(STRING, "For client_credentials: what the token is to claim.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """A request of a client that has shown who it is."""

    context: SystemContext
    args: TokenArgs
    provider: Provider
    client: Client

    @property
    def name(self) -> str:
        return self.args.name


class Exchange:
    """The handler of token requests."""

    def __init__(self, people: People, tokens: Tokens, issuers: Issuers) -> None:
        self._people = people
        self._tokens = tokens
        self._issuers = issuers

    def paths(self) -> tuple[Path, ...]:
        """Return the table."""
        return (
            path(
                "oidc/provider/{name}/token",
                help="Exchange a code for tokens.",
                shape=Shape.BARE,
                update=Endpoint(handler=answering(self.exchange, refuse_token), args=TokenArgs, public=True, free=True),
            ),
        )

    def exchange(self, context: SystemContext, args: TokenArgs) -> Response:
        """Answer tokens."""
        provider = PROVIDERS.find(context.storage, args.name)
        if provider is None:
            raise Refused(INVALID_REQUEST, "provider not found")
        client = _require_client(context, args)
        if not provider.allows(client.client_id):
            raise Refused(INVALID_CLIENT, "client is not authorized to use the provider")
        key = KEYS.find(context.storage, client.key)
        if key is None or not key.allows(client.client_id):
            raise Refused(INVALID_CLIENT, "client is not authorized to use the key")
        grants = {
            # Who cannot prove to be the client gets nothing in its name.
            "client_credentials": (client.client_credentials and not client.is_public, self._grant_client),
            "authorization_code": (client.authorization_code, self._grant_person),
        }
        if args.grant_type not in grants:
            raise Refused(UNSUPPORTED_GRANT_TYPE, "unsupported grant_type or parameter is empty value")
        allowed, grant = grants[args.grant_type]
        if not allowed:
            raise Refused(INVALID_GRANT, "client is not authorized to use given credentials flow")
        return Response(data=grant(_Asked(context=context, args=args, provider=provider, client=client)), headers=NO_CACHE)

    def _grant_client(self, asked: _Asked) -> Mapping[str, Any]:
        storage, client, now = asked.context.storage, asked.client, asked.context.now
        scopes = require_scopes(asked.args.scope, asked.provider)
        jti = str(uuid.UUID(bytes=random_bytes(16), version=4))
        payload = make_payload(
            issuer=self._issuers.of_provider(asked.name, asked.provider),
            subject=client.client_id,
            audience=client.client_id,
            now=now,
            ttl_seconds=client.id_token_ttl_seconds,
            more=({"jti": jti}, read_scope_claims(storage, scopes, None, now)),
        )
        token = require_signer(storage, client.key).sign(payload)
        return {"access_token": token, "expires_in": client.id_token_ttl_seconds, "token_type": "Bearer"}

    def _grant_person(self, asked: _Asked) -> Mapping[str, Any]:
        shown = asked.args.code.reveal()
        if not shown:
            raise Refused(INVALID_REQUEST, "code parameter is required")
        code = self._take_code(asked, shown)
        person = self._require_person(asked, code)
        _check_verifier(asked, code)
        return self._issue(asked, code, person, shown)

    def _take_code(self, asked: _Asked, shown: str) -> Code:
        """Return what a code stands for; nobody gets anything for it any more. Raises Refused."""
        storage, place = asked.context.storage, self._tokens.hash_id(shown)
        code = CODES.find(storage, place)
        if code is None or code.expires_at <= asked.context.now:
            raise Refused(INVALID_GRANT, "authorization grant is invalid or expired")
        CODES.delete(storage, place)
        if code.client_id != asked.client.client_id:
            raise Refused(INVALID_GRANT, "authorization code was not issued to the client")
        if code.provider != asked.name:
            raise Refused(INVALID_GRANT, "authorization code was not issued by the provider")
        if not asked.args.redirect_uri:
            raise Refused(INVALID_REQUEST, "redirect_uri parameter is required")
        if code.redirect_uri != asked.args.redirect_uri:
            raise Refused(INVALID_GRANT, "redirect_uri does not match the redirect_uri used in the authorization request")
        return code

    def _require_person(self, asked: _Asked, code: Code) -> Person:
        person = self._people.find_person(asked.context.transaction, code.entity_id)
        if person is None:
            raise Refused(INVALID_REQUEST, "identity entity associated with the request not found")
        if not is_assigned(asked.context.storage, asked.client, person):
            raise Refused(INVALID_REQUEST, "identity entity not authorized by client assignment")
        return person

    def _issue(self, asked: _Asked, code: Code, person: Person, shown: str) -> Mapping[str, Any]:
        storage, client, now = asked.context.storage, asked.client, asked.context.now
        signer = require_signer(storage, client.key)
        claims = read_scope_claims(storage, code.scopes, person, now)
        access = self._make_access_token(asked, code)
        own: dict[str, Any] = {"at_hash": signer.hash_claim(access), "c_hash": signer.hash_claim(shown)}
        own |= {"nonce": code.nonce} if code.nonce else {}
        own |= {"auth_time": code.auth_time} if code.auth_time else {}
        payload = make_payload(
            issuer=self._issuers.of_provider(asked.name, asked.provider),
            subject=person.id,
            audience=client.client_id,
            now=now,
            ttl_seconds=client.id_token_ttl_seconds,
            more=(own, claims),
        )
        return {
            "access_token": access,
            "expires_in": client.access_token_ttl_seconds,
            "id_token": signer.sign(payload),
            "token_type": "Bearer",
        }

    def _make_access_token(self, asked: _Asked, code: Code) -> str:
        # Of no entity, so that it gets no policies by it either: userinfo looks at whom it remembers.
        context, ttl_seconds = asked.context, asked.client.access_token_ttl_seconds
        token = Token(
            key="",
            kind=TokenKind.BATCH,
            policies=(),
            path=context.request.path,
            meta={"oidc_token_type": "access token"},
            memory={CLIENT: code.client_id, ENTITY: code.entity_id, PROVIDER: code.provider, SCOPES: " ".join(code.scopes)},
            creation_time=context.now_ns // 10**9,
            issued_ns=context.now_ns,
            creation_ttl_seconds=ttl_seconds,
            ttl_seconds=ttl_seconds,
            expires_at=context.now + ttl_seconds,
        )
        return self._tokens.create(context.transaction, token).id.reveal()


def _require_client(context: SystemContext, args: TokenArgs) -> Client:
    """Return the client that asks; raises Refused, the same for an unknown one and for one with a wrong secret."""
    basic = context.request.basic
    if basic is not None and args.client_secret:
        raise Refused(INVALID_REQUEST, "more than one method of client authentication")
    client_id, secret = (args.client_id, args.client_secret) if basic is None else (basic.name, basic.secret)
    if not client_id:
        raise Refused(INVALID_REQUEST, "client_id parameter is required")
    client = find_client(context.storage, client_id)
    if client is None or (not client.is_public and Secret(client.client_secret) != secret):
        raise Refused(INVALID_CLIENT, _NO_CLIENT)
    return client


def _check_verifier(asked: _Asked, code: Code) -> None:
    """Raise Refused where whoever shows the code has not the secret of whoever asked for it."""
    verifier = asked.args.code_verifier.reveal()
    if not code.challenge:
        if asked.client.is_public:
            raise Refused(INVALID_REQUEST, "PKCE is required for public clients")
        if verifier:
            raise Refused(INVALID_REQUEST, "unexpected code_verifier for token exchange")
        return
    if not verifier:
        raise Refused(INVALID_REQUEST, "expected code_verifier for token exchange")
    made = verifier.encode("utf-8", "surrogatepass")
    if code.challenge_method == S256:
        made = urlsafe_b64encode(hashlib.sha256(made).digest()).rstrip(b"=")
    if not hmac.compare_digest(made, code.challenge.encode()):
        raise Refused(INVALID_GRANT, "invalid code_verifier for token exchange")
